"""How well a trained model does on fresh sequences of a given difficulty."""

from collections.abc import Iterable
from typing import Any

import torch

from ntm_lab.checks import at_least
from ntm_lab.data import seeded
from ntm_lab.metrics import cost_bits_of_probabilities, sequence_metrics
from ntm_lab.types import Difficulty, SequenceModel, Task

STEPS_AT_ONCE = 10_000  # sequences × steps in one forward pass, which bounds the memory it takes


@torch.no_grad()
def evaluate(
    model: SequenceModel, task: Task, difficulties: Iterable[Difficulty], sequences: int = 1000, seed: int = 2
) -> list[dict[str, Any]]:
    """A row for every difficulty: ``difficulty``, ``n``, and per sequence ``cost_bits``, ``wrong_bits`` and ``exact``.

    Where even the perfect answer has a cost, ``optimum_bits`` stands beside it. The sequences depend on the seed alone
    and are none that a run trains or validates on.
    """
    at_least("test.sequences", sequences, 1)
    device = next(model.parameters()).device
    examples = task.split("testing")
    rows = []
    for difficulty in difficulties:
        generator = seeded(seed, "test")
        metrics = sequence_metrics().to(device)
        optimum = 0.0
        steps = examples.sample(1, difficulty, seeded(seed, "size")).inputs.shape[1]
        remaining = sequences
        while remaining:
            count = min(remaining, max(1, STEPS_AT_ONCE // steps))
            batch = examples.sample(count, difficulty, generator)
            optimum += float(cost_bits_of_probabilities(task.solve(batch), batch.targets, batch.mask).sum())
            logits, _ = model(batch.inputs.to(device))
            metrics.update(logits, batch.targets.to(device), batch.mask.to(device))
            remaining -= count
        means = {name: float(value) for name, value in metrics.compute().items()}
        rows.append(
            {
                "difficulty": dict(difficulty),
                "n": sequences,
                "cost_bits": means["cost"],
                "wrong_bits": means["wrong_bits"],
                "exact": means["exact"],
            }
            | ({"optimum_bits": optimum / sequences} if optimum else {})
        )
    return rows
