"""Where a trained model is found, and what a damaged one says."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import ntm_lab
from ntm_lab.evaluation import evaluate
from ntm_lab.zoo import shipped
from ntm_lab.zoo.card import read_card, write
from ntm_lab.zoo.find import card_of, find


def test_a_name_is_no_folder_and_a_folder_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Path) -> None:
    name = next(iter(shipped.cards()))
    shutil.copytree(given, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert find(name).folder == shipped.FOLDER / name
    assert find(Path(name)).folder == find(f"./{name}").folder == Path(name)


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(FileNotFoundError) as raised:
        ntm_lab.load("copi-ntm")
    assert str(raised.value).startswith("copi-ntm: there is no such folder")
    assert all(name in str(raised.value) for name in [*shipped.cards(), *shipped.best(shipped.cards())])


def test_a_root_is_for_tasks_that_read_files(given: Path, babi: Path, tmp_path: Path) -> None:
    """Given away with a folder that only its giver has: the receiver's own is read."""
    with pytest.raises(ValueError, match=r"^root=anywhere: .* does a task that reads no files"):
        find(given, root="anywhere")
    reading = {"_target_": "ntm_lab.tasks.Babi", "root": "the giver's", "tasks": [1], "partial": True}
    model = {"_target_": "ntm_lab.nn.LSTM", "_partial_": True, "size": 2, "layers": 1}
    weights = ntm_lab.LSTM(159, 159, size=2, layers=1).state_dict()
    write(tmp_path / "own", read_card(given) | {"config": {"task": reading, "model": model}}, weights)
    assert find(tmp_path / "own", root=babi).task.split("testing").stored({"questions": 1}) is not None
    with pytest.raises(ValueError, match=r"^task\.root=the giver's: must be a folder that holds en-10k"):
        find(tmp_path / "own").task.sample(1)


def test_a_name_too_long_for_a_file_is_one_line() -> None:
    with pytest.raises(FileNotFoundError, match=r"^x{200} … x{200}: there is no such folder"):
        ntm_lab.load("x" * 5000)


CHECKPOINT = "checkpoints/last.ckpt"
BROKEN_CHECKPOINTS: dict[str, Any] = {
    "a list": [1],
    "a tensor": torch.zeros(3),
    "no weights": {"learner": {}},
    "weights None": {"state_dict": None},
    "weights a list": {"state_dict": [1]},
    "whole numbers for names": {"state_dict": {1: torch.zeros(3)}},
    "numbers for weights": {"state_dict": {"model.reads": 3}},
}


@pytest.mark.parametrize("part", ["config.yaml", CHECKPOINT])
def test_a_damaged_run_is_told(part: str, finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    half = (run / part).read_bytes()[: (run / part).stat().st_size // 2]
    (run / part).write_bytes(b"[" + half)
    with pytest.raises(ValueError, match=rf"run: its {re.escape(part)} (is damaged|cannot be read)"):
        ntm_lab.load(run)


@pytest.mark.parametrize("content", BROKEN_CHECKPOINTS)
def test_a_checkpoint_of_something_else_is_one_line(content: str, finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    torch.save(BROKEN_CHECKPOINTS[content], run / CHECKPOINT)
    with pytest.raises(ValueError, match=rf"run: its {CHECKPOINT} is damaged"):
        ntm_lab.load(run)


def test_a_class_that_is_not_there_is_one_line(finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("ntm_lab.tasks.Copy", "their_package.tasks.Echo"))
    with pytest.raises(ValueError, match=r"run: no model can be built .*No module named 'their_package'") as raised:
        ntm_lab.load(run)
    assert "\n" not in str(raised.value)


def test_a_run_of_version_0_1_answers_as_it_did_then() -> None:
    """Recorded by that version with what its config.yaml says, on one core."""
    run = Path(__file__).parent / "run-0.1"
    recorded = json.loads((run / "results.json").read_text())
    found = find(run)
    assert sum(part.numel() for part in found.model.parameters() if part.requires_grad) == recorded["parameters"]
    rows = evaluate(found.model, found.task, [row["difficulty"] for row in recorded["test"]], 100)
    assert rows == [row | {"cost_bits": pytest.approx(row["cost_bits"], rel=1e-5)} for row in recorded["test"]]
    assert card_of(found)["name"] == "copy-ntm-lstm"
