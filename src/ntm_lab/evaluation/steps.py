"""The measures of an answer at single steps."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree


def scored(values: Tensor, mask: Tensor) -> Tensor:
    """The masked steps of values (B, T, O): (B, P, O), for a mask (B, T) with P steps in every sequence."""
    return values[mask].unflatten(0, (len(values), -1))


def each_step(measure: Callable[[Tensor, Tensor, Tensor], Any], values: Tensor, targets: Tensor) -> Any:
    """A measure of an answer, or a dict of them, at every step alone: (B, P) from values and targets (B, P, ·)."""
    batch, steps, _ = targets.shape
    mask = torch.ones(batch * steps, 1, dtype=torch.bool, device=targets.device)
    measured = measure(values.flatten(0, 1).unsqueeze(1), targets.flatten(0, 1).unsqueeze(1), mask)
    return pytree.tree_map(lambda part: part.view(batch, steps), measured)
