"""Weights of a model during its training, to see later how it learns to use its memory."""

from pathlib import Path

import pytorch_lightning as pl
from safetensors.torch import save

from ntm_lab.training.learner import Learner

FOLDER = "moments"  # in a run's folder


class Moments(pl.Callback):
    """Keeps the weights before training, then after the validations 1, 2, 3, 4, 6, 8, 12, 16, …, two in each doubling.

    Most happens early. The files are ``moments/00003200.safetensors`` in the run's folder, by the
    sequences seen; `ntm-lab show` has a slider over them.
    """

    def on_train_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        if trainer.ckpt_path is None:  # a resumed run has already done this
            self._keep(trainer, learner)

    def on_validation_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        if is_due(trainer.global_step // learner.data.round_steps):
            self._keep(trainer, learner)

    def _keep(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        folder = Path(trainer.default_root_dir) / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        plain = {name: part.detach().float().cpu().contiguous() for name, part in learner.model.state_dict().items()}
        path = folder / f"{learner.sequences:08d}.safetensors"
        partial = path.with_name(f"{path.name}.partial")
        partial.write_bytes(save(plain))
        partial.replace(path)


def is_due(validation: int) -> bool:
    """Whether a validation, counted from 1, is a power of two or three times one."""
    odd = validation // (validation & -validation) if validation else 0
    return odd in (1, 3)
