"""Helpers of the tasks: checked settings, difficulties for a whole batch, and vectors put on their steps."""

import inspect
import random
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

import torch
from torch import Tensor

from ntm_lab.tasks.difficulties import hardest, ladder
from ntm_lab.types import Batch, Difficulty, Task

PARTS = ("training", "validation", "testing")
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class ShowsSettings:
    """Says the arguments it was made with: ``NGrams(length=200, context=5)``."""

    _settings: Mapping[str, Any] = {}

    def __new__(cls, *arguments: Any, **settings: Any) -> Self:
        made = super().__new__(cls)
        with suppress(TypeError):  # __init__ raises a better error
            given = inspect.signature(cls.__init__).bind(made, *arguments, **settings)
            given.apply_defaults()
            parameters = given.signature.parameters
            _, *others = given.arguments.items()  # without self
            made._settings = {name: value for name, value in others if value or parameters[name].kind not in VARIADIC}
        return made

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({', '.join(f'{name}={_plain(value)}' for name, value in self._settings.items())})"
        )


def _plain(value: Any) -> str:
    """The value as Python writes it, any sequence as a tuple."""
    return repr(tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value)


class BaseTask(ShowsSettings, Task):
    """A task by its `draw` and `solve`; the constructor sets `ranges`, `input_size` and `answer`.

    Defaults: difficulties mix in one batch and grow by one, and no sequences are held out for testing.
    """

    mixable = True

    @abstractmethod
    def draw(self, batch_size: int, difficulty: Mapping[str, int | Tensor], generator: torch.Generator) -> Batch:
        """Draw a batch, with all randomness from the generator; `sample` calls it with complete arguments."""

    def sample(
        self,
        batch_size: int,
        difficulty: Mapping[str, int | Tensor] | None = None,
        generator: torch.Generator | None = None,
        **axes: int | Tensor,
    ) -> Batch:
        """Draw a batch: ``task.sample(16, length=20)``, or ``task.sample(16, {"length": 20}, generator)``.

        Args:
            difficulty: every axis, each one int for all sequences or a tensor (B,), one int for each.
            generator: what to draw from; by default torch's global generator, which `torch.manual_seed` sets.
            axes: the difficulty by keyword instead. An axis left out has its hardest value in training.

        Raises ValueError for an unknown axis, and for a value that the task does not allow.
        """
        if difficulty is None:
            check_axes(axes, self)
            difficulty = {**hardest(self), **axes}
        elif axes:
            raise ValueError(f"{', '.join(axes)}: must not be given beside a difficulty, {difficulty}")
        return self.draw(batch_size, difficulty, torch.default_generator if generator is None else generator)

    def harder(self, difficulty: Difficulty) -> Difficulty:
        return {axis: min(max(self.grow(difficulty[axis]), low), high) for axis, (low, high) in self.ranges.items()}

    def grow(self, value: int) -> int:
        """The next value of an axis, before it is clamped to its range."""
        return value + 1

    def rungs(self, count: int) -> list[Difficulty]:
        return ladder(self, count)

    def split(self, part: str) -> Self:
        if part not in PARTS:
            raise ValueError(f"part={part!r}: must be one of {', '.join(PARTS)}")
        return self

    def overlap(self, difficulty: Difficulty, drawn: int) -> float | None:
        return None

    def expand(self, difficulty: Mapping[str, int | Tensor], batch_size: int, least: int = 1) -> list[Tensor]:
        """One tensor (B,) int64 for every axis, in the order of `ranges`.

        Values beyond the ranges are allowed, since evaluation goes beyond training.

        Raises ValueError for a missing or unknown axis, and for values that are not integers or below `least`.
        """
        if difficulty.keys() != self.ranges.keys():
            raise ValueError(f"difficulty has the axes {[*difficulty]}: must be {[*self.ranges]}")
        return [_expand_axis(axis, difficulty[axis], batch_size, least) for axis in self.ranges]


class EvenTask(BaseTask):
    """A task that draws sequences of one difficulty at a time, by `draw_even`; a mixed batch is made of those."""

    @abstractmethod
    def draw_even(self, count: int, difficulty: Difficulty, generator: torch.Generator) -> Batch:
        """Sequences that all have this difficulty."""

    def draw(self, batch_size: int, difficulty: Mapping[str, int | Tensor], generator: torch.Generator) -> Batch:
        points = torch.stack(self.expand(difficulty, batch_size), 1)  # (B, axes)
        parts: list[tuple[Tensor, Batch]] = []
        for point in points.unique(dim=0):
            rows = (points == point).all(1).nonzero().squeeze(1)
            alike = dict(zip(self.ranges, point.tolist(), strict=True))
            parts.append((rows, self.draw_even(len(rows), alike, generator)))
        steps = max(part.inputs.shape[1] for _, part in parts)
        shapes = [(batch_size, *[steps] * (field.dim() > 1), *field.shape[2:]) for field in parts[0][1]]
        whole = Batch(*(field.new_zeros(shape) for field, shape in zip(parts[0][1], shapes, strict=True)))
        for rows, part in parts:
            for field, values in zip(whole, part, strict=True):
                field[(rows, slice(values.shape[1])) if values.dim() > 1 else rows] = values
        return whole


def check_axes(given: Mapping[str, Any], task: Task) -> None:
    """Raise ValueError for a name that is no axis of the task's difficulty."""
    for axis, value in given.items():
        if axis not in task.ranges:
            raise ValueError(f"{axis}={value}: must be an axis of the task, {' or '.join(task.ranges)}")


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


def source(generator: torch.Generator) -> random.Random:
    """A generator of Python's, for what is drawn one by one or is too large for int64, seeded by one of torch's."""
    return random.Random(int(torch.randint(2**62, (), generator=generator)))
