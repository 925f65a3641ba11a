"""How far a model works beyond its training: the whole curve, or grid, of difficulties."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from ntm_lab.evaluation.cache import Cache, evaluate_cached
from ntm_lab.evaluation.difficulties import far_beyond
from ntm_lab.tasks.difficulties import in_words
from ntm_lab.types import Difficulty, SequenceModel, Task


class Generalisation(NamedTuple):
    """Rows of `evaluate` with details, in the order of the difficulties, and notes about them."""

    rows: list[dict[str, Any]]
    notes: list[str]


def generalise(
    model: SequenceModel,
    task: Task,
    difficulties: Sequence[Difficulty] | None = None,
    sequences: int = 1000,
    seed: int = 2,
    grow: bool = True,
    cache: Cache | None = None,
    advance: Callable[[int], Any] = lambda sequences: None,
) -> Generalisation:
    """Evaluate a model on the difficulties, by default those of `far_beyond`.

    With ``grow`` a memory gets at least `slots_needed` slots for each difficulty; if its initial state does not allow
    that, a note says so. The model itself is not changed.
    """
    difficulties = far_beyond(task) if difficulties is None else difficulties
    needed = [slots_needed(task, difficulty) for difficulty in difficulties]
    rows, notes = [], []
    grown: dict[int, SequenceModel] = {}
    for difficulty, slots in zip(difficulties, needed, strict=True):
        chosen = model
        if grow and model.slots is not None and slots > model.slots:
            try:
                chosen = grown[slots] = grown.get(slots) or _resized(model, slots)
            except ValueError as error:
                notes.append(f"{in_words(difficulty)}: {slots} slots would be needed; {error}")
        rows += evaluate_cached(chosen, task, [difficulty], sequences, seed, cache, advance)
    return Generalisation(rows, notes)


def slots_needed(task: Task, difficulty: Difficulty) -> int:
    """Enough for a vector of every step up to the first answer, and one to spare; a power of two.

    A model that writes at every step and walks on while it answers then never reaches what it has not yet read.

    Raises ValueError for an invalid difficulty.
    """
    mask = task.sample(1, difficulty, torch.Generator()).mask
    heard = int(mask[0].int().argmax())
    return int(2 ** heard.bit_length())


def grown(model: SequenceModel, task: Task, difficulty: Difficulty) -> SequenceModel:
    """The model, or a copy of it with `slots_needed` where its memory has fewer.

    Raises ValueError where its initial state does not allow that.
    """
    slots = slots_needed(task, difficulty)
    return model if model.slots is None or model.slots >= slots else _resized(model, slots)


def _resized(model: SequenceModel, slots: int) -> SequenceModel:
    """A copy of the model with that many slots; ValueError where its memory does not allow it."""
    model = copy.deepcopy(model)
    model.resize(slots)
    return model
