"""Where a MANN writes: least recently used access, Santoro et al. 2016 (arXiv 1605.06065), equations 5 to 8."""

import torch
from torch import Tensor
from torch.nn import functional as F


def decayed_usage(previous: Tensor, read_weighting: Tensor, write_weighting: Tensor, decay: float) -> Tensor:
    """u = γ u_{t−1} + w_r + w_w, equation 5, summed over heads; usage (B, N), weightings (B, heads, N) -> (B, N)."""
    return decay * previous + read_weighting.sum(1) + write_weighting.sum(1)


def least_used(used: Tensor, count: int) -> Tensor:
    """The ``count`` least used slots, one-hot, the least used first: equation 6 -> (B, count, N).

    Slots with the same usage come in the order of their index. ("At most the n-th smallest", as the paper
    writes it, marks nearly all slots at the start, where most have usage 0.) There is no gradient.
    """
    order = used.detach().argsort(dim=-1, stable=True)[:, :count]
    return F.one_hot(order, used.shape[-1]).to(used.dtype)


def least_recently_used(gate: Tensor, previous: Tensor, least: Tensor) -> Tensor:
    """w_w = g w_{t−1} + (1 − g) w_lu, equation 7: write to the last place again, or to a little-used slot.

    gate (B, heads, 1), previous and least (B, heads, N) -> (B, heads, N).
    """
    return gate * previous + (1 - gate) * least


def erase_slots(memory: Tensor, slots: Tensor) -> Tensor:
    """Set slots to zero; memory (B, N, W), slots (B, count, N) one-hot -> (B, N, W)."""
    return memory * (1 - slots.amax(1)).unsqueeze(-1)


def add(memory: Tensor, weighting: Tensor, vector: Tensor) -> Tensor:
    """M = M + Σ_h w_h a_h, equation 8; memory (B, N, W), weighting (B, heads, N), vector (B, heads, W)."""
    return torch.baddbmm(memory, weighting.transpose(1, 2), vector)
