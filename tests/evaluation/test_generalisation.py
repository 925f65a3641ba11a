"""The whole curve, and a memory that grows with the difficulty."""

from collections.abc import Callable
from functools import partial

import pytest
from torch import nn

from ntm_lab.evaluation import generalise, grown
from ntm_lab.evaluation.generalisation import slots_needed
from ntm_lab.nn import LSTM, NTM, controllers
from ntm_lab.nn.contents import Constant, Random
from ntm_lab.tasks import AssociativeRecall, Copy, NGrams
from ntm_lab.types import Difficulty, Task

TASK = Copy(lengths=(1, 4), bits=3)
LENGTHS: list[Difficulty] = [{"length": 4}, {"length": 6}, {"length": 7}]


def ntm(init: Callable[..., nn.Module] = Constant) -> NTM:
    controller = partial(controllers.Feedforward, size=8)
    return NTM(TASK.input_size, TASK.output_size, controller, slots=8, width=5, init=init, backend="reference")


@pytest.mark.parametrize(
    ("task", "difficulty", "slots"),
    [
        (TASK, {"length": 6}, 8),  # six vectors and a delimiter are heard
        (TASK, {"length": 7}, 16),  # with one to spare, eight would not do
        (TASK, {"length": 120}, 128),
        (AssociativeRecall(rows=3), {"items": 6}, 32),  # the answer begins at step 29
        (NGrams(context=5, length=200), {"length": 800, "context": 5}, 8),
    ],
)
def test_slots_needed(task: Task, difficulty: Difficulty, slots: int) -> None:
    assert slots_needed(task, difficulty) == slots


def test_a_memory_grows_where_it_has_to() -> None:
    model = ntm()
    rows, notes = generalise(model, TASK, LENGTHS, sequences=5)
    assert [row["slots"] for row in rows] == [8, 8, 16]
    assert notes == [] and model.slots == 8


def test_a_model_that_needs_no_slots_is_itself() -> None:
    model, lstm = ntm(), LSTM(4, 3, size=4, layers=1)
    assert [grown(model, TASK, length).slots for length in LENGTHS] == [8, 8, 16] and model.slots == 8
    assert grown(model, TASK, LENGTHS[0]) is model and grown(lstm, TASK, LENGTHS[2]) is lstm


def test_a_memory_stays_as_it_is_if_told_so() -> None:
    rows, notes = generalise(ntm(), TASK, LENGTHS, sequences=5, grow=False)
    assert [row["slots"] for row in rows] == [8, 8, 8] and notes == []


def test_a_memory_that_cannot_grow_is_noted() -> None:
    rows, notes = generalise(ntm(partial(Random, std=0.1)), TASK, LENGTHS, sequences=5)
    assert [row["slots"] for row in rows] == [8, 8, 8]
    (note,) = notes
    assert note.startswith("length 7: 16 slots would be needed; memory.slots=16: memory.init holds a value")


def test_without_a_memory_there_is_nothing_to_grow() -> None:
    told: list[int] = []
    rows, notes = generalise(LSTM(4, 3, size=4, layers=1), TASK, sequences=2, advance=told.append)
    assert [row["difficulty"]["length"] for row in rows] == [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24]
    assert notes == [] and sum(told) == 24 and "slots" not in rows[0]
