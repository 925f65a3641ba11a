"""The memory before the first step: its size, its contents and where the heads look."""

import warnings
from collections.abc import Callable

from torch import Tensor, nn

from ntm_lab.checks import at_least
from ntm_lab.memory.contents import Constant
from ntm_lab.memory.weightings import Uniform


class Memory(nn.Module):
    """Initial contents and weightings of a memory of N ``slots`` of ``width`` W.

    ``init(slots, width)`` and ``weighting(heads, slots)`` build the two modules that give them.
    """

    def __init__(
        self,
        heads: int,
        slots: int,
        width: int,
        init: Callable[..., nn.Module],
        weighting: Callable[..., nn.Module],
    ) -> None:
        super().__init__()
        self.slots = at_least("memory.slots", slots, 1)
        self.width = at_least("memory.width", width, 1)
        self.contents = init(slots=slots, width=width)
        self.weightings = weighting(heads=heads, slots=slots)
        if isinstance(self.contents, Constant) and isinstance(self.weightings, Uniform):
            warnings.warn(
                "memory.init=constant with memory.weighting=uniform: all slots are alike and get the same gradient, "
                "so that no head can ever tell them apart; choose another of the two",
                stacklevel=2,
            )

    def forward(self, batch_size: int, slots: int | None = None) -> tuple[Tensor, Tensor]:
        """Contents (B, N, W) and weightings (B, K, N); ``slots`` other than its own where both allow it."""
        slots = self.slots if slots is None else at_least("memory.slots", slots, 1)
        return self.contents(batch_size, slots), self.weightings(batch_size, slots)

    def resize(self, slots: int) -> None:
        """Use another number of slots from now on; ValueError where a value belongs to each of the old ones."""
        self(1, slots)
        self.slots = slots
