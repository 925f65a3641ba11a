"""`ntm-lab evaluate` from the command line to the file it writes."""

import json
from pathlib import Path

import pytest

from ntm_lab.cli import main
from ntm_lab.evaluation import ablations_of, evaluate
from ntm_lab.zoo.find import find


def test_rows_are_printed_and_written(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    command = ["evaluate", str(run), "--difficulty", "length=2:6:4", "--sequences", "20", "--json", str(out)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    rows = json.loads(out.read_text())
    assert [row["difficulty"] for row in rows] == [{"length": 2}, {"length": 6}]
    assert {row["n"] for row in rows} == {20} and {row["slots"] for row in rows} == {16}
    assert [line.split()[:2] for line in printed.splitlines()[1:3]] == [["length", "2"], ["length", "6"]]
    assert f"{rows[1]['cost_bits']:.3f}" in printed

    again = tmp_path / "again.json"
    assert main([*command[:-1], str(again)]) == 0  # from the cache
    assert again.read_text() == out.read_text()


def test_ablations_are_rows_of_their_own(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    command = ["evaluate", str(run), "--difficulty", "length=2,3", "--sequences", "20", "--json", str(out)]
    assert main([*command, "--ablate"]) == 0
    printed = capsys.readouterr().out
    rows = json.loads(out.read_text())
    names = [*ablations_of(find(run).model)]
    assert [row["ablation"] for row in rows] == names * 2
    assert [line.partition(",")[0] for line in printed.splitlines()[1 : len(names) + 1]] == names
    assert "reads zeroed, length 3" in printed

    assert main(command) == 0
    for row, plain in zip(rows[:: len(names)], json.loads(out.read_text()), strict=True):
        assert row["wrong_bits"] == plain["wrong_bits"]


def test_the_hardest_of_training_as_after_training(run: Path, tmp_path: Path) -> None:
    """The run's own test has 8 sequences and the same seed."""
    out = tmp_path / "out.json"
    assert main(["evaluate", str(run), "--sequences", "8", "--json", str(out)]) == 0
    (row,), (test,) = json.loads(out.read_text()), json.loads((run / "results.json").read_text())["test"]
    assert row["cost_bits"] == pytest.approx(test.pop("cost_bits"), rel=1e-6)
    assert {key: row[key] for key in test if key != "cost_bits"} == test


def test_slots_and_seed_are_heard(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    main(["evaluate", str(run), "--slots", "20", "--sequences", "8", "--seed", "5", "--json", str(out)])
    (row,) = json.loads(out.read_text())
    _, _, task, model = find(run, slots=20)
    (expected,) = evaluate(model, task, [{"length": 4}], 8, seed=5, details=True)
    assert row["slots"] == expected["slots"] == 20
    assert row["cost_bits"] == pytest.approx(expected["cost_bits"], rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--difficulty", "items=3"], "difficulty items=3: must be AXIS=VALUES, and AXIS one of length"),
        (["--difficulty", "length=0"], "length=0: must be at least 1"),
        (["--sequences", "0"], "--sequences=0: must be a whole number of at least 1"),
        (["--seed", "-1"], "--seed=-1: must be"),
        (["--slots", "0"], "memory.slots=0: must be"),
        (["--sequences", "2", "--json", "absent/out.json"], "cannot be written (No such file or directory)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_one_line(
    arguments: list[str], message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run), *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("ntm-lab evaluate: ") and message in err and err.count("\n") == 1


def test_a_run_that_there_is_not_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(tmp_path / "absent")]) == 2
    err = capsys.readouterr().err
    assert "absent" in err and err.count("\n") == 1
