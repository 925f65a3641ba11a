"""Checkpoints that are written whole or not at all, hold plain values only, and are read only if intact."""

import hashlib
import io
import os
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

SETTINGS = "settings"  # the key of a checkpoint under which the settings of its run are
SEAL = "archive/sha256"  # the member of the archive with the digest of its directory


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes beside the old file and renames: a kill or a full disk at any moment leaves the old one as it was."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        whole = io.BytesIO()  # on a full disk torch.save would raise an error that does not say so
        torch.save(checkpoint, whole)
        try:
            with partial.open("w+b") as file:
                file.write(whole.getbuffer())
                seal(file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        return read_checkpoint(Path(path), map_location)


class LastCheckpoint(Checkpoint):
    """Keeps one checkpoint: of the untrained model, then of every validation, after all other callbacks.

    Args:
        path: the file.
        settings: of the run, plain values by dotted keys, stored in the checkpoint too.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.settings = dict(settings)

    def on_train_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        if trainer.ckpt_path is None:  # a resumed run has one
            trainer.save_checkpoint(self.path)

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        trainer.save_checkpoint(self.path)

    def on_save_checkpoint(self, trainer: pl.Trainer, learner: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[SETTINGS] = self.settings


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """The values in a checkpoint, which can hold no code; ValueError if it is damaged or no checkpoint."""
    try:
        with path.open("rb") as file:
            check_archive(file)
            file.seek(0)
            checkpoint = torch.load(file, map_location=map_location, weights_only=True)
        if not isinstance(checkpoint, dict):
            raise ValueError(f"it is a {type(checkpoint).__name__}")
    except Exception as error:  # a damaged file may raise anything
        raise ValueError(f"is damaged or only half written ({_reason(error)})") from error
    return checkpoint


def seal(file: IO[bytes]) -> None:
    """Add the digest of its directory to an archive that was just written: `check_archive` then detects a member whose
    name, place, size or content has changed."""
    with ZipFile(file, "a") as archive:
        archive.writestr(SEAL, _digest(archive.infolist()))


def check_archive(file: IO[bytes]) -> None:
    """Raise ValueError or BadZipFile for an archive that has changed since it was written: PyTorch compares no
    checksums.

    Archives of other versions have no seal; for them only the checksums of the members are compared.
    """
    with ZipFile(file) as archive:
        members = archive.infolist()
        file_size = file.seek(0, os.SEEK_END)
        if any(one.compress_type != ZIP_STORED for one in members) or sum(m.file_size for m in members) > file_size:
            raise ValueError("it stands for more bytes than it has")
        changed = archive.testzip()
        if changed is not None:
            raise ValueError(f"{changed} is not what was written")
        if SEAL in archive.namelist():
            sealed = [one for one in members if one.filename != SEAL]
            if archive.read(SEAL).decode() != _digest(sealed):
                raise ValueError("its directory is not what was written")


def _digest(members: Iterable[ZipInfo]) -> str:
    directory = "\n".join(f"{one.filename} {one.file_size} {one.CRC}" for one in members)
    return hashlib.sha256(directory.encode()).hexdigest()


def _reason(error: Exception) -> str:
    """The reason in one line, without PyTorch's advice to run a pickle that would run code."""
    if isinstance(error, pickle.UnpicklingError):
        return "it holds more than plain values"
    return next(iter(str(error).splitlines()), type(error).__name__)
