"""A sweep that was killed on the way, three times, ends with the same table as one that was not."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ntm_lab.runs.folder import RESULTS
from ntm_lab.studies.results import read_curves, read_runs
from ntm_lab.studies.sweeps import Sweep, command, find_sweep, launcher_overrides, run_sweep

pytestmark = pytest.mark.slow

SEEDS = 4
STEPS = 40
BASIC = launcher_overrides("basic")
JOBLIB = launcher_overrides("joblib", 2)

# The job and the step at which the sweep is killed, its launcher, and what is killed: all of it, or the parent only,
# whose workers then go on with what they were given, four jobs at most.
KILLS = [(0, 21, JOBLIB, os.kill), (5, 13, BASIC, os.killpg), (6, 30, BASIC, os.killpg)]


@pytest.fixture
def sweep(clone: Path) -> Sweep:
    """Eight tiny runs."""
    path = clone / "conf/experiment/report/tiny.yaml"
    text = path.read_text().replace("range(0,2)", f"range(0,{SEEDS})")
    path.write_text(text.replace("max_sequences: 24", f"max_sequences: {4 * STEPS}"))
    return find_sweep("tiny", full=False, out=clone / "out")


@pytest.fixture
def begin() -> Iterator[Callable[[Sequence[str]], subprocess.Popen[bytes]]]:
    """Begins a command in a group of processes, and ends the group after the test."""
    begun = []

    def begin_command(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with open("log", "a") as log:
            begun.append(subprocess.Popen(arguments, env=environment, stdout=log, stderr=log, start_new_session=True))
        return begun[-1]

    yield begin_command
    for process in begun:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # which what cleans up after workers outlives
        process.wait()


def logged_step(run: Path) -> float:
    """The step of the last whole row of metrics.csv."""
    path = run / "metrics.csv"
    rows = path.read_text().split("\n")[1:-1] if path.exists() else []
    return float(rows[-1].split(",")[1]) if rows else 0.0


def table(folder: Path) -> pd.DataFrame:
    runs = read_runs(folder)
    timeless = runs.drop(columns=["run", "seconds", "seconds_to_solve"])
    return timeless.assign(run=[Path(run).name for run in runs["run"]], test=runs["test"].astype(str))


def test_a_killed_sweep_ends_with_the_same_table(
    sweep: Sweep, begin: Callable[[Sequence[str]], Any], clone: Path
) -> None:
    for number, step, launcher, kill in KILLS:
        job = sweep.folder / sweep.jobs[number]
        process = begin(command(sweep, launcher))
        limit = time.monotonic() + 300
        while logged_step(job) < step:
            assert process.poll() is None and not (job / RESULTS).exists(), Path("log").read_text()
            assert time.monotonic() < limit
            time.sleep(0.002)
        kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert kill is os.kill or not (job / RESULTS).exists()
        assert sweep.ended() < len(sweep.jobs)
    assert run_sweep(sweep, BASIC, lambda: None) == []
    assert sweep.ended() == len(sweep.jobs)

    whole = replace(sweep, folder=clone / "whole")
    assert run_sweep(whole, BASIC, lambda: None) == []
    pd.testing.assert_frame_equal(table(sweep.folder), table(whole.folder))
    curves = [
        read_curves(folder, ["train/cost", "val/cost"]).drop(columns=["run", "seconds"])
        for folder in (sweep.folder, whole.folder)
    ]
    pd.testing.assert_frame_equal(*curves)
    assert len(curves[0]) == len(sweep.jobs) * (STEPS + STEPS // 2)
