"""What guessing costs and gets wrong: the one place where the studies compute it."""

from collections.abc import Sequence

import torch

from ntm_lab.types import Difficulty, Task

GUESSING = 0.5  # the share of bits that guessing gets wrong


def scored_bits(task: Task, difficulties: Sequence[Difficulty]) -> float:
    """How many bits of a sequence are scored, the mean over difficulties: what guessing costs, in bits."""
    counts = [int(task.sample(1, point, torch.Generator()).mask.sum()) * task.output_size for point in difficulties]
    return sum(counts) / len(counts)


def wrong_by_guessing(task: Task, difficulties: Sequence[Difficulty]) -> float:
    """How many bits of a sequence guessing gets wrong, the mean over difficulties."""
    return GUESSING * scored_bits(task, difficulties)
