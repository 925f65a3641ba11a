"""The order in which a DNC wrote its slots: Graves et al. 2016 (Nature 538), Methods, "temporal memory linkage"."""

import torch
from torch import Tensor

SHARPNESS_GUARD = 1e-6  # log 0, where a slot has no link


def precedence(previous: Tensor, write_weighting: Tensor) -> Tensor:
    """p = (1 − Σ w) p_{t−1} + w: how much each slot was the last one written; all (B, N)."""
    return (1 - write_weighting.sum(-1, keepdim=True)) * previous + write_weighting


def link(previous: Tensor, preceding: Tensor, write_weighting: Tensor) -> Tensor:
    """L[i, j] = (1 − w_i − w_j) L_{t−1}[i, j] + w_i p_{t−1}[j], 0 on the diagonal: whether i was written after j.

    previous (B, N, N), preceding and write_weighting (B, N) -> (B, N, N).
    """
    row, column = write_weighting.unsqueeze(2), write_weighting.unsqueeze(1)
    linked = (1 - row - column) * previous + row * preceding.unsqueeze(1)
    return linked * (1 - torch.eye(linked.shape[-1], dtype=linked.dtype, device=linked.device))


def forward_weighting(links: Tensor, read_weighting: Tensor) -> Tensor:
    """f = L w: what was written after the slots last read; links (B, N, N), read_weighting (B, R, N) -> (B, R, N)."""
    return read_weighting @ links.transpose(1, 2)


def backward_weighting(links: Tensor, read_weighting: Tensor) -> Tensor:
    """b = Lᵀ w: what was written before the slots last read; shapes as in `forward_weighting`."""
    return read_weighting @ links


def sharpen_links(weighting: Tensor, sharpness: Tensor) -> Tensor:
    """((w + ε) / max)^s, renormalised: the sharp links of Csordás, Schmidhuber 2019 (arXiv 1904.10278).

    Computed as softmax(s · log(w + ε)), which is the same and does not underflow. The result sums to 1 even where there
    are no links.

    weighting (B, R, N), sharpness (B, R, 1) at least 1 -> (B, R, N).
    """
    return (sharpness * torch.log(weighting + SHARPNESS_GUARD)).softmax(-1)


def mix_modes(backward: Tensor, content: Tensor, forward: Tensor, mode: Tensor) -> Tensor:
    """w = π₁ b + π₂ c + π₃ f; weightings (B, R, N), mode (B, R, 3) in the paper's order -> (B, R, N)."""
    first, second, third = mode.unsqueeze(-2).unbind(-1)  # (B, R, 1) each
    return first * backward + second * content + third * forward
