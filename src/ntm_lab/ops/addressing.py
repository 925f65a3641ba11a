"""Addressing: from the memory, the last weightings and the heads' parameters to new weightings.

Graves, Wayne, Danihelka 2014 (arXiv 1410.5401), section 3.3 and Figure 2, one function a stage. All heads are
addressed at once: B sequences, K heads, N memory slots of width W, S = 2s + 1 shifts from -s to s.
"""

import torch
from torch import Tensor

from ntm_lab.types import HeadParameters

NORM_GUARD = 1e-6  # inside the root, so that a zero row has similarity 0 and a finite gradient
LOG_GUARD = 1e-12  # log 0; far below any weighting that matters, and above float32's underflow


def content_weighting(memory: Tensor, key: Tensor, strength: Tensor) -> Tensor:
    """w_c = softmax(β · cosine(k, M)), equations 5 and 6.

    memory (B, N, W), key (B, K, W), strength (B, K, 1) -> (B, K, N).
    """
    direction = key * torch.rsqrt(key.square().sum(-1, keepdim=True) + NORM_GUARD)
    inverse_norm = torch.rsqrt((memory * memory).sum(-1) + NORM_GUARD)  # (B, N); square() is several times slower
    similarity = (direction * strength) @ memory.transpose(1, 2) * inverse_norm.unsqueeze(1)
    return similarity.softmax(-1)


def interpolate(content: Tensor, previous: Tensor, gate: Tensor) -> Tensor:
    """w_g = g · w_c + (1 − g) · w_{t−1}, equation 7; weightings (B, K, N), gate (B, K, 1)."""
    return torch.lerp(previous, content, gate)


def shift_weighting(weighting: Tensor, shift: Tensor) -> Tensor:
    """Circular convolution w_s(i) = Σ_j w_g(i − j) s(j), equation 8.

    weighting (B, K, N), shift (B, K, S), whose entries are for the offsets −s … s -> (B, K, N).
    """
    reach = shift.shape[-1] // 2
    if reach == 0:
        return weighting * shift
    wrapped = torch.cat((weighting[..., -reach:], weighting, weighting[..., :reach]), dim=-1)
    neighbours = wrapped.unfold(-1, shift.shape[-1], 1)  # (B, K, N, S), offsets s … −s
    return (neighbours @ shift.flip(-1).unsqueeze(-1)).squeeze(-1)


def sharpen(weighting: Tensor, sharpness: Tensor) -> Tensor:
    """w(i) = w_s(i)^γ / Σ_j w_s(j)^γ, equation 9, as softmax(γ · log w_s), which does not underflow to 0/0.

    weighting (B, K, N), sharpness (B, K, 1) at least 1 -> (B, K, N).
    """
    return (sharpness * torch.log(weighting + LOG_GUARD)).softmax(-1)


def address(memory: Tensor, previous: Tensor, head: HeadParameters) -> Tensor:
    """All four stages: content, interpolation, shift and sharpening -> the new weightings (B, K, N)."""
    content = content_weighting(memory, head.key, head.strength)
    gated = interpolate(content, previous, head.gate)
    return sharpen(shift_weighting(gated, head.shift), head.sharpness)
