"""Tests beyond the training range during training: whether a model generalises, and since when."""

from collections.abc import Sequence

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only

from ntm_lab.checks import at_least, positive
from ntm_lab.tasks.difficulties import hardest, label, seeded
from ntm_lab.training.data import VALIDATION_SEED
from ntm_lab.training.learner import Learner, uneven_lengths, widened
from ntm_lab.types import Batch, Difficulty, Task

KEY = "callbacks.far"


class FarDifficulties(pl.Callback):
    """Logs ``far_cost/length_040`` and ``far_wrong_bits/length_040``, or the errors that the task's answer counts,
    both per sequence, for every difficulty.

    Before the first step, every ``every`` validations and at the last one. The sequences are the same throughout and in
    all runs, drawn by their own generator, and differ from those of validation. The callback changes nothing in a run,
    not even its seconds of training.

    Args:
        difficulties: such as ``[{"length": 40}, {"length": 120}]``; None: the hardest of training times `multiples`.
        multiples: of all axes together that have a range in training, or of the first one if none has.
        sequences: per difficulty.
        every: validations between two evaluations.

    Raises ValueError for an invalid difficulty when training begins.
    """

    def __init__(
        self,
        difficulties: Sequence[Difficulty] | None = None,
        multiples: Sequence[float] = (0.5, 1, 1.5, 2, 3),
        sequences: int = 16,
        every: int = 1,
    ) -> None:
        for name, given in (("difficulties", difficulties), ("multiples", multiples)):
            if given is not None and (isinstance(given, str) or not isinstance(given, Sequence)):
                raise ValueError(f"{KEY}.{name}={given}: must be a list")
        self.difficulties = difficulties
        self.multiples = [positive(f"{KEY}.multiples", multiple) for multiple in multiples]
        self.sequences = at_least(f"{KEY}.sequences", sequences, 1)
        self.every = at_least(f"{KEY}.every", every, 1)
        self.batches: dict[str, Batch] = {}  # by the label of their difficulty

    def on_train_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        self._draw(learner.data.task.split("validation"))
        if trainer.ckpt_path is None:  # a resumed run has already done this
            self._evaluate(learner)

    def on_validation_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        due = trainer.global_step // learner.data.round_steps % self.every == 0
        last = trainer.should_stop or trainer.global_step >= learner.data.total_steps
        if due or last:
            self._evaluate(learner)

    def _draw(self, task: Task) -> None:
        generator = seeded(VALIDATION_SEED, "far")
        for difficulty in beyond(task, self.multiples) if self.difficulties is None else self.difficulties:
            try:
                self.batches[label(difficulty)] = task.sample(self.sequences, dict(difficulty), generator)
            except ValueError as error:
                raise ValueError(f"{KEY}.difficulties={dict(difficulty)}: {error}") from error

    @rank_zero_only
    @torch.no_grad()
    def _evaluate(self, learner: Learner) -> None:
        values: dict[str, float] = {}
        for name, batch in self.batches.items():
            batch = learner.as_trained(batch)
            outputs, _ = learner.model(batch.inputs, lengths=uneven_lengths(batch))
            measured = learner.answer.measure(widened(outputs), batch.targets, batch.mask)
            for measure in learner.answer.measures:
                if measure.kind != "exact":
                    values[f"far_{measure.logged}/{name}"] = float(measured[measure.name].double().mean())
        learner.log_now(values)


def beyond(task: Task, multiples: Sequence[float]) -> list[dict[str, int]]:
    """The hardest difficulty of training times each multiple, on all axes that have a range in training (the first axis
    if none has), rounded and at least as hard as the easiest; each once."""
    growing = [axis for axis, (low, high) in task.ranges.items() if low < high] or [*task.ranges][:1]
    points = [
        {
            axis: max(task.ranges[axis][0], round(multiple * high)) if axis in growing else high
            for axis, high in hardest(task).items()
        }
        for multiple in sorted(multiples)
    ]
    return [point for index, point in enumerate(points) if point not in points[:index]]
