"""The names of difficulties, the difficulties of a task, and the generators for its sequences."""

import hashlib

import torch

from ntm_lab.types import Difficulty, Task


def seeded(seed: int, purpose: str) -> torch.Generator:
    """A generator whose stream depends on the seed and on its purpose."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))


def label(difficulty: Difficulty) -> str:
    """E.g. ``length_010`` or ``length_005,repeats_005``: sorts as numbers do."""
    return ",".join(f"{axis}_{value:03d}" for axis, value in difficulty.items())


def in_words(difficulty: Difficulty) -> str:
    """E.g. ``length 5, repeats 5``: for people, where `label` is for names."""
    return ", ".join(f"{axis} {value}" for axis, value in difficulty.items())


def hardest(task: Task) -> Difficulty:
    """The upper end of every range."""
    return {axis: high for axis, (_, high) in task.ranges.items()}


def ladder(task: Task, rungs: int) -> list[Difficulty]:
    """Difficulties in even steps from easy to the hardest, all axes together; fewer where rungs coincide."""
    points = [
        {axis: round(low + (high - low) * rung / rungs) for axis, (low, high) in task.ranges.items()}
        for rung in range(1, rungs + 1)
    ]
    return [point for index, point in enumerate(points) if point not in points[:index]]
