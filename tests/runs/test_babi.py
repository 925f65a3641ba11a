"""A run on stories: its curriculum hears the validation, it goes on to the bit, and its test is on every story."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

TINY = [
    *("model=lstm", "task=babi", "task.tasks=[1,4,8]", "task.partial=true", "task.steps=sentences", "model.size=8"),
    *("schedule=constant", "curriculum.mix=0", "curriculum.patience=2", "log_every=1", "logger=csv", "callbacks=none"),
    *("data.batch_size=4", "data.validate_every=8", "data.validation_sequences=6", "test.sequences=100"),
]


def curve(folder: Path) -> list[dict[str, str]]:
    rows = csv.DictReader((folder / "metrics.csv").read_text().splitlines())
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def test_a_run_on_stories_goes_on_to_the_bit(train: Callable[..., Any], babi: Path, tmp_path: Path) -> None:
    whole, half = tmp_path / "whole", tmp_path / "half"
    for folder, sequences in ((whole, 48), (half, 24)):
        ended = train(*TINY, f"task.root={babi}", f"max_sequences={sequences}", f"hydra.run.dir={folder}")
        assert ended.status == 0, ended.err
    ended = train(f"resume={half}", "max_sequences=48")
    assert ended.status == 0, ended.err
    assert curve(half) == curve(whole)
    one, other = (torch.load(path / "checkpoints/last.ckpt")["state_dict"] for path in (half, whole))
    assert all(torch.equal(part, other[name]) for name, part in one.items())

    questions = [float(row["curriculum/questions"]) for row in curve(whole) if row["curriculum/questions"]]
    assert questions == [1] * 4 + [2] * 4 + [4] * 4  # two validations at a point, one every two steps
    assert {"val_accuracy/babi_08", "val_accuracy/question_02", "val_cost/questions_001"} <= curve(whole)[0].keys()
    results = json.loads((whole / "results.json").read_text())
    assert results["test"][0]["difficulty"] == {"questions": 5} and results["test"][0]["n"] == 3 * 12
    assert {"babi_01", "babi_04", "babi_08", "question_02"} <= results["test"][0]["by_group"].keys()
    assert 0 < results["overlap"]["questions_001"] < 1


def test_an_absent_file_ends_the_run_in_one_line(train: Callable[..., Any], babi: Path, tmp_path: Path) -> None:
    ended = train(*TINY, f"task.root={babi}", "task.tasks=[1,2]", f"hydra.run.dir={tmp_path / 'run'}")
    assert ended.status == 1 and not (tmp_path / "run").exists()
    assert ended.err.splitlines()[-1] == f"task.root: {babi}/en-10k has no qa2_*_train.txt, the file of task 2"
