"""Loss terms beyond the task's cost, in bits: objects with a weight that see a model's signals and the batch."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ntm_lab.checks import not_negative, switch
from ntm_lab.types import Batch

LOG_GUARD = 1e-12


def entropy_bits(distribution: Tensor) -> Tensor:
    """−Σ_i p(i) log₂ p(i) of distributions (…, n) -> (…): 0 if all is on one place, log₂ n if uniform."""
    return -(distribution * torch.log2(distribution + LOG_GUARD)).sum(-1)


class Entropy:
    """``weight`` × the mean entropy of the named signals, over the steps that exist and all heads.

    Each signal is a distribution for every head, (B, T, heads, n). A penalty on the entropy of the weightings makes
    heads sharp; one on that of the shifts makes them decided where to go next, for rare inputs too. From the start of
    training it would freeze them where they are: unless ``once_learned`` is false it waits until the task is learned,
    and then grows as the schedule descends.
    """

    def __init__(self, signals: Sequence[str], weight: float = 0.1, once_learned: bool = True) -> None:
        not_negative("penalty weight", weight)
        switch("penalty once_learned", once_learned)
        self.signals = tuple(signals)
        self.weight = weight
        self.once_learned = once_learned

    def __call__(self, signals: Mapping[str, Tensor], batch: Batch) -> Tensor:
        entropies = torch.cat([entropy_bits(signals[name]) for name in self.signals], 2)  # (B, T, heads)
        return self.weight * entropies.mean(2)[batch.exists].mean()
