"""The command itself: a run as a process of its own, help and a sweep in this one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def process(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)


def test_a_run_ends_with_a_table_and_its_folder(tiny_ntm: list[str], tmp_path: Path) -> None:
    ended = process([*tiny_ntm, "callbacks=progress"], tmp_path)
    assert ended.returncode == 0, ended.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    results = json.loads((folder / "results.json").read_text())
    lines = ended.stdout.splitlines()
    assert lines[-3] == f"results in {folder}"
    assert [line.split("#")[0].split() for line in lines[-2:]] == [
        ["next:", "ntm-lab", "generalise", f"runs/{folder.name}"],
        ["ntm-lab", "show", f"runs/{folder.name}"],
    ]
    assert any(line.split() == ["fresh", "sequences", "n", "cost,", "bits", "wrong", "bits", "exact"] for line in lines)
    row = next(line.split() for line in lines if line.startswith("length 4"))
    assert row[2:4] == ["8", f"{results['test'][0]['cost_bits']:.4f}"]
    assert "24 sequences in " in ended.stdout
    assert "24/24" in ended.stderr and "wrong bits=" in ended.stderr
    assert "Warning" not in ended.stdout + ended.stderr


def test_help_lists_every_group_with_its_choices(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = train("--help")
    assert ended.status == 0
    listed = dict(line.split(": ", 1) for line in ended.out.split("== Config ==")[0].splitlines() if ": " in line)
    conf = ROOT / "conf"
    folders = {path.parent for path in conf.rglob("*.yaml")} - {conf}
    for folder in folders:
        choices = sorted(path.stem for path in folder.glob("*.yaml"))
        assert listed[str(folder.relative_to(conf))].split(", ") == choices
    assert list(tmp_path.iterdir()) == []


QUICK = ["max_sequences=8", "data.validation_sequences=2", "test.sequences=2", "logger=none", "callbacks=none"]


def test_a_sweep_makes_a_folder_for_each_of_its_runs(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = train("-m", *QUICK, "data.batch_size=1,4")
    assert ended.status == 0, ended.err
    (sweep,) = (tmp_path / "runs").iterdir()
    assert sweep.name.startswith("sweep-")
    found = {path.parent for path in sweep.rglob("results.json")}
    runs = [json.loads((folder / "results.json").read_text()) for folder in found]
    assert sorted((run["sequences"], run["steps"]) for run in runs) == [(8, 2), (8, 8)]
    assert {folder.parent for folder in found} == {sweep}
    assert all(f"results in {folder}" in ended.out for folder in found)
    assert ended.out.count("next:") == 1 and f"next: ntm-lab compare runs/{sweep.name}" in ended.out.splitlines()[-1]
