"""Which slots a DNC may write to: Graves et al. 2016 (Nature 538), Methods, "dynamic memory allocation"."""

import torch
from torch import Tensor

ALLOCATION_GUARD = 1e-6  # without it one wholly free slot takes the gradient from all others


def retention(free_gate: Tensor, read_weighting: Tensor) -> Tensor:
    """ψ = Π_r (1 − f_r w_r), with the read weightings of the last step: how much of each slot is not freed.

    free_gate (B, R, 1), read_weighting (B, R, N) -> (B, N).
    """
    return (1 - free_gate * read_weighting).prod(1)


def usage(previous: Tensor, write_weighting: Tensor, kept: Tensor) -> Tensor:
    """u = (u_{t−1} + w − u_{t−1} ∘ w) ∘ ψ, with the write weighting of the last step; all (B, N)."""
    return (previous + write_weighting - previous * write_weighting) * kept


def allocation(used: Tensor) -> Tensor:
    """a[φ_j] = (1 − u[φ_j]) Π_{i<j} u[φ_i], where φ sorts the slots by usage, the least used first.

    Slots of the same usage come in the order of their index, so that all-zero usage gives slot 0. Usage is first
    changed to u ← ε + (1 − ε) u.

    used (B, N) -> (B, N), which sums to at most 1.
    """
    used = ALLOCATION_GUARD + (1 - ALLOCATION_GUARD) * used
    ordered, order = used.sort(dim=-1, stable=True)  # unstable sorting takes another slot for some N
    before = torch.cat((torch.ones_like(ordered[:, :1]), ordered[:, :-1]), -1).cumprod(-1)
    return torch.zeros_like(used).scatter(-1, order, (1 - ordered) * before)
