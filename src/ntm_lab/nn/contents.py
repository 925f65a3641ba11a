"""What is in the memory before the first step: modules that map (batch size, slots) to contents (B, N, W)."""

import torch
from torch import Tensor, nn

from ntm_lab.checks import not_negative, number, switch

__all__ = ["Constant", "Random"]


class Constant(nn.Module):
    """Every entry the same small value: Collier, Beel 2018 (arXiv 1807.08518), who also train it.

    Not trained, it is the same for any number of slots. All slots begin identical and are told apart only by the
    weightings, so it needs an initial weighting that is not uniform.
    """

    def __init__(self, slots: int, width: int, value: float = 1e-6, trainable: bool = False) -> None:
        super().__init__()
        number("memory.init.value", value)
        switch("memory.init.trainable", trainable)
        self.own_slots = slots if trainable else None
        shape = (slots, width) if trainable else (1, width)
        self.value = nn.Parameter(torch.full(shape, value), requires_grad=trainable)

    def forward(self, batch_size: int, slots: int) -> Tensor:
        if self.own_slots is not None:
            same_slots("memory.init", self.own_slots, slots)
        return self.value.expand(batch_size, slots, -1)


class Random(nn.Module):
    """Normal noise of a given spread, drawn once: kept as it is, or (``trainable``) the start of a learned memory."""

    def __init__(self, slots: int, width: int, std: float = 0.1, trainable: bool = False) -> None:
        super().__init__()
        not_negative("memory.init.std", std)
        switch("memory.init.trainable", trainable)
        self.value = nn.Parameter(torch.randn(slots, width) * std, requires_grad=trainable)

    def forward(self, batch_size: int, slots: int) -> Tensor:
        same_slots("memory.init", len(self.value), slots)
        return self.value.expand(batch_size, -1, -1)


def same_slots(key: str, own: int, slots: int) -> None:
    """Raise ValueError if a value that belongs to ``own`` slots is requested for another number of slots."""
    if own != slots:
        raise ValueError(
            f"memory.slots={slots}: {key} holds a value of its own for each of {own} slots; other numbers are allowed "
            "with memory.init=constant (not trained) and memory.weighting=first_slot or uniform"
        )
