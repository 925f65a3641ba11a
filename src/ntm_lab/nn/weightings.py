"""Where the heads look before the first step: modules that map (batch size, slots) to weightings (B, K, N)."""

import torch
from torch import Tensor, nn

from ntm_lab.checks import not_negative, number
from ntm_lab.nn.contents import same_slots

__all__ = ["FirstSlot", "Learned", "Uniform"]


class FirstSlot(nn.Module):
    """Every head on slot 0, for any number of slots."""

    def __init__(self, heads: int, slots: int) -> None:
        super().__init__()
        self.heads = heads
        self.register_buffer("anchor", torch.zeros(()), persistent=False)  # carries device and dtype
        self.anchor: Tensor

    def forward(self, batch_size: int, slots: int) -> Tensor:
        first = torch.eye(1, slots, dtype=self.anchor.dtype, device=self.anchor.device)
        return first.expand(batch_size, self.heads, -1)


class Uniform(FirstSlot):
    """Every slot alike, for any number of slots."""

    def forward(self, batch_size: int, slots: int) -> Tensor:
        return self.anchor.new_full((batch_size, self.heads, slots), 1 / slots)


class Learned(nn.Module):
    """Trained logits of each head that begin with ``focus`` on slot 0 and 0 elsewhere, plus noise of spread ``std``.

    ``focus=0`` begins at the uniform weighting (near it, with some ``std``), from which copying is hard to learn.
    """

    def __init__(self, heads: int, slots: int, focus: float = 10.0, std: float = 0.0) -> None:
        super().__init__()
        logits = torch.randn(heads, slots) * not_negative("memory.weighting.std", std)
        logits[:, 0] += number("memory.weighting.focus", focus)
        self.logits = nn.Parameter(logits)

    def forward(self, batch_size: int, slots: int) -> Tensor:
        same_slots("memory.weighting", self.logits.shape[-1], slots)
        return self.logits.softmax(-1).expand(batch_size, -1, -1)
