"""The cost and errors of guessing, from the answer of the task."""

from collections.abc import Sequence

import torch

from ntm_lab.types import Difficulty, Task

GUESSING = 0.5  # the share of bits that guessing gets wrong


def chance(task: Task, difficulties: Sequence[Difficulty]) -> dict[str, float]:
    """``cost_bits`` (one for each scored bit) and ``wrong_bits`` of guessing a sequence, means over difficulties.

    The content of a sequence does not matter.
    """
    batches = [task.sample(1, difficulty, torch.Generator()) for difficulty in difficulties]
    guessed = [task.answer.chance(batch.targets, batch.mask) for batch in batches]
    return {measure: sum(float(each[measure]) for each in guessed) / len(guessed) for measure in guessed[0]}
