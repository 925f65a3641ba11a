"""Memory that the next sequence uses again.

Fresh memory comes from the system page by page, as each is first touched, which for the buffers of a sequence costs as
much as a quarter of the arithmetic. So they are cut from buffers that are kept.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

LARGEST = 1 << 26  # elements of a buffer that is kept; a larger one goes back to the system
SPARE = 4  # buffers that are kept
LINE = 16  # elements of 4 bytes in a cache line: a wide load that spans two lines takes twice as long

# By their id. A workspace may end, in any thread and in the middle of any line, while another is made, so that only
# single operations of the dictionary are used.
_free: dict[int, Tensor] = {}


class Workspace:
    """Tensors of the given shapes, not initialised, whose memory is used again when this object is gone.

    Whoever holds one of the tensors has to hold ``lease`` too, unless it is None.
    """

    def __init__(self, like: Tensor, shapes: Sequence[Sequence[int]]) -> None:
        sizes = [-(-prod(shape) // LINE) * LINE for shape in shapes[:-1]] + [prod(shapes[-1])]
        self._buffer = _take(like, sum(sizes))
        parts = self._buffer[: sum(sizes)].split(sizes)
        self.tensors = [part[: prod(shape)].view(*shape) for part, shape in zip(parts, shapes, strict=True)]

    @property
    def lease(self) -> "Workspace | None":
        """What keeps the memory from being used again; None if that will not happen anyway."""
        return self if _worth_keeping(self._buffer) else None

    def __del__(self) -> None:
        if hasattr(self, "_buffer") and _worth_keeping(self._buffer):  # it has none if it was interrupted at its start
            _free[id(self._buffer)] = self._buffer
            for oldest in list(_free)[:-SPARE]:
                _free.pop(oldest, None)


def _worth_keeping(buffer: Tensor) -> bool:
    """Not on a GPU: there PyTorch's own allocator does it, and knows of streams."""
    return buffer.device.type == "cpu" and buffer.numel() <= LARGEST


def _take(like: Tensor, size: int) -> Tensor:
    """The smallest free buffer that will do, or a new one."""
    for buffer in sorted(_free.copy().values(), key=Tensor.numel):
        fits = like.device == buffer.device and buffer.dtype == like.dtype and buffer.numel() >= size
        if fits and _free.pop(id(buffer), None) is not None:  # unless another thread has just taken it
            return buffer
    with torch.inference_mode(False):  # made in inference mode it could not serve training later
        return torch.empty(size, dtype=like.dtype, device=like.device)
