"""Memory that the next sequence uses again.

Fresh memory comes from the system page by page, as each is first touched, which for the buffers of a sequence costs as
much as a quarter of the arithmetic. So they are cut from buffers that are kept.
"""

from collections.abc import Sequence
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch import Tensor

LARGEST = 1 << 26  # elements of a buffer that is kept; a larger one goes back to the system
SPARE = 4  # buffers that are kept
LINE = 16  # elements of 4 bytes in a cache line: a wide load that spans two lines takes twice as long

# By their id. A workspace may end, in any thread and in the middle of any line, while another is made, so that only
# single operations of the dictionary are used.
_free: dict[int, "Cut"] = {}


class Cut:
    """A buffer as tensors of the given shapes, each of which begins at a cache line.

    It is kept with its buffer, as most sequences have the shapes of one before.
    """

    def __init__(self, memory: Tensor, shapes: Sequence[Sequence[int]]) -> None:
        self.memory, self.shapes = memory, shapes
        sizes = _sizes(shapes)
        parts = memory[: sum(sizes)].split(sizes)
        self.tensors = [part[: prod(shape)].view(*shape) for part, shape in zip(parts, shapes, strict=True)]

    @cached_property
    def arrays(self) -> list[Any]:
        """The tensors as NumPy sees them."""
        return [tensor.numpy() for tensor in self.tensors]

    def suits(self, like: Tensor) -> bool:
        return self.memory.dtype == like.dtype and self.memory.device == like.device

    @property
    def worth_keeping(self) -> bool:
        """Not on a GPU: there PyTorch's own allocator does it, and knows of streams."""
        return self.memory.device.type == "cpu" and self.memory.numel() <= LARGEST


class Workspace:
    """Tensors of the given shapes, not initialised, whose memory is used again when this object is gone.

    Whoever holds one of the tensors has to hold ``lease`` too, unless it is None.
    """

    def __init__(self, like: Tensor, shapes: Sequence[Sequence[int]]) -> None:
        self._cut = _take(like, shapes)

    @property
    def tensors(self) -> list[Tensor]:
        return self._cut.tensors

    @property
    def arrays(self) -> list[Any]:
        """The tensors as NumPy sees them; on the CPU."""
        return self._cut.arrays

    @property
    def lease(self) -> "Workspace | None":
        """What keeps the memory from being used again; None if that will not happen anyway."""
        return self if self._cut.worth_keeping else None

    def __del__(self) -> None:
        if hasattr(self, "_cut") and self._cut.worth_keeping:  # it has none if it was interrupted at its start
            _free[id(self._cut)] = self._cut
            for oldest in list(_free)[:-SPARE]:
                _free.pop(oldest, None)


def _sizes(shapes: Sequence[Sequence[int]]) -> list[int]:
    """How many elements of the buffer each tensor takes."""
    return [-(-prod(shape) // LINE) * LINE for shape in shapes[:-1]] + [prod(shapes[-1])]


def _take(like: Tensor, shapes: Sequence[Sequence[int]]) -> Cut:
    """A free cut of these shapes, or else the smallest free buffer that will do, or a new one."""
    free = [cut for cut in _free.copy().values() if cut.suits(like)]
    for cut in free:
        if cut.shapes == shapes and _free.pop(id(cut), None) is not None:  # unless another thread has just taken it
            return cut
    size = sum(_sizes(shapes))
    with torch.inference_mode(False):  # made in inference mode it could not serve training later
        for cut in sorted(free, key=lambda cut: cut.memory.numel()):
            if cut.memory.numel() >= size and _free.pop(id(cut), None) is not None:
                return Cut(cut.memory, shapes)
        return Cut(torch.empty(size, dtype=like.dtype, device=like.device), shapes)
