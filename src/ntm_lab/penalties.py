"""Loss terms beyond the task's cost, in bits: objects with a weight that see a model's signals and the batch."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ntm_lab.types import Batch

LOG_GUARD = 1e-12


def entropy_bits(weighting: Tensor) -> Tensor:
    """−Σ_i w(i) log₂ w(i) of weightings (…, N) -> (…): 0 on one slot, log₂ N if uniform."""
    return -(weighting * torch.log2(weighting + LOG_GUARD)).sum(-1)


class WeightingEntropy:
    """``weight`` × the mean entropy of all heads' weightings over the steps that exist.

    It makes heads sharp, and with that what was learned holds at lengths never trained. From the start of training it
    freezes them where they are: it acts only when the task has been learned, unless ``once_learned`` is false.
    """

    signals = ("read_weighting", "write_weighting")

    def __init__(self, weight: float = 0.1, once_learned: bool = True) -> None:
        if weight < 0:
            raise ValueError(f"penalty.weighting_entropy.weight={weight}: must not be negative")
        self.weight = weight
        self.once_learned = once_learned

    def __call__(self, signals: Mapping[str, Tensor], batch: Batch) -> Tensor:
        entropy = entropy_bits(torch.cat([signals[name] for name in self.signals], 2)).mean(2)  # (B, T)
        exists = torch.arange(entropy.shape[1], device=entropy.device) < batch.lengths.unsqueeze(1)
        return self.weight * (entropy * exists).sum() / exists.sum()
