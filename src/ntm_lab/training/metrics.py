"""What a sequence costs, in bits, and what it gets wrong; the functions a sequence, the metrics their mean.

Shapes: logits, probabilities and targets (B, T, O), mask (B, T) bool, the steps that are scored. What stands at a step
that is not scored, be it infinite or NaN, counts for nothing and gets no gradient.
"""

import math
from abc import abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric, MetricCollection


def cost_bits(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy in bits, Σ −log₂ P(target) over the scored steps and the channels; differentiable -> (B,)."""
    scored = mask.unsqueeze(-1)  # (B, T, 1)
    # A weight of 0 alone would let NaN through (0 · NaN = NaN), so the logits behind it are replaced as well.
    nats = F.binary_cross_entropy_with_logits(
        logits.masked_fill(~scored, 0), targets.to(logits.dtype), weight=scored.to(logits.dtype), reduction="none"
    )
    return nats.flatten(1).sum(1) / math.log(2)


def cost_bits_of_probabilities(probabilities: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """As `cost_bits`, of P(1) itself, such as a task's `solve` gives: 0 if exactly right, inf if exactly wrong -> (B,).

    A logit would have to be infinite to say "certainly", hence two functions.
    """
    of_target = torch.where(targets > 0.5, probabilities, 1 - probabilities)
    bits = -torch.log2(of_target)
    return bits.masked_fill(~mask.unsqueeze(-1), 0).flatten(1).sum(1)


def wrong_bits(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """How many scored outputs are on the wrong side of 0.5; a logit of NaN is always wrong -> (B,) int64."""
    right = torch.where(targets > 0.5, logits > 0, logits <= 0)
    return (~right & mask.unsqueeze(-1)).flatten(1).sum(1)


class MeanPerSequence(Metric):
    """The mean over all sequences seen, however they were batched, of what `measure` says of each."""

    is_differentiable = False
    full_state_update = False
    total: Tensor
    sequences: Tensor

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("sequences", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @abstractmethod
    def measure(self, logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """One number for each sequence -> (B,)."""

    def update(self, logits: Tensor, targets: Tensor, mask: Tensor) -> None:
        self.total += self.measure(logits, targets, mask).sum(dtype=torch.float64)
        self.sequences += len(logits)

    def compute(self) -> Tensor:
        return self.total / self.sequences


class CostBits(MeanPerSequence):
    """Cross-entropy in bits per sequence: what Graves plots."""

    higher_is_better = False

    def measure(self, logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        return cost_bits(logits, targets, mask)


class WrongBits(MeanPerSequence):
    """Outputs on the wrong side of 0.5 per sequence: what Collier and Beel plot."""

    higher_is_better = False

    def measure(self, logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        return wrong_bits(logits, targets, mask)


class Exact(MeanPerSequence):
    """The fraction of sequences with no wrong bit."""

    higher_is_better = True

    def measure(self, logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        return wrong_bits(logits, targets, mask) == 0


def sequence_metrics() -> MetricCollection:
    """``"cost"``, ``"wrong_bits"`` and ``"exact"``, each the mean per sequence.

    Compute groups are off: torchmetrics merges metrics whose states agree after the first batch, and of two sequences
    one right and one with a single wrong bit make `WrongBits` and `Exact` agree by chance.
    """
    return MetricCollection({"cost": CostBits(), "wrong_bits": WrongBits(), "exact": Exact()}, compute_groups=False)
