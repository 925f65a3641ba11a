"""A model that is given away: weights and a card, which tell all that a person wants to know."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import ntm_lab
from ntm_lab.evaluation import evaluate
from ntm_lab.runs.run import Run
from ntm_lab.zoo.card import CARD, DIGEST, KINDS, WEIGHTS, hardest, read_card
from ntm_lab.zoo.find import card_of, find, give_away

Answer = Callable[..., Tensor]
ChangeCard = Callable[[Path, Callable[[dict[str, Any]], Any]], None]


def test_what_was_given_away_comes_back_to_the_bit(given: Path, finished: Path, answer: Answer) -> None:
    assert {path.name for path in given.iterdir()} == {WEIGHTS, CARD}
    assert torch.equal(answer(ntm_lab.load(given)), answer(ntm_lab.load(finished)))
    assert torch.equal(answer(ntm_lab.load(str(given), slots=40)), answer(ntm_lab.load(finished, slots=40)))
    assert {value.dtype for value in load_file(given / WEIGHTS).values()} == {torch.float32}
    assert find(given).task.ranges == find(finished).task.ranges
    assert not ntm_lab.load(given).training


def test_an_lstm_is_given_away_as_well(
    started: Callable[..., Run], tiny_lstm: list[str], answer: Answer, tmp_path: Path
) -> None:
    run = started(*tiny_lstm, "seed=3")
    run.fit()
    run.report(evaluate(run.learner.model, run.task, [{"length": 4}], 8))
    folder = give_away(run.folder, tmp_path / "given")
    assert torch.equal(answer(ntm_lab.load(folder)), answer(run.learner.model))
    assert (read_card(folder)["name"], read_card(folder)["controller"]) == ("copy-lstm", None)
    with pytest.raises(ValueError, match=r"slots=40: a LSTM has no memory"):
        ntm_lab.load(folder, slots=40)


def test_a_card_tells_what_the_run_does(given: Path, finished: Path, tiny_ntm: list[str]) -> None:
    card, results = read_card(given), json.loads((finished / "results.json").read_text())
    assert set(card) == {*KINDS, DIGEST}
    assert (card["name"], card["task"], card["model"], card["controller"]) == ("copy-ntm-lstm", "copy", "ntm", "lstm")
    for key in ("seed", "parameters", "sequences", "seconds", "versions", "test"):
        assert card[key] == results[key]
    assert set(card["config"]) == {"overrides", "task", "model"}
    assert shlex.split(card["command"]) == ["python", "train.py", *card["config"]["overrides"]]
    assert set(tiny_ntm) <= set(card["config"]["overrides"])
    assert str(finished) not in (given / CARD).read_text()


def test_only_a_run_that_has_ended_has_a_card(finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "results.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no results\.json"):
        card_of(find(run))


def test_a_run_that_does_not_tell_its_overrides_has_no_card(finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(re.sub(r"(?m)^overrides:\n(- .*\n)+", "", config))
    with pytest.raises(ValueError, match=r"config\.yaml has no key overrides"):
        card_of(find(run))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_weights(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    weights["output.bias"] = torch.zeros(17)
    save_file(weights, folder / WEIGHTS)


def flip(path: Path, place: int = -3) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def nested(depth: int) -> str:
    return '{"a": ' * depth + "1" + "}" * depth


DAMAGED_FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "card cut": (lambda folder: cut(folder / CARD), rf"copied: its {CARD} is damaged"),
    "card of bytes": (lambda folder: (folder / CARD).write_bytes(b"\xff\xfe"), rf"{CARD} is damaged"),
    "card a list": (lambda folder: (folder / CARD).write_text("[]"), rf"{CARD} is damaged \(it is no mapping\)"),
    "card too deep": (lambda folder: (folder / CARD).write_text(nested(100_000)), rf"{CARD} is damaged"),
    "weights cut": (lambda folder: cut(folder / WEIGHTS), rf"its {WEIGHTS} is damaged"),
    "weights of another": (other_weights, rf"its {WEIGHTS} is damaged, it is not the file that its {CARD} was"),
    "a flipped bit of a weight": (lambda folder: flip(folder / WEIGHTS), rf"its {WEIGHTS} is damaged, it is not"),
}


@pytest.mark.parametrize("damage", DAMAGED_FILES)
def test_a_damaged_file_is_one_line(damage: str, copied: Path) -> None:
    harm, message = DAMAGED_FILES[damage]
    harm(copied)
    with pytest.raises(ValueError, match=message):
        ntm_lab.load(copied)


UNSOUND_CARDS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no name": (lambda card: card.pop("name"), rf"{CARD} is damaged \(it has no name\)"),
    "no test": (lambda card: card.pop("test"), rf"{CARD} is damaged \(it has no test\)"),
    "no rows": (lambda card: card.update(test=[]), rf"{CARD} is damaged \(it has no test\)"),
    "no task": (lambda card: card["config"].pop("task"), rf"{CARD} is damaged \(it has no config\.task\)"),
    "config no mapping": (
        lambda card: card.update(config=3),
        rf"{CARD} is damaged \(it has no config\.task, no config\.model\)",
    ),
    "packages no mapping": (lambda card: card.update(packages=["os"]), rf"{CARD} is damaged \(its packages"),
    "config too deep": (lambda card: card["config"].update(task=json.loads(nested(450))), "copied: "),
    "setting out of range": (
        lambda card: card["config"]["model"].update(read_heads=0),
        r"no model can be built from its config \(model\.read_heads=0: must be",
    ),
    "memory of 800 GB": (
        lambda card: card["config"]["model"].update(slots=10**10),
        r"model\.slots=10000000000: this run would take .* more than the .* of this machine",
    ),
    "layers without end": (
        lambda card: card["config"]["model"]["controller"].update(layers=10**9),
        r"controller\.layers=1000000000: must be at most 1000",
    ),
    "a long name": (
        lambda card: card["config"]["task"].update(_target_="x." * 5000 + "y"),
        r"_target_=x\.x.* is refused",
    ),
    "no model": (lambda card: card["config"].update(model=3), r"no model can be built from its config"),
    "a task for a model": (
        lambda card: card["config"].update(model=card["config"]["task"]),
        r"no model can be built from its config",
    ),
}


@pytest.mark.parametrize("damage", UNSOUND_CARDS)
def test_an_unsound_card_is_one_line(damage: str, copied: Path, change_card: ChangeCard) -> None:
    change, message = UNSOUND_CARDS[damage]
    change_card(copied, change)
    with pytest.raises(ValueError, match=message) as raised:
        ntm_lab.load(copied)
    assert "\n" not in str(raised.value)


def test_a_card_of_an_older_version_has_no_digest(copied: Path, change_card: ChangeCard) -> None:
    change_card(copied, lambda card: card.pop(DIGEST))
    other_weights(copied)
    with pytest.raises(ValueError, match=r"its weights are of another model than its config: output\.bias differ"):
        ntm_lab.load(copied)


@pytest.mark.parametrize("part", [WEIGHTS, CARD])
def test_what_is_missing_is_told(part: str, copied: Path) -> None:
    (copied / part).unlink()
    with pytest.raises(FileNotFoundError, match=rf"copied is not the folder of a trained model: it has no {part}"):
        ntm_lab.load(copied)


def test_the_hardest_row_is_that_of_the_largest_difficulty() -> None:
    rows = [{"difficulty": {"length": length, "repeats": repeats}} for length, repeats in ((9, 9), (10, 10), (20, 4))]
    assert hardest(rows) == rows[1]
