"""Addressing by location: from a content weighting and the last one to the new one.

Graves, Wayne, Danihelka 2014 (arXiv 1410.5401), section 3.3.2 and Figure 2, one function a stage. All heads are
addressed at once: B sequences, K heads, N slots, S = 2s + 1 shifts from −s to s.
"""

import torch
from torch import Tensor

LOG_GUARD = 1e-12  # log 0; far below any weighting that matters, and above float32's underflow


def interpolate(content: Tensor, previous: Tensor, gate: Tensor) -> Tensor:
    """w_g = g · w_c + (1 − g) · w_{t−1}, equation 7; weightings (B, K, N), gate (B, K, 1)."""
    return torch.lerp(previous, content, gate)


def shift_weighting(weighting: Tensor, shift: Tensor) -> Tensor:
    """w_s(i) = Σ_j w_g(i − j) s(j), equation 8: a circular convolution.

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
