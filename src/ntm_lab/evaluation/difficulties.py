"""The difficulties a model is evaluated at: from words as on a command line, or well beyond its training."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from ntm_lab.tasks import AssociativeRecall, Copy, NGrams
from ntm_lab.tasks.difficulties import hardest
from ntm_lab.types import Difficulty, Task

LARGEST_GRID = 10_000  # points; more are probably a typing error


def parse(words: Sequence[str], task: Task) -> list[Difficulty]:
    """The grid of ``axis=values`` words, such as ``["length=10,20", "repeats=5:20:5"]``; the last axis varies fastest.

    Values are whole numbers and ranges ``first:last`` or ``first:last:step``, both ends included. An axis left out has
    its hardest value in training.

    Raises ValueError for an unknown or repeated axis, and for a malformed value.
    """
    axes = {axis: [value] for axis, value in hardest(task).items()}
    given = set()
    for word in words:
        axis, equals, text = word.partition("=")
        if not equals or axis not in axes:
            raise ValueError(f"difficulty {word}: must be AXIS=VALUES, and AXIS one of {', '.join(axes)}")
        if axis in given:
            raise ValueError(f"difficulty {word}: {axis} is given twice; put commas between its values")
        given.add(axis)
        axes[axis] = list(dict.fromkeys(value for part in text.split(",") for value in _values(word, part)))
    return _grid(axes)


def _values(word: str, part: str) -> list[int]:
    """The values of one part between commas."""
    numbers = part.split(":")
    if not all(number.isdecimal() for number in numbers) or len(numbers) > 3:
        raise ValueError(f"difficulty {word}: {part!r} must be a whole number, first:last or first:last:step")
    if len(numbers) == 1:
        return [int(part)]
    first, last, step = (int(number) for number in (*numbers, "1")[:3])
    if step < 1 or first > last:
        raise ValueError(f"difficulty {word}: {part!r} must rise by steps of at least 1")
    if (last - first) // step >= LARGEST_GRID:
        raise ValueError(f"difficulty {word}: {part!r} has more than {LARGEST_GRID} values")
    return list(range(first, last + 1, step))


def _grid(axes: Mapping[str, Iterable[int]]) -> list[Difficulty]:
    points: list[Difficulty] = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    if len(points) > LARGEST_GRID:
        raise ValueError(f"difficulty: {len(points)} points, of which at most {LARGEST_GRID} are allowed")
    return points


def _multiples(steps: int, last: int) -> list[Fraction]:
    """1 / steps, 2 / steps, … as far as `last`."""
    return [Fraction(count, steps) for count in range(1, last * steps + 1)]


# How far beyond the hardest of training, as multiples of it. Graves et al. 2014 go to 6 times for copy, 3 times for
# recall and twice for repeat copy. The positions of a long n-gram sequence are those of all shorter ones.
FAR: dict[type, list[Fraction]] = {
    Copy: _multiples(2, 6),
    AssociativeRecall: _multiples(3, 4)[1:],
    NGrams: [Fraction(1), Fraction(2), Fraction(4)],
}
OTHERWISE = _multiples(6, 2)[2:]
OF_A_GRID = _multiples(3, 2)


def far_beyond(task: Task) -> list[Difficulty]:
    """Difficulties from within the training range to well beyond it, the hardest of training among them.

    All axes with a range in training grow, or the first one if none has.
    """
    growing = [axis for axis, (low, high) in task.ranges.items() if low < high] or [*task.ranges][:1]
    multiples = FAR.get(type(task), OTHERWISE) if len(growing) == 1 else OF_A_GRID
    axes = {axis: [high] for axis, (_, high) in task.ranges.items()}
    for axis in growing:
        low, high = task.ranges[axis]
        axes[axis] = sorted({max(low, round(multiple * high)) for multiple in multiples})
    return _grid(axes)
