"""The measures of a task's answer over all sequences of a validation."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from ntm_lab.types import Answer


class SequenceMeans(Metric):
    """Each measure's mean per sequence, by the name it is logged under, however the sequences were batched."""

    is_differentiable = False
    full_state_update = False
    totals: Tensor
    sequences: Tensor

    def __init__(self, answer: Answer, **settings: Any) -> None:
        super().__init__(**settings)
        self.answer = answer
        totals = torch.zeros(len(answer.measures), dtype=torch.float64)
        self.add_state("totals", totals, dist_reduce_fx="sum")
        self.add_state("sequences", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, outputs: Tensor, targets: Tensor, mask: Tensor) -> None:
        measured = self.answer.measure(outputs, targets, mask).values()
        self.totals += torch.stack([each.sum(dtype=torch.float64) for each in measured])
        self.sequences += len(outputs)

    def compute(self) -> dict[str, Tensor]:
        means = self.totals / self.sequences
        return {measure.logged: mean for measure, mean in zip(self.answer.measures, means, strict=True)}
