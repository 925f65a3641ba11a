"""What the tasks share: checked settings, difficulties spread over a batch, and vectors put on their steps."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from ntm_lab.types import Difficulty, Task

PARTS = ("training", "testing")


class BaseTask(Task):
    """Defaults: difficulties mix in one batch and grow by one, and nothing is kept apart for testing."""

    mixable = True

    def harder(self, difficulty: Difficulty) -> Difficulty:
        return {axis: min(max(self.grow(difficulty[axis]), low), high) for axis, (low, high) in self.ranges.items()}

    def grow(self, value: int) -> int:
        """The next value of an axis, before it is clamped to its range."""
        return value + 1

    def split(self, part: str) -> Self:
        if part not in PARTS:
            raise ValueError(f"part={part!r}: must be one of {', '.join(PARTS)}")
        return self

    def overlap(self, difficulty: Difficulty, drawn: int) -> float | None:
        return None

    def expand(self, difficulty: Mapping[str, int | Tensor], batch_size: int, least: int = 1) -> list[Tensor]:
        """One tensor (B,) int64 for every axis, in the order of `ranges`.

        Values beyond the ranges pass, since evaluation goes where training never was.

        Raises ValueError for a missing or unknown axis, and for values that are no integers or below `least`.
        """
        if difficulty.keys() != self.ranges.keys():
            raise ValueError(f"difficulty has the axes {[*difficulty]}: must be {[*self.ranges]}")
        return [_expand_axis(axis, difficulty[axis], batch_size, least) for axis in self.ranges]


def _expand_axis(axis: str, value: int | Tensor, batch_size: int, least: int) -> Tensor:
    values = torch.as_tensor(value)
    if values.dtype.is_floating_point or values.shape not in [(), (batch_size,)]:
        raise ValueError(f"difficulty {axis}={value}: must be an integer, or one for each of {batch_size} sequences")
    if values.min() < least:
        raise ValueError(f"difficulty {axis}={values.min()}: must be at least {least}")
    return values.to(torch.int64).expand(batch_size)


def checked_integer(key: str, value: Any, least: int = 1) -> int:
    """The value of ``task.<key>``, if it is an integer of at least `least`; else ValueError."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"task.{key}={value}: must be an integer")
    if value < least:
        raise ValueError(f"task.{key}={value}: must be at least {least}")
    return value


def checked_range(key: str, value: Any, least: int = 1) -> tuple[int, int]:
    """The two ends, both inclusive, of the range ``task.<key>``; ValueError if it is malformed or starts too low."""
    ends = list(value) if isinstance(value, Sequence) else value
    if not isinstance(ends, list) or [type(end) for end in ends] != [int, int]:
        raise ValueError(f"task.{key}={ends}: must be two integers, the lowest and the highest")
    low, high = ends
    if low > high:
        raise ValueError(f"task.{key}={ends}: the first must not exceed the second")
    if low < least:
        raise ValueError(f"task.{key}={ends}: must be at least {least}")
    return low, high


def random_bits(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Fair coins, float32."""
    return torch.randint(2, shape, generator=generator, dtype=torch.float32)


def take(vectors: Tensor, index: Tensor, where: Tensor) -> Tensor:
    """Put vectors on steps: (B, T, C) from (B, N, C), the vector `index` (B, T) where `where` (B, T) holds, else 0.

    Both `index` and `where` may broadcast; an index only has to be valid where it is used.
    """
    index = torch.where(where, index, 0).expand(len(vectors), -1)  # (B, T)
    chosen = vectors.gather(1, index[..., None].expand(-1, -1, vectors.shape[2]))  # (B, T, C)
    return chosen * where[..., None]


def add_channels(vectors: Tensor, *channels: Tensor) -> Tensor:
    """Vectors (B, T, C) followed by further channels, each (B, T), as float32."""
    return torch.cat([vectors, *(channel[..., None].to(vectors.dtype) for channel in channels)], dim=-1)
