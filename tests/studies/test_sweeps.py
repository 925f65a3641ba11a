"""Sweeps: what jobs there are, how they are run, stopped, and left alone, and what is said of those that fail."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ntm_lab.runs.jobs import FAILURE, sweep_jobs
from ntm_lab.studies import sweeps
from ntm_lab.studies.sweeps import Sweep, find_sweep, launcher_overrides, run_sweep

CONF = Path(__file__).parents[2] / "conf"
REPORT = CONF / "experiment" / "report"
SWEEPS = [path.stem for path in sorted(REPORT.glob("*.yaml")) if path.stem != "base"]
needs_proc = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="there is no /proc")
BASIC = launcher_overrides("basic")


def nothing() -> None:
    """To be called while a sweep runs."""


@pytest.fixture
def edit(clone: Path) -> Callable[[str, str], None]:
    """Replace a part of the tiny sweep's file."""
    path = clone / "conf/experiment/report/tiny.yaml"

    def replace(old: str, new: str) -> None:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return replace


@pytest.fixture
def tiny(clone: Path, edit: Callable[[str, str], None]) -> Callable[[], Sweep]:
    """``tiny()``: the sweep as its file is now; at first two jobs."""
    edit("constant,learned", "constant")
    return lambda: find_sweep("tiny", full=False, out=clone / "out")


@pytest.mark.parametrize("form", ["quick", "full"])
@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_has_jobs_whose_names_a_disk_can_hold(name: str, form: str) -> None:
    jobs = sweep_jobs(CONF, f"experiment=report/{name}", f"form={form}")
    assert len(jobs) == len(set(jobs)) > 0
    assert max(len(job.encode()) for job in jobs) <= 255 and not any("/" in job for job in jobs)
    seeds = {part for job in jobs for part in job.split(",") if part.startswith("seed=")}
    assert len(seeds) == 20 if form == "full" else len(seeds) >= 5


@pytest.mark.slow
def test_a_sweep_is_run_then_left_alone_then_checked(
    tiny: Callable[[], Sweep], edit: Callable[[str, str], None], digest: Callable[[Path], str]
) -> None:
    sweep = tiny()
    assert sweep.ended() == 0
    assert run_sweep(sweep, BASIC, nothing) == []
    assert sweep.ended() == len(sweep.jobs) == 2
    assert sweep.log.read_text().count("fresh sequences") == 2

    before = digest(sweep.folder)
    assert run_sweep(sweep, BASIC, nothing) == []
    assert digest(sweep.folder) == before

    edit("max_sequences: 24", "max_sequences: 32")
    with pytest.raises(ValueError, match=r"seed=0: holds a run with max_sequences=24, not 32; choose another"):
        run_sweep(tiny(), BASIC, nothing)
    edit("max_sequences: 32", "max_sequences: 24")
    edit('seed: "range(0,2)"', 'seed: "range(0,3)"')
    assert run_sweep(tiny(), BASIC, nothing) == []
    assert sweep.log.read_text().count("fresh sequences") == 3
    assert not list(sweep.folder.rglob(FAILURE))

    edit('seed: "range(0,3)"', 'seed: "range(0,2)"')
    with pytest.raises(ValueError, match=r"holds runs that are not of this sweep: memory.init=constant,seed=2$"):
        run_sweep(tiny(), BASIC, nothing)


@pytest.mark.slow
def test_a_failed_job_is_told_and_the_others_go_on(tiny: Callable[[], Sweep], edit: Callable[[str, str], None]) -> None:
    edit('memory.init: "constant"', 'memory.slots: "0,16"')
    sweep = tiny()
    assert run_sweep(sweep, BASIC, nothing) == [
        f"tiny: memory.slots=0,seed={seed} failed: memory.slots=0: must be a whole number of at least 1"
        for seed in (0, 1)
    ]
    assert sweep.ended() == 2


def test_where_a_failed_job_is_stays_on_its_machine(tiny: Callable[[], Sweep]) -> None:
    """What failed is told on a page, which may be published."""
    sweep = tiny()
    for job in sweep.jobs:
        folder = sweep.folder / job
        folder.mkdir(parents=True)
        (folder / FAILURE).write_text(f"norm is nan; the batch is in {folder.resolve()}/batch.pt\n")
    first, _ = sweeps._failures(sweep)
    assert first == f"tiny: {sweep.jobs[0]} failed: norm is nan; the batch is in {sweep.jobs[0]}/batch.pt"


@pytest.mark.slow
def test_what_does_not_run_at_all_is_told(tiny: Callable[[], Sweep]) -> None:
    sweep = tiny()
    (told,) = run_sweep(sweep, ["hydra/launcher=rocket"], nothing)
    assert told == f"tiny: 2 of 2 jobs did not run; the end of {sweep.log} tells why"
    assert "Could not find 'hydra/launcher/rocket'" in sweep.log.read_text()


@pytest.mark.slow
def test_submitit_runs_the_jobs_too(tiny: Callable[[], Sweep], edit: Callable[[str, str], None]) -> None:
    edit("range(0,2)", "range(0,1)")
    sweep = tiny()
    assert run_sweep(sweep, launcher_overrides("submitit_local", 2, ["timeout_min=5"]), nothing) == []
    assert sweep.ended() == 1
    assert list((sweep.folder / ".submitit").rglob("*_submitted.pkl"))
    logs = [path.read_text() for path in (sweep.folder / ".submitit").rglob("*.out")]
    assert sum("fresh sequences" in text for text in logs) == 1


def multirun(sweep: Sweep) -> int:
    """The process that runs a sweep, whose number is that of its group."""
    wanted = f"hydra.sweep.dir='{sweep.folder}'".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            found += [int(path.parent.name)] * (wanted in path.read_bytes())
    (process,) = found
    return process


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_ctrl_c_stops_everything(launcher: str, tiny: Callable[[], Sweep], edit: Callable[[str, str], None]) -> None:
    """Two jobs that would take hours are stopped in their midst."""
    edit("max_sequences: 24", "max_sequences: 1_000_000")
    sweep, group, limit = tiny(), 0, time.monotonic() + 240

    def interrupt() -> None:
        nonlocal group
        assert time.monotonic() < limit, sweep.log.read_text()
        if all((sweep.folder / job / "metrics.csv").exists() for job in sweep.jobs):
            group = multirun(sweep)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(sweep, launcher_overrides(launcher, 2), interrupt)
    limit = time.monotonic() + 10
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < limit:
            os.killpg(group, 0)
            time.sleep(0.05)
    assert sweep.ended() == 0


@pytest.mark.slow
@needs_proc
def test_a_sweep_that_is_killed_from_outside_is_begun_again(
    tiny: Callable[[], Sweep], edit: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for lack of memory; once it has ended a job, so that there is hope."""
    monkeypatch.setattr(sweeps, "LOOK", 0.01)
    edit("max_sequences: 24", "max_sequences: 400")
    sweep, killed = tiny(), []

    def kill() -> None:
        if not killed and sweep.ended():
            killed.append(multirun(sweep))
            os.kill(killed[0], signal.SIGKILL)

    assert run_sweep(sweep, BASIC, kill) == []
    assert killed and sweep.ended() == 2


@pytest.mark.parametrize("gone", ["train.py", "conf/experiment/report/tiny.yaml"])
def test_sweeps_are_run_in_a_clone(gone: str, tiny: Callable[[], Sweep], clone: Path) -> None:
    (clone / gone).unlink()
    with pytest.raises(FileNotFoundError, match=rf"^{gone}: is not in {clone}; sweeps are run in a clone"):
        tiny()


def test_the_full_form_is_the_same_file(clone: Path, edit: Callable[[str, str], None]) -> None:
    edit('"range(0,2)"', "\"${form:'range(0,2)','range(0,20)'}\"")
    sweep = find_sweep("tiny", full=True, out=clone / "out")
    assert sweep.overrides == ("experiment=report/tiny", "form=full")
    assert len(sweep.jobs) == 40 and "memory.init=learned,seed=19" in sweep.jobs
    assert len(find_sweep("tiny", full=False, out=clone / "out").jobs) == 4


def test_a_cluster_is_told_what_it_can_know(composed: Callable[..., Any]) -> None:
    """The names of all options are right: Hydra refuses others."""
    launcher = composed(*launcher_overrides("submitit_slurm", 8, ["partition=cpu", "timeout_min=600"])).hydra.launcher
    assert (launcher.array_parallelism, launcher.cpus_per_task) == (8, 1)
    assert (launcher.partition, launcher.timeout_min) == ("cpu", 600)
    assert composed(*launcher_overrides("submitit_slurm")).hydra.launcher.array_parallelism > 100
