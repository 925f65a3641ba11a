"""`ntm-lab generalise` from the command line to the figure."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ntm_lab.cli import main
from ntm_lab.evaluation import cache


def test_table_figure_and_numbers(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generalise", str(run), "--sequences", "3"]) == 0
    numbers = json.loads((run / "generalise.json").read_text())
    assert numbers["training"] == {"length": [1, 4]}
    assert [row["difficulty"]["length"] for row in numbers["rows"]] == [*range(2, 25, 2)]
    assert [row["slots"] for row in numbers["rows"]] == [16] * 7 + [32] * 5  # 14 vectors, a delimiter, one to spare
    assert numbers["notes"] == []
    assert (run / "generalise.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert [line.split()[1] for line in printed.splitlines()[1:13]] == [str(length) for length in range(2, 25, 2)]
    assert printed.endswith(f"figure and numbers in {run}: generalise.png, generalise.json\n")


def test_slots_are_the_same_throughout_if_given(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    arguments = ["--sequences", "2", "--difficulty", "length=4,30", "--slots", "20", "--out", str(out)]
    assert main(["generalise", str(run), *arguments]) == 0
    assert [row["slots"] for row in json.loads((out / "generalise.json").read_text())["rows"]] == [20, 20]
    assert (out / "generalise.png").exists() and not (run / "generalise.png").exists()


def test_a_memory_that_cannot_grow_is_told(
    started: Callable, tiny_ntm: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    trained = started(*tiny_ntm, "memory.init=learned", "max_sequences=4")
    trained.fit()
    assert main(["generalise", str(trained.folder), "--sequences", "2", "--difficulty", "length=4,30"]) == 0
    told = "length 30: 32 slots would be needed; memory.slots=32: memory.init holds a value of its own"
    assert told in capsys.readouterr().out
    (note,) = json.loads((trained.folder / "generalise.json").read_text())["notes"]
    assert note.startswith(told)


def test_a_folder_of_the_package_is_only_read(
    run: Path, digest: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cache, "PACKAGE", run.parent)
    before = digest(run)
    assert main(["generalise", str(run), "--sequences", "2", "--difficulty", "length=4"]) == 0
    assert digest(run) == before
    assert "--out FOLDER keeps the figure" in capsys.readouterr().out


def test_where_nothing_can_be_written_is_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "folder"
    assert main(["generalise", str(run), "--sequences", "2", "--difficulty", "length=4", "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert "cannot be written" in captured.err and captured.err.count("\n") == 1
    assert "length 4" in captured.out  # what was computed is not lost
