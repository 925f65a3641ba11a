"""Sweeps of runs: their jobs, run and rerun until all have ended.

A sweep is a file of ``conf/experiment/<page>``, in its quick or its full form (``form=full``). Its jobs are run by
``python train.py -m`` through one of Hydra's launchers. Their state is read from their folders only.
"""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ntm_lab.files import held, write_whole
from ntm_lab.runs.folder import LOCK, RESULTS
from ntm_lab.runs.jobs import FAILURE, sweep_jobs

CONF = Path("conf")
SETTLED = ".settled"  # in a sweep's folder: all jobs have ended, with settings of this fingerprint
LOOK = 2.0  # seconds between two checks of the jobs
GRACE = 10.0  # seconds for stopped processes to clean up
LAUNCHERS = ("joblib", "basic", "submitit_local", "submitit_slurm")
CLUSTER = ("hydra.launcher.cpus_per_task=1", "hydra.launcher.timeout_min=240")  # a longer wait can be started again


@dataclass(frozen=True)
class Sweep:
    """A sweep, its folder, and the names of its jobs, which are the names of their folders in it."""

    name: str
    overrides: Sequence[str]
    folder: Path
    jobs: Sequence[str]

    @property
    def log(self) -> Path:
        """The output of the jobs, a file beside the folder."""
        return self.folder.with_name(f"{self.folder.name}.log")

    def ended(self) -> int:
        """The number of jobs that have ended."""
        return sum((self.folder / job / RESULTS).exists() for job in self.jobs)


def find_sweep(name: str, full: bool, out: Path, page: str = "report") -> Sweep:
    """The sweep of a name on a page, its runs in a folder of that name in ``out``; to be called in a clone of the
    project.

    Raises FileNotFoundError if there is no such sweep here.
    """
    for part in (Path("train.py"), CONF / "experiment" / page / f"{name}.yaml"):
        if not part.is_file():
            raise FileNotFoundError(f"{part}: is not in {Path.cwd()}; sweeps are run in a clone of the project")
    overrides = (f"experiment={page}/{name}", f"form={'full' if full else 'quick'}")
    return Sweep(name, overrides, out / name, sweep_jobs(CONF, *overrides))


def launcher_overrides(launcher: str, jobs: int | None = None, options: Sequence[str] = ()) -> list[str]:
    """The overrides for one of the LAUNCHERS: the number of jobs at once, by default the cores of this machine (a
    cluster has its own limits), and further options of the launcher, such as ``partition=cpu``."""
    own = {
        "joblib": [f"hydra.launcher.n_jobs={jobs or cores()}", "hydra.launcher.batch_size=1"],  # no bundles: those grow
        "basic": [],
        "submitit_local": [*CLUSTER, f"hydra.sweeper.max_batch_size={jobs or cores()}"],  # it starts all its jobs
        "submitit_slurm": [*CLUSTER, *([f"hydra.launcher.array_parallelism={jobs}"] if jobs else [])],
    }
    return [f"hydra/launcher={launcher}", *own[launcher], *(f"hydra.launcher.{option}" for option in options)]


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_sweep(sweep: Sweep, launcher: Sequence[str], look: Callable[[], object]) -> list[str]:
    """Run the jobs of a sweep that have not ended yet; a line for each that failed, with its name and the reason.

    A sweep whose jobs have all ended is not run, unless a file of conf/ has changed since: then each job checks that
    its settings are the same.

    Args:
        launcher: see `launcher_overrides`.
        look: called regularly, to show the progress.

    Raises ValueError if the folder holds runs of other settings or of another sweep.
    """
    sweep.folder.mkdir(parents=True, exist_ok=True)
    found = {path.parent.relative_to(sweep.folder).as_posix() for path in sweep.folder.rglob(RESULTS)}
    if others := sorted(found - {*sweep.jobs}):
        raise ValueError(f"{sweep.folder}: holds runs that are not of this sweep: {' '.join(others)}")
    settled = sweep.folder / SETTLED
    with held(sweep.folder / LOCK):
        fingerprint = _fingerprint()
        if sweep.ended() == len(sweep.jobs) and settled.exists() and settled.read_text() == fingerprint:
            return []
        while True:
            before = sweep.ended()
            status = _launch(sweep, launcher, look)
            if status == 0 or sweep.ended() == before:
                break  # otherwise a worker was killed, such as for lack of memory, and the launcher with it
        failures = list(_failures(sweep))
        if not failures:
            write_whole(settled, fingerprint)
    return failures


def command(sweep: Sweep, launcher: Sequence[str]) -> list[str]:
    """Hydra's multirun of a sweep, which may be stopped and started again at any moment."""
    folder = f"hydra.sweep.dir='{sweep.folder.resolve()}'"
    return [sys.executable, "train.py", "-m", *sweep.overrides, folder, *launcher]


def _launch(sweep: Sweep, launcher: Sequence[str], look: Callable[[], object]) -> int:
    """Run the multirun to its end and return its exit status. Its jobs have their own locks, so that it may outlive
    us."""
    with sweep.log.open("a") as log:
        process = subprocess.Popen(
            command(sweep, launcher),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of processes that can be stopped as one
        )
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(LOOK)
                look()
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the rest of a group of processes: by Ctrl-C, and then by force; no run is damaged."""
    with suppress(ProcessLookupError):  # none is left
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        limit = time.monotonic() + GRACE
        while time.monotonic() < limit:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _failures(sweep: Sweep) -> Iterator[str]:
    missing = 0
    for job in sweep.jobs:
        note, ended = sweep.folder / job / FAILURE, (sweep.folder / job / RESULTS).exists()
        if note.exists():
            reason = note.read_text().splitlines()[0]
            if ended:
                raise ValueError(reason)  # it was asked for other settings
            yield f"{sweep.name}: {job} failed: {reason.replace(f'{sweep.folder.resolve()}{os.sep}', '')}"
        elif not ended:
            missing += 1
    if missing:
        yield f"{sweep.name}: {missing} of {len(sweep.jobs)} jobs did not run; the end of {sweep.log} tells why"


def _fingerprint() -> str:
    """A fingerprint of all files of settings."""
    files = sorted(CONF.rglob("*.yaml"))
    return hashlib.sha256(b"\0".join(str(path).encode() + b"\0" + path.read_bytes() for path in files)).hexdigest()
