"""Checkpoints that are on disk whole or not at all, and hold plain values only."""

import io
import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes beside the old file and renames: a kill or a full disk at any moment leaves the old one as it was."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        whole = io.BytesIO()  # on a full disk torch.save would end in an error of its own, which does not say so
        torch.save(checkpoint, whole)
        try:
            with partial.open("wb") as file:
                file.write(whole.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        checkpoint: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
        return checkpoint


class LastCheckpoint(Checkpoint):
    """Keeps one checkpoint: of the untrained model, then of every validation, when all other callbacks heard of it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        if trainer.ckpt_path is None:  # a resumed run has one
            trainer.save_checkpoint(self.path)

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        trainer.save_checkpoint(self.path)
