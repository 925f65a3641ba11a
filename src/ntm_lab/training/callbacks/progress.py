"""A progress bar over the sequences of a run, with the cost and the wrong answers beside it."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only
from tqdm.auto import tqdm

from ntm_lab.checks import at_least
from ntm_lab.training.learner import Learner


class ProgressBar(pl.Callback):
    """Redrawn every ``every`` steps; shows the newest training and validation results.

    It ends where the run will: at its budget, or where the schedule finishes once the task is learned. The time left
    assumes the mean speed so far, validations included.
    """

    def __init__(self, every: int = 10) -> None:
        self.every = at_least("callbacks.progress.every", every, 1)
        self.bar: Any = None

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        end, seen = self._end(learner), learner.sequences
        self.bar = tqdm(total=end, initial=seen, unit=" sequences", dynamic_ncols=True, smoothing=0)

    @rank_zero_only
    def on_train_batch_end(self, trainer: pl.Trainer, learner: pl.LightningModule, *args: Any) -> None:
        if trainer.global_step % self.every == 0:
            self._draw(learner)

    @rank_zero_only
    def on_validation_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        self._draw(learner)

    @rank_zero_only
    def on_train_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        self.bar.close()

    def on_exception(self, trainer: pl.Trainer, learner: pl.LightningModule, exception: BaseException) -> None:
        if self.bar is not None:
            self.bar.close()

    def _draw(self, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        shown_by = {m.kind if m.kind == "cost" else m.words: m.logged for m in learner.answer.measures}
        shown = {
            prefix + words: f"{learner.latest[f'{part}/{logged}']:.2f}"
            for part, prefix in (("train", ""), ("val", "val "))
            for words, logged in shown_by.items()
            if words != "exact" and f"{part}/{logged}" in learner.latest
        }
        self.bar.set_postfix(shown, refresh=False)
        self.bar.total = self._end(learner)
        self.bar.update(learner.sequences - self.bar.n)

    def _end(self, learner: Learner) -> int:
        budget, finish = learner.data.total_steps * learner.data.batch_size, learner.schedule.finishes_at
        if learner.stop_at_cost is None or finish is None:
            return budget
        return min(budget, max(finish, learner.sequences))
