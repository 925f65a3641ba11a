"""`ntm-lab reproduce`: what it trains, makes and tells, for a study of four tiny runs, half of which fail."""

import io
import json
import re
import shutil
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from ntm_lab.cli import main
from ntm_lab.cli.reproduce import progress
from ntm_lab.studies import field, machines, report
from ntm_lab.studies.sweeps import find_sweep

CLAIM = "Sixteen slots are enough."
STUDY = f'''
from matplotlib.figure import Figure

from ntm_lab.studies import Study, Verdict
from ntm_lab.studies.results import read_runs


def measure(folders, full):
    return read_runs(folders["tiny"])[["memory.slots", "seed", "sequences"]].assign(full=full)


def draw(table):
    return Figure(figsize=(1, 1))


def judge(table):
    return Verdict("reproduced" if len(table) == 2 else "too few seeds", f"{{len(table)}} runs.")


STUDY = Study("tiny", "{CLAIM}", ("tiny",), measure, draw, judge, lambda table: table)
'''
FAILED = "memory.slots=0: must be a whole number of at least 1"


@pytest.fixture(autouse=True)
def studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only study there is."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "tiny.py").write_text(STUDY)
    monkeypatch.setattr(report, "__path__", [str(modules)])
    monkeypatch.setattr(report, "NAMES", ("tiny",))
    for other in (machines, field):
        monkeypatch.setattr(other, "NAMES", ())
    monkeypatch.setattr(report, "OTHER_NAMES", {"small": "tiny"})
    monkeypatch.delitem(sys.modules, f"{report.__name__}.tiny", raising=False)


class Terminal(io.StringIO):
    """Where a bar is drawn."""

    def isatty(self) -> bool:
        return True


def reproduce(*arguments: str) -> int:
    return main(["reproduce", *arguments])


@pytest.mark.slow
def test_a_study_is_made_of_the_runs_that_there_are(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = clone / "conf/experiment/report/tiny.yaml"
    experiment.write_text(experiment.read_text().replace('memory.init: "constant,learned"', 'memory.slots: "0,16"'))

    assert reproduce("--list") == 0
    assert capsys.readouterr().out.splitlines() == ["tiny", f"    {CLAIM}", "    jobs that have ended: tiny 0/4"]

    assert reproduce("tiny", "small", "--launcher", "basic") == 2
    said = capsys.readouterr()
    assert said.out.splitlines() == ["tiny: reproduced: 2 runs.", "page in runs/report/quick/report.md"]
    assert said.err.splitlines() == [
        *(f"tiny: memory.slots=0,seed={seed} failed: {FAILED}" for seed in (0, 1)),
        "ntm-lab reproduce: 2 of the jobs and studies failed; the page shows the others",
    ]
    out = clone / "runs/report/quick"
    assert {path.name for path in out.iterdir()} == {
        *("report.md", "tiny.csv", "tiny.json", "tiny.log", "tiny.png", "tiny")
    }
    assert pd.read_csv(out / "tiny.csv").to_dict("list") == {
        "memory.slots": [16, 16],
        "seed": [0, 1],
        "sequences": [24, 24],
        "full": [False, False],
    }
    facts = json.loads((out / "tiny.json").read_text())
    assert (facts["command"], facts["cores"], facts["runs"], facts["seeds"]) == ("ntm-lab reproduce tiny", 1, 2, 2)
    assert facts["failed"] == said.err.splitlines()[:2]
    page = (out / "report.md").read_text()
    assert f"> {CLAIM}" in page and "**Reproduced**: 2 runs." in page and f"- {said.err.splitlines()[0]}" in page

    assert reproduce("--list") == 0
    assert capsys.readouterr().out.splitlines()[2] == "    jobs that have ended: tiny 2/4"

    shutil.rmtree(out / "tiny")
    (out / "tiny.png").unlink()
    (out / "tiny.csv").write_text("memory.slots,seed,sequences,full\n16,0,24,False\n")
    assert reproduce("all", "--redraw") == 0
    assert capsys.readouterr().out.splitlines()[0] == "tiny: too few seeds: 1 runs."
    assert (out / "tiny.png").exists() and not (out / "tiny").exists()
    assert "**Too few seeds**: 1 runs." in (out / "report.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["figure99"], "figure99: must be one of tiny, all, report, machines, field"),
        ([], "STUDY: must be one of those that --list names, or a page"),
        (["tiny", "--jobs", "0"], "--jobs=0: must be a whole number of at least 1"),
    ],
)
def test_what_is_not_there_is_one_line(
    arguments: list[str], says: str, clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce(*arguments) == 2
    assert capsys.readouterr().err.splitlines() == [f"ntm-lab reproduce: {says}"]


def test_outside_a_clone_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert reproduce("tiny") == 2
    said = f"ntm-lab reproduce: train.py: is not in {tmp_path}; sweeps are run in a clone of the project"
    assert capsys.readouterr().err.splitlines() == [said]
    assert not (tmp_path / "runs").exists()


def test_a_study_that_cannot_be_made_does_not_stop_the_others(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce("tiny", "--redraw") == 2
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("tiny: runs/report/quick/tiny.csv: is not there yet")
    assert last.startswith("ntm-lab reproduce: 1 of the jobs and studies failed")


def test_the_bar_counts_what_ended_before_and_estimates_what_is_left(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = find_sweep("tiny", full=False, out=clone / "out")
    (sweep.folder / sweep.jobs[1]).mkdir(parents=True)
    (sweep.folder / sweep.jobs[1] / "results.json").touch()
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress([sweep]) as bar:
        time.sleep(0.2)
        bar.update(1)
        drawn = sys.stderr.getvalue().split("\r")
    assert "1/4 [00:00<?, ? jobs/s]" in drawn[1]
    assert re.search(r"2/4 \[00:00<00:00,  [1-5]\.\d+ jobs/s\]", drawn[-1])  # one in 0.2 s or more
