"""Runs as tables, of a real run and of copies of it that were changed by hand."""

import json
import math
import shutil
from pathlib import Path

import pandas as pd
import pytest

from ntm_lab.studies.results import ended, read_curves, read_runs


@pytest.fixture
def sweep(finished: Path, tmp_path: Path) -> Path:
    """Three runs, made in an order that is not that of their names; the last has not ended."""
    for name in ("seed=1", "seed=0", "seed=2"):
        shutil.copytree(finished, tmp_path / "sweep" / name)
        change(tmp_path / "sweep" / name, seed=int(name[-1]))
    (tmp_path / "sweep" / "seed=2" / "results.json").unlink()
    return tmp_path / "sweep"


def change(run: Path, **values: object) -> None:
    results = json.loads((run / "results.json").read_text())
    (run / "results.json").write_text(json.dumps(results | values))


def test_a_real_run_in_a_row(finished: Path) -> None:
    runs = read_runs(finished)
    (row,) = runs.to_dict("records")
    assert row["run"] == str(finished)
    assert (row["data.batch_size"], row["memory.slots"], row["controller.size"]) == (4, 16, 16)
    assert row["task.lengths"] == [1, 4] and row["optimizer.betas"] == [0.9, 0.95]
    assert row["memory.init.value"] == 1e-6  # a number, however YAML writes it
    assert (row["choices.model"], row["choices.memory.init"], row["choices.task"]) == ("ntm", "constant", "copy")
    assert "max_sequences=24" in row["overrides"]
    assert (row["seed"], row["sequences"], row["steps"], row["stopped_by"]) == (0, 24, 6, "max_sequences")
    assert not row["solved"] and math.isnan(row["sequences_to_solve"]) and math.isnan(row["steps_to_solve"])
    assert row["test"] == json.loads((finished / "results.json").read_text())["test"]
    assert list(row["overlap"]) == [f"length_00{length}" for length in range(1, 5)]
    assert not runs.columns.duplicated().any()


def test_solved_and_what_follows_from_it(sweep: Path) -> None:
    change(sweep / "seed=1", sequences_to_solve=16, seconds_to_solve=0.5)
    runs = read_runs(sweep)
    assert runs["solved"].tolist() == [False, True]
    assert runs.loc[1, ["sequences_to_solve", "steps_to_solve", "seconds_to_solve"]].tolist() == [16, 4, 0.5]
    assert runs[["sequences_to_solve", "steps_to_solve", "seconds_to_solve"]].dtypes.tolist() == [float] * 3


def test_ended_runs_only_sorted_by_path_each_once(sweep: Path) -> None:
    assert read_runs(sweep)["seed"].tolist() == [0, 1]
    assert read_runs([sweep / "seed=1", sweep])["seed"].tolist() == [0, 1]
    (sweep / "stray").mkdir()
    (sweep / "stray" / "results.json").write_text("[]")  # not of a run: there is no config.yaml
    assert [run.name for run in ended(sweep)] == ["seed=0", "seed=1"]


def test_settings_that_only_some_runs_have(sweep: Path) -> None:
    with (sweep / "seed=1" / "config.yaml").open("a") as file:
        file.write("extra:\n  deep: {rate: 0.5}\n  empty: {}\n")
    runs = read_runs(sweep)
    assert runs["extra.deep.rate"].isna().tolist() == [True, False]
    assert not any(column.startswith("extra.empty") for column in runs)


def test_curves_in_long_form(sweep: Path) -> None:
    table = pd.read_csv(sweep / "seed=0" / "metrics.csv")
    curves = read_curves(sweep, ["val/cost", "train/cost"])
    assert curves.columns.tolist() == ["run", "sequences", "step", "seconds", "name", "value"]
    assert [Path(run).name for run in curves["run"].unique()] == ["seed=0", "seed=1"]
    first = curves[curves["run"] == str(sweep / "seed=0")]
    validated = first[first["name"] == "val/cost"]
    assert validated["sequences"].tolist() == [8, 16, 24] and validated["step"].tolist() == [2, 4, 6]
    assert validated["value"].tolist() == table["val/cost"].dropna().tolist()
    assert first["name"].tolist() == ["val/cost"] * 3 + ["train/cost"] * len(table["train/cost"].dropna())


def test_curves_by_pattern(sweep: Path) -> None:
    names = read_curves(sweep, ["val_wrong_bits/*"])["name"].unique()
    assert list(names) == ["val_wrong_bits/length_002", "val_wrong_bits/length_004"]


def test_a_run_without_a_curve_has_no_rows(sweep: Path) -> None:
    (sweep / "seed=0" / "metrics.csv").write_text("sequences,step,seconds,other\n8,2,0.1,1.5\n")
    assert {Path(run).name for run in read_curves(sweep, ["val/cost"])["run"]} == {"seed=1"}


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("results.json", '{"seed": 1', "is damaged"),
        ("results.json", '{"seed": 1}', "is damaged (it has no parameters)"),
        ("results.json", "[]", "is damaged"),
        ("config.yaml", "a: [1", "is damaged"),
        ("config.yaml", "seed: 1", "is damaged (it has no data.batch_size)"),
        ("config.yaml", "just words", "is damaged"),
        ("config.yaml", "", "is damaged"),
    ],
)
def test_a_damaged_run_is_named_in_one_line(sweep: Path, file: str, text: str, told: str) -> None:
    (sweep / "seed=1" / file).write_text(text)
    with pytest.raises(ValueError) as caught:
        read_runs(sweep)
    assert str(caught.value).startswith(f"{sweep / 'seed=1' / file}: {told}") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "sequences,val/cost\n8,1\n", "sequences,step,seconds,val/cost\n8,2,0.1,many\n", 'sequences,step\n"8,2\n'],
    ids=["empty", "no-steps", "no-number", "no-table"],
)
def test_damaged_curves_are_named_in_one_line(sweep: Path, text: str) -> None:
    (sweep / "seed=1" / "metrics.csv").write_text(text)
    with pytest.raises(ValueError) as caught:
        read_curves(sweep, ["val/cost"])
    assert str(caught.value).startswith(f"{sweep / 'seed=1' / 'metrics.csv'}: is damaged")
    assert "\n" not in str(caught.value)


def test_what_is_not_there(sweep: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="seed=2: no run has ended there"):
        read_runs([sweep, sweep / "seed=2"])
    with pytest.raises(FileNotFoundError, match="nowhere: no run has ended there"):
        read_curves(tmp_path / "nowhere", ["val/cost"])
    with pytest.raises(ValueError, match=r"val/nothing: is in no metrics\.csv of .*sweep"):
        read_curves(sweep, ["val/cost", "val/nothing"])
    for run in ended(sweep):
        (run / "metrics.csv").unlink()
    with pytest.raises(FileNotFoundError, match="it takes logger=csv"):
        read_curves(sweep, ["val/cost"])
