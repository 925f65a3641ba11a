"""A run's folder: what is in it, and that it can be written.

``config.yaml`` (all that was set), ``versions.json``, ``checkpoints/last.ckpt``, ``metrics.csv``, TensorBoard's event
files, ``episode.png`` and, once the run has ended, ``results.json``.
"""

import errno
import platform
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from ntm_lab.runs.config import CONFIG, RunError

FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG  # no more of a disk, of a quota, of a file
VERSIONS, RESULTS, CHECKPOINT = "versions.json", "results.json", "checkpoints/last.ckpt"
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
    """Ends with one line, before Hydra makes a folder, if it cannot be made or the run to be resumed is not there."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        with _ending():
            if config.get("resume") is not None:
                check_complete(Path(str(config.resume)))
            check_writable("hydra.run.dir", Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        with _ending():
            check_writable("hydra.sweep.dir", Path(config.hydra.sweep.dir))


@contextmanager
def _ending() -> Iterator[None]:
    """End the process: of an exception in a callback Hydra makes a warning, and goes on."""
    try:
        yield
    except RunError as error:
        raise SystemExit(str(error)) from error


def check_writable(key: str, folder: Path) -> None:
    """Make a folder; RunError if that or a file in it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink(missing_ok=True)  # which another process of the run may have done
    except OSError as error:
        raise RunError(f"{key}={folder}: cannot be written ({error.strerror}); give a folder that can") from error


@contextmanager
def one_line_if_full(folder: Path) -> Iterator[None]:
    """A disk with no space left for a run is a RunError, which says what is there."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        kept = (
            f"the last checkpoint is intact, and resume={folder} goes on from there"
            if (folder / CHECKPOINT).is_file()
            else "there is no checkpoint yet"
        )
        raise RunError(f"{folder}: cannot be written ({error.strerror}); {kept}") from error


def check_complete(folder: Path) -> None:
    """RunError if the folder holds no run that can be resumed."""
    if not folder.is_dir():
        raise RunError(f"resume={folder}: there is no such folder")
    missing = [part for part in (CONFIG, CHECKPOINT) if not (folder / part).is_file()]
    if missing:
        raise RunError(f"resume={folder}: no run that can be continued, it has no {' and no '.join(missing)}")


def discard_if_empty(folder: Path) -> None:
    """Remove a folder that Hydra made for nothing."""
    with suppress(OSError):
        folder.rmdir()


def resume_command(folder: Path) -> str:
    """The command that goes on with a run, quoted for Hydra and for the shell."""
    text = str(folder)
    plain = re.fullmatch(r"[\w./-]+", text, re.ASCII)
    return shlex.join(
        ["python", "train.py", f"resume={text if plain else QuotedString(text, Quote.single).with_quotes()}"]
    )


def versions() -> dict[str, str]:
    """What a run is made with."""
    return {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}
