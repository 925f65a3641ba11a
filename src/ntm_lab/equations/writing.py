"""Reading and writing: Graves, Wayne, Danihelka 2014 (arXiv 1410.5401), sections 3.1 and 3.2."""

import torch
from torch import Tensor


def read(memory: Tensor, weighting: Tensor) -> Tensor:
    """r = Σ_i w(i) M(i), equation 2; memory (B, N, W), weighting (B, R, N) -> (B, R, W)."""
    return weighting @ memory


def write(memory: Tensor, weighting: Tensor, erase: Tensor, add: Tensor) -> Tensor:
    """M(i) = M(i) ∘ Π_h (1 − w_h(i) e_h) + Σ_h w_h(i) a_h, equations 3 and 4; all erasures come before all additions.

    memory (B, N, W), weighting (B, H, N), erase and add (B, H, W) -> (B, N, W).
    """
    if weighting.shape[1] == 1:  # a single head needs no product over heads: one outer product is far cheaper
        erased = weighting.transpose(1, 2) @ erase
    else:
        erased = 1 - (1 - weighting.unsqueeze(-1) * erase.unsqueeze(-2)).prod(1)
    kept = torch.addcmul(memory, memory, erased, value=-1)
    return torch.baddbmm(kept, weighting.transpose(1, 2), add)
