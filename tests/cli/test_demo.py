"""`ntm-lab demo`: one unseen sequence, drawn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

from ntm_lab.cli import demo, main
from ntm_lab.runs.run import Run
from ntm_lab.tasks.answers import cost_bits, cost_bits_of_probabilities, wrong_bits
from ntm_lab.tasks.difficulties import seeded
from ntm_lab.types import Batch, SequenceModel, Task
from ntm_lab.zoo import shipped
from ntm_lab.zoo.find import find


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Batch, SequenceModel, str]]:
    """What was handed to the figure, which is drawn as ever."""
    seen = []
    draw = demo.draw_episode

    def record(model: SequenceModel, task: Task, batch: Batch, title: str) -> Figure:
        seen.append((batch, model, title))
        return draw(model, task, batch, title)

    monkeypatch.setattr(demo, "draw_episode", record)
    return seen


def test_a_shipped_model_is_drawn_where_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name = next(iter(shipped.cards()))
    assert main(["demo", name]) == 0
    (picture,) = tmp_path.iterdir()
    assert picture.name.startswith(f"{name}-") and picture.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.splitlines()[-1] == f"picture in {picture.name}"


def test_the_line_tells_what_the_picture_shows(
    finished: Path, tmp_path: Path, drawn: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "picture.png"
    assert main(["demo", str(finished), "--difficulty", "length=3", "--seed", "7", "--out", str(out)]) == 0
    found = find(finished)
    batch = found.task.sample(1, {"length": 3}, seeded(7, "demo"))
    with torch.no_grad():
        answer = found.model(batch.inputs)[0], batch.targets, batch.mask
    line, place = capsys.readouterr().out.splitlines()
    wrong, cost = int(wrong_bits(*answer)), float(cost_bits(*answer))
    assert line == f"run: length 3, 16 slots, {wrong} of 12 bits wrong, cost {cost:.4g} bits"
    assert place == f"picture in {out}" and out.is_file()
    ((shown, model, title),) = drawn
    assert torch.equal(shown.inputs, batch.inputs) and title == "run: length 3"
    assert model.slots == 16


def test_an_optimum_that_costs_comes_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "picture.png"
    assert main(["demo", "ngrams-ntm", "--out", str(out)]) == 0
    found = find("ngrams-ntm")
    batch = found.task.sample(1, {"length": 200, "context": 5}, seeded(0, "demo"))
    with torch.no_grad():
        cost = float(cost_bits(found.model(batch.inputs)[0], batch.targets, batch.mask))
    optimum = float(cost_bits_of_probabilities(found.task.solve(batch), batch.targets, batch.mask))
    line, _ = capsys.readouterr().out.splitlines()
    told, above = line.split("slots, ")[1], cost - optimum
    side = "above" if above > 0 else "below"
    assert told.startswith(f"{abs(above):.2f} bits {side} the optimum of {optimum:.1f}, ")
    assert told.endswith(f" of 195 bits wrong, cost {cost:.4g} bits")


def test_seeds_are_other_sequences(finished: Path, tmp_path: Path, drawn: list[Any]) -> None:
    for seed in ("0", "0", "1"):
        assert main(["demo", str(finished), "--seed", seed, "--out", str(tmp_path / "picture.png")]) == 0
    zero, again, one = (batch.inputs for batch, _, _ in drawn)
    assert zero.shape[1] == 9  # the hardest of training, length 4
    assert torch.equal(zero, again) and not torch.equal(zero, one)


@pytest.mark.parametrize(
    ("arguments", "slots"),
    [([], 16), (["--difficulty", "length=30"], 32), (["--difficulty", "length=30", "--slots", "24"], 24)],
    ids=["its own", "what is needed", "what was asked for"],
)
def test_slots(arguments: list[str], slots: int, finished: Path, tmp_path: Path, drawn: list[Any]) -> None:
    assert main(["demo", str(finished), *arguments, "--out", str(tmp_path / "picture.png")]) == 0
    ((_, model, _),) = drawn
    assert model.slots == slots


def test_slots_that_cannot_grow_stay_and_it_is_said(
    started: Callable[..., Run],
    tiny_ntm: list[str],
    tmp_path: Path,
    drawn: list[Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = started(*tiny_ntm, "memory.init=learned", "max_sequences=4")
    run.fit()
    asked = ["demo", str(run.folder), "--difficulty", "length=30", "--out", str(tmp_path / "picture.png")]
    assert main(asked) == 0
    assert "32 slots would be needed; memory.slots=32: memory.init holds" in capsys.readouterr().out
    assert drawn[0][1].slots == 16
    assert main([*asked, "--slots", "32"]) == 2
    assert "memory.slots=32: memory.init holds" in capsys.readouterr().err


def test_an_lstm_is_drawn_without_a_memory(
    started: Callable[..., Run], tiny_lstm: list[str], tmp_path: Path, drawn: list[Any]
) -> None:
    run = started(*tiny_lstm, "max_sequences=4")
    run.fit()
    assert main(["demo", str(run.folder), "--difficulty", "length=30", "--out", str(tmp_path / "picture.png")]) == 0
    assert "slots" not in drawn[0][2] and (tmp_path / "picture.png").is_file()


def test_an_animation_instead_of_a_picture(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "run.gif"
    assert main(["demo", str(finished), "--difficulty", "length=2", "--gif", str(out)]) == 0
    assert out.read_bytes().startswith(b"GIF89a") and capsys.readouterr().out.splitlines()[-1] == f"animation in {out}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--difficulty", "length=3,4"], "--difficulty length=3,4: must be one, not 2"),
        (["--difficulty", "size=3"], "difficulty size=3: must be"),
        (["--difficulty", "length=0"], "difficulty length=0: must be at least 1"),
        (["--slots", "0"], "memory.slots=0: must be a whole number of at least 1"),
        (["--seed", "-1"], "--seed=-1: must be a whole number of at least 0"),
        (["--out", "picture.zip"], "Format 'zip' is not supported"),
        (["--gif", "run.png"], "--gif run.png: must end with .gif"),
        (["--gif", "run.gif", "--out", "run.png"], "--gif run.gif: must not be given beside --out run.png"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_drawn_is_one_line(
    arguments: list[str],
    message: str,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", str(finished), *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ntm-lab demo: ") and message in line


def test_an_unknown_model_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "copi"]) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in shipped.cards())
