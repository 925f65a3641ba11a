"""A progress bar over the sequences of a run, with the cost and the wrong bits beside it."""

from typing import Any

import pytorch_lightning as pl
from tqdm.auto import tqdm

from ntm_lab.checks import at_least
from ntm_lab.training.learner import Learner


class ProgressBar(pl.Callback):
    """Redrawn every ``every`` steps; shows the newest training and validation results."""

    def __init__(self, every: int = 10) -> None:
        self.every = at_least("callbacks.progress.every", every, 1)
        self.bar: Any = None

    def on_train_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        total = learner.data.total_steps * learner.data.batch_size
        self.bar = tqdm(total=total, initial=learner.sequences, unit=" sequences", dynamic_ncols=True)

    def on_train_batch_end(self, trainer: pl.Trainer, learner: pl.LightningModule, *args: Any) -> None:
        if trainer.global_step % self.every == 0:
            self._draw(learner)

    def on_validation_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        self._draw(learner)

    def on_train_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        self.bar.close()

    def on_exception(self, trainer: pl.Trainer, learner: pl.LightningModule, exception: BaseException) -> None:
        if self.bar is not None:
            self.bar.close()

    def _draw(self, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        shown = {
            name: f"{learner.latest[key]:.2f}"
            for name, key in (
                ("cost", "train/cost"),
                ("wrong bits", "train/wrong_bits"),
                ("val cost", "val/cost"),
                ("val wrong bits", "val/wrong_bits"),
            )
            if key in learner.latest
        }
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(learner.sequences - self.bar.n)
