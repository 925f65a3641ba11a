"""Loss terms beyond the task's cost, in bits: objects with a weight that see a model's signals and the batch."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ntm_lab.checks import not_negative, one_of, switch
from ntm_lab.types import Batch, Kind

LOG_GUARD = 1e-12


def entropy_bits(distribution: Tensor) -> Tensor:
    """−Σ_i p(i) log₂ p(i) of distributions (…, n) -> (…): 0 if all is on one place, log₂ n if uniform.

    A weighting that sums to s < 1, as in a DNC whose write gate is half closed, is not renormalised: the rest adds
    nothing, so that its entropy is s times that of the normalised weighting plus −s log₂ s, and 0 if all weights are 0.
    Weights below 0, as a DNC's usage of 1 + 10⁻⁷ makes by rounding, count as 0.
    """
    weights = distribution.clamp_min(0.0)
    return -(weights * torch.log2(weights + LOG_GUARD)).sum(-1)


class Entropy:
    """``weight`` × the mean entropy of some signals, over the steps that exist and all heads.

    Each signal is a distribution or a weighting for every head, (B, T, heads, n), chosen by name or by kind. A penalty
    on the entropy of the weightings makes heads sharp; one on that of the distributions (an NTM's shifts, a DNC's read
    modes) makes them decided, for rare inputs too. From the start of training it would keep heads from moving:
    unless ``once_learned`` is false it waits until the task is learned, and then grows as the schedule
    descends.

    Args:
        signals: names.
        weight: bits of cost per bit of entropy.
        once_learned: see above.
        kinds: ``weighting`` or ``distribution``: all signals of the model of these kinds, besides those named.
    """

    def __init__(
        self, signals: Sequence[str] = (), weight: float = 0.1, once_learned: bool = True, kinds: Sequence[str] = ()
    ) -> None:
        not_negative("penalty weight", weight)
        switch("penalty once_learned", once_learned)
        if not (signals or kinds):
            raise ValueError("penalty signals=[], kinds=[]: one of the two must name something")
        self.signals = tuple(signals)
        self.kinds = tuple(Kind(one_of("penalty kinds", kind, (Kind.WEIGHTING, Kind.DISTRIBUTION))) for kind in kinds)
        self.weight = weight
        self.once_learned = once_learned

    def wanted(self, signals: Mapping[str, Kind]) -> list[str]:
        absent = [kind for kind in self.kinds if kind not in signals.values()]
        if absent:
            there = ", ".join(dict.fromkeys(signals.values()))
            raise ValueError(f"kinds=[{', '.join(absent)}]: this model has only signals of the kinds {there}")
        return [*self.signals, *(name for name, kind in signals.items() if kind in self.kinds)]

    def __call__(self, signals: Mapping[str, Tensor], batch: Batch) -> Tensor:
        entropies = torch.cat([entropy_bits(signal) for signal in signals.values()], 2)  # (B, T, heads)
        return self.weight * entropies.mean(2)[batch.exists].mean()
