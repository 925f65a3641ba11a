"""What the metrics say of whole sequences, of single steps."""

from collections.abc import Callable

import torch
from torch import Tensor


def scored(values: Tensor, mask: Tensor) -> Tensor:
    """Of values (B, T, O) the steps that the mask (B, T) names, P in every sequence: (B, P, O)."""
    return values[mask].unflatten(0, (len(values), -1))


def each_step(measure: Callable[[Tensor, Tensor, Tensor], Tensor], values: Tensor, targets: Tensor) -> Tensor:
    """A function of `training.metrics` at every step alone: (B, P) from values and targets (B, P, O)."""
    batch, steps, _ = targets.shape
    mask = torch.ones(batch * steps, 1, dtype=torch.bool, device=targets.device)
    return measure(values.flatten(0, 1).unsqueeze(1), targets.flatten(0, 1).unsqueeze(1), mask).view(batch, steps)
