"""Difficulties from words, and those beyond training."""

import re

import pytest

from ntm_lab.evaluation import far_beyond, parse
from ntm_lab.tasks import AssociativeRecall, Copy, NGrams, RepeatCopy, Sort
from ntm_lab.tasks.difficulties import hardest
from ntm_lab.types import Task

TASK = RepeatCopy(lengths=(1, 10), repeats=(1, 6))


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["length=20,40"], [(20, 6), (40, 6)]),
        (["repeats=3"], [(10, 3)]),
        ([], [(10, 6)]),
        (["repeats=2,4", "length=1,5"], [(1, 2), (1, 4), (5, 2), (5, 4)]),
        (["length=10:40:10"], [(10, 6), (20, 6), (30, 6), (40, 6)]),
        (["length=10:35:10"], [(10, 6), (20, 6), (30, 6)]),
        (["length=3:5,4,9"], [(3, 6), (4, 6), (5, 6), (9, 6)]),
    ],
    ids=lambda value: " ".join(value) if value and isinstance(value[0], str) else "",
)
def test_words(words: list[str], values: list[tuple[int, int]]) -> None:
    assert parse(words, TASK) == [{"length": length, "repeats": repeats} for length, repeats in values]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["width=3"], "difficulty width=3: must be AXIS=VALUES, and AXIS one of length, repeats"),
        (["20"], "difficulty 20: must be AXIS=VALUES"),
        (["length="], "'' must be a whole number"),
        (["length=3,,4"], "'' must be a whole number"),
        (["length=3.5"], "'3.5' must be a whole number"),
        (["length=-3"], "'-3' must be a whole number"),
        (["length=1:2:3:4"], "'1:2:3:4' must be a whole number, first:last or first:last:step"),
        (["length=9:3"], "'9:3' must rise by steps of at least 1"),
        (["length=3:9:0"], "'3:9:0' must rise"),
        (["length=1:1000000000"], "has more than 10000 values"),
        (["length=1:500", "repeats=1:500"], "250000 points"),
        (["length=3", "length=4"], "difficulty length=4: length is given twice"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_named(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(words, TASK)


@pytest.mark.parametrize(
    ("task", "lowest", "highest"),
    [
        (Copy(), {"length": 10}, {"length": 120}),
        (AssociativeRecall(), {"items": 4}, {"items": 24}),
        (Sort(), {"items": 10}, {"items": 40}),
        (RepeatCopy(), {"length": 3, "repeats": 3}, {"length": 20, "repeats": 20}),
        (NGrams(), {"length": 200, "context": 5}, {"length": 800, "context": 5}),
        (Copy(lengths=(7, 7)), {"length": 7}, {"length": 42}),
        (AssociativeRecall(items=(2, 2)), {"items": 2}, {"items": 8}),
        (RepeatCopy(lengths=(4, 4), repeats=(1, 6)), {"length": 4, "repeats": 3}, {"length": 4, "repeats": 12}),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, dict) else "",
)
def test_far_beyond_spans_training_and_more(task: Task, lowest: dict[str, int], highest: dict[str, int]) -> None:
    points = far_beyond(task)
    assert (points[0], points[-1]) == (lowest, highest)
    assert hardest(task) in points
    assert len({tuple(point.items()) for point in points}) == len(points)
