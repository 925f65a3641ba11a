"""A run's folder: what is in it, and that it can be written.

``config.yaml`` (all that was set), ``versions.json``, ``checkpoints/last.ckpt``, ``metrics.csv``, TensorBoard's event
files, ``episode.png`` and, once the run has ended, ``results.json``.
"""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from ntm_lab.runs.config import CONFIG

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
        if config.get("resume") is not None:
            check_complete(Path(str(config.resume)))
        _check_writable("hydra.run.dir", Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        _check_writable("hydra.sweep.dir", Path(config.hydra.sweep.dir))


def _check_writable(key: str, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SystemExit(f"{key}={folder}: cannot be written ({error.strerror}); give a folder that can") from error


def check_complete(folder: Path) -> None:
    """SystemExit, with a line that says why, if the folder holds no run that can be resumed."""
    if not folder.is_dir():
        raise SystemExit(f"resume={folder}: there is no such folder")
    missing = [part for part in (CONFIG, CHECKPOINT) if not (folder / part).is_file()]
    if missing:
        raise SystemExit(f"resume={folder}: no run that can be continued, it has no {' and no '.join(missing)}")


def discard_if_empty(folder: Path) -> None:
    """Remove a folder that Hydra made for nothing."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def versions() -> dict[str, str]:
    """What a run is made with."""
    return {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}
