"""`ntm-lab compare` from folders of runs to the table and the figure."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ntm_lab.cli import main


@pytest.fixture
def sweeps(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copies of a real run in two folders, ``small`` and ``large``, three seeds each, which differ in the batch size
    that their config tells of; and the command is called from an empty folder beside them."""
    for batch_size, name in ((4, "small"), (8, "large")):
        for seed in range(3):
            run = Path(shutil.copytree(finished, tmp_path / name / str(seed)))
            set_config(run, seed=seed, data={"batch_size": batch_size})
            set_results(run, seed=seed, sequences_to_solve=8 * seed or None, seconds_to_solve=0.1 * seed or None)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def set_config(run: Path, **values: object) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    for key, value in values.items():
        config[key] = config[key] | value if isinstance(value, dict) else value
    (run / "config.yaml").write_text(yaml.dump(config, sort_keys=False))


def set_results(run: Path, **values: object) -> None:
    results = json.loads((run / "results.json").read_text())
    (run / "results.json").write_text(json.dumps(results | values))


def heads(printed: str) -> list[str]:
    """The names of the columns."""
    return [cell.strip() for cell in printed.splitlines()[0].strip("|").split("|")[1:]]


def test_table_figure_and_numbers(sweeps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(sweeps / "large"), str(sweeps / "small")]) == 0
    printed = capsys.readouterr().out
    assert heads(printed) == ["batch_size=4", "batch_size=8"]
    assert "| seeds | 0, 1, 2 | 0, 1, 2 |" in printed
    assert "| sequences until solved | 16 (8 to –; –), 2 of 3 runs | 16 (8 to –; –), 2 of 3 runs |" in printed
    assert "logrank test against batch_size=4 | – | p = 1 |" in printed
    assert printed.endswith("figure and numbers in .: compare.png, compare.csv\n")
    numbers = pd.read_csv("compare.csv")
    assert numbers["arm"].value_counts().to_dict() == {"batch_size=4": 3, "batch_size=8": 3}
    assert "wrong_bits at length 4" in numbers
    assert Path("compare.png").read_bytes().startswith(b"\x89PNG")
    assert main(["compare", str(sweeps / "small")]) == 0  # its own files are made anew
    assert len(pd.read_csv("compare.csv")) == 3 and heads(capsys.readouterr().out) == ["small"]


def test_what_counts_as_solved_is_asked_for(sweeps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, wrong in enumerate((0.0, 3.0, 8.0)):
        row = {"difficulty": {"length": 4}, "n": 8, "cost_bits": 9.0, "wrong_bits": wrong, "exact": 0.0}
        set_results(sweeps / "small" / str(seed), test=[row])
    assert main(["compare", str(sweeps / "small"), "--solved", "5"]) == 0
    assert "| length 4: runs within 5 wrong bits | 2 of 3 |" in capsys.readouterr().out
    assert main(["compare", str(sweeps / "small"), "--solved", "-1"]) == 2
    assert capsys.readouterr().err == "ntm-lab compare: --solved=-1.0: must be at least 0\n"


@pytest.mark.parametrize(
    ("by", "columns"),
    [
        ("folder", ["large", "small"]),
        ("batch_size", ["batch_size=4", "batch_size=8"]),
        ("data.batch_size,seed", [f"batch_size={size}, seed={seed}" for size in (4, 8) for seed in range(3)]),
        ("controller", ["controller=lstm"]),
    ],
)
def test_groups_by_what_is_asked_for(
    sweeps: Path, capsys: pytest.CaptureFixture[str], by: str, columns: list[str]
) -> None:
    assert main(["compare", str(sweeps / "large"), str(sweeps / "small"), "--by", by]) == 0
    printed = capsys.readouterr().out
    assert heads(printed) == columns
    told = "Runs of one column differ in data.batch_size; --by KEY,KEY tells them apart."
    assert (told in printed) == (by == "controller")


def test_folders_that_differ_in_much(sweeps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(sweeps / "large"), str(sweeps / "small")]
    set_config(sweeps / "small" / "1", memory={"width": 7})
    set_config(sweeps / "small" / "2", optimizer={"lr": 0.5})
    assert main(["compare", *folders]) == 0
    assert "batch_size=4, width=6, lr=0.5" in heads(capsys.readouterr().out)  # three settings
    set_config(sweeps / "large" / "2", clip={"limit": 3.0})
    assert main(["compare", *folders]) == 0
    printed = capsys.readouterr().out
    assert heads(printed) == ["large", "small"]  # four
    assert "Runs of one column differ in clip.limit, memory.width, optimizer.lr; --by" in printed


def test_folders_that_differ_in_nothing(sweeps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(sweeps / "large"), str(sweeps / "small")]
    shutil.rmtree(sweeps / "small")
    shutil.copytree(sweeps / "large", sweeps / "small")
    assert main(["compare", *folders]) == 0
    assert heads(capsys.readouterr().out) == ["large", "small"]  # as after a change of the code
    assert main(["compare", *(f"{folder}/{seed}" for folder in folders[:1] for seed in range(3))]) == 0
    printed = capsys.readouterr().out
    assert heads(printed) == ["all runs"] and "| seeds | 0, 1, 2 |" in printed  # seeds of one setting, one by one


def test_folders_of_the_same_name(sweeps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sweeps / "other").mkdir()
    (sweeps / "large").rename(sweeps / "other" / "small")
    folders = [str(sweeps / "small"), str(sweeps / "other" / "small")]
    assert main(["compare", *folders, "--by", "folder"]) == 0
    assert heads(capsys.readouterr().out) == folders


def test_runs_without_curves(sweeps: Path) -> None:
    for file in sweeps.rglob("metrics.csv"):
        file.unlink()
    assert main(["compare", str(sweeps / "small"), "--out", "new/folder"]) == 0
    assert Path("new/folder/compare.png").stat().st_size > 5000


@pytest.mark.parametrize("name", ["compare.png", "compare.csv"])
def test_what_it_did_not_make_is_left_alone(
    sweeps: Path, name: str, capsys: pytest.CaptureFixture[str], digest: Callable[[Path], str]
) -> None:
    Path(name).write_text("my own")
    before = digest(Path())
    assert main(["compare", str(sweeps / "small")]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"ntm-lab compare: {name}: was not made by ntm-lab compare and is left alone")
    assert captured.err.count("\n") == 1 and digest(Path()) == before
    assert "| seeds | 0, 1, 2 |" in captured.out  # what was computed is not lost


def test_a_folder_without_an_ended_run_is_left_out_with_a_line(
    sweeps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sweeps / "small" / "1" / "results.json").unlink()
    runs = [f"../small/{seed}" for seed in range(3)]
    assert main(["compare", *runs]) == 0
    captured = capsys.readouterr()
    assert "| seeds | 0, 2 |" in captured.out
    assert captured.err == (
        "left out: ../small/1: no run has ended there; none has both config.yaml and results.json\n"
    )
    assert main(["compare", runs[1], runs[1]]) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["../nowhere"], "../nowhere: no run has ended there; none has both config.yaml and results.json"),
        (["../small", "--by", "colour"], "colour: is no setting of these runs; they differ in nothing but the seed"),
        (["../small", "../large", "--by", "x"], "x: is no setting of these runs; they differ in data.batch_size"),
        (["../small", "--out", "file/folder"], "file/folder: cannot be written (Not a directory); give another place "
         "with --out FOLDER"),
    ],
)  # fmt: skip
def test_errors_are_one_line(sweeps: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").touch()
    assert main(["compare", *arguments]) == 2
    assert capsys.readouterr().err == f"ntm-lab compare: {told}\n"


def test_a_damaged_run_is_named(sweeps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sweeps / "small" / "1" / "results.json").write_text("{")
    assert main(["compare", str(sweeps / "small")]) == 2
    error = capsys.readouterr().err
    assert str(sweeps / "small" / "1" / "results.json") in error and error.count("\n") == 1
