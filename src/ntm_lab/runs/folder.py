"""A run's folder: its files, its lock, a check that it can be written, and the command by which its run goes on.

``config.yaml`` (all that was set), ``versions.json``, ``checkpoints/last.ckpt``, ``metrics.csv``, TensorBoard's event
files, ``episode.png`` and, once the run has ended, ``results.json``. The process that works there holds ``.lock``.

A folder with a config but neither checkpoint nor results belongs to a run that was interrupted before its first step:
it starts over, by the same command or by ``resume=``.
"""

import errno
import os
import platform
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydra.core.utils import JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from ntm_lab.files import held
from ntm_lab.runs.config import CONFIG, RunError, as_text

FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG  # a full disk, an exhausted quota, a file too large
VERSIONS, RESULTS, CHECKPOINT, LOCK = "versions.json", "results.json", "checkpoints/last.ckpt", ".lock"
RANKS = (
    "RANK",
    "LOCAL_RANK",
    "NODE_RANK",
    "GROUP_RANK",
    "SLURM_PROCID",
)  # the variables from which Lightning takes the rank
PACKAGES = (
    "ntm_lab",
    "torch",
    "numba",
    "pytorch-lightning",
    "hydra-core",
    "omegaconf",
    "torchmetrics",
    "tensorboard",
    "numpy",
)


class CheckFolder(Callback):
    """Ends with one line, before Hydra makes a folder, if it cannot be made or the run to be resumed does not exist."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        with _ending():
            if config.get("resume") is not None:
                check_resumable(resumed_folder(config))
            check_writable("hydra.run.dir", Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        with _ending():
            check_writable("hydra.sweep.dir", Path(config.hydra.sweep.dir))


class SuggestNext(Callback):
    """Prints the commands to look at a run, or a sweep, that has just ended."""

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        if kwargs["job_return"].status == JobStatus.COMPLETED and is_first():
            folder = Path(config.hydra.run.dir) if config.get("resume") is None else resumed_folder(config)
            print(f"next: {_command('generalise', folder)}    # how far it works beyond its training")
            print(f"      {_command('show', folder)}          # watch it at work in the browser")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        print(f"\nnext: {_command('compare', Path(config.hydra.sweep.dir))}    # a table and a figure of all runs")


def resumed_folder(config: DictConfig) -> Path:
    """The folder of the run to go on with; RunError if there is no name."""
    name = str(config.resume)
    if not name.strip():
        raise RunError("resume=: must be the folder of a run")
    return Path(name)


@contextmanager
def _ending() -> Iterator[None]:
    """End the process; Hydra would turn an exception in a callback into a warning and go on."""
    try:
        yield
    except RunError as error:
        raise SystemExit(str(error)) from error


def check_writable(key: str, folder: Path) -> None:
    """Make a folder; RunError if it or a file in it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink(missing_ok=True)  # which another process of the run may have done
    except OSError as error:
        raise RunError(f"{key}={folder}: cannot be written ({error.strerror}); give a folder that can") from error


@contextmanager
def one_line_if_full(folder: Path) -> Iterator[None]:
    """Turn the error of a full disk into a RunError, which says whether there is a checkpoint."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        kept = (
            f"the last checkpoint is intact, and `{resume_command(folder)}` goes on from there"
            if (folder / CHECKPOINT).is_file()
            else "there is no checkpoint yet"
        )
        raise RunError(f"{folder}: cannot be written ({error.strerror}); {kept}") from error


def is_first() -> bool:
    """Whether this is the first of the processes that share a run, by the launcher's variables."""
    return all(os.environ.get(variable, "0") == "0" for variable in RANKS)


@contextmanager
def hold(folder: Path, wait: bool = False) -> Iterator[None]:
    """Lock a run's folder, so that no other process trains in it; if one does, wait for it or raise RunError."""
    with ExitStack() as stack:
        try:
            stack.enter_context(held(folder / LOCK, wait))
        except BlockingIOError as error:
            raise RunError(f"{error}; wait for it to end, or choose another folder") from error
        except OSError as error:
            raise RunError(f"{folder}: cannot be written ({error.strerror})") from error
        yield


def check_resumable(folder: Path) -> None:
    """Raise RunError if the folder holds no run that can go on, from its checkpoint or from the start."""
    try:
        if not folder.is_dir():
            raise RunError(f"resume={folder}: there is no such folder")
    except OSError as error:
        raise RunError(f"resume={folder}: there is no such folder ({error.strerror})") from error
    needed = (CONFIG, CHECKPOINT) if (folder / RESULTS).exists() else (CONFIG,)
    missing = [part for part in needed if not (folder / part).is_file()]
    if missing:
        raise RunError(f"resume={folder}: no run that can be continued, it has no {' and no '.join(missing)}")


def has_begun(folder: Path) -> bool:
    """Whether the run in a folder has a checkpoint or results, which would be lost if it started over."""
    return any((folder / part).exists() for part in (CHECKPOINT, RESULTS))


def resume_command(folder: Path) -> str:
    """The command, ready for a shell, by which the run in a folder goes on."""
    name = str(folder).replace("${", r"\${")  # not an interpolation
    return shlex.join(["python", "train.py", f"resume={as_text(name)}"])


def _command(name: str, folder: Path) -> str:
    return shlex.join(["ntm-lab", name, str(folder)])


def discard_if_unused(folder: Path) -> None:
    """Remove a folder that is empty except for the lock; the caller holds the lock."""
    if folder.is_dir() and {path.name for path in folder.iterdir()} <= {LOCK}:
        (folder / LOCK).unlink(missing_ok=True)
        with suppress(OSError):  # if another process has just begun to work there
            folder.rmdir()


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that a run uses."""
    return {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}
