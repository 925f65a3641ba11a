"""Addressing by content: how similar each slot is to a key. Graves et al. 2014 (arXiv 1410.5401), equations 5 and 6."""

import torch
from torch import Tensor

NORM_GUARD = 1e-6  # inside the root, so that a zero row has similarity 0 and a finite gradient
MASK_FLOOR = 0.1  # of a mask, so that no part of a key is ever cut off: Csordás, Schmidhuber 2019


def content_weighting(memory: Tensor, key: Tensor, strength: Tensor, mask: Tensor | None = None) -> Tensor:
    """w_c = softmax(β · cosine(k, M)), equations 5 and 6 of Graves et al. 2014.

    With a mask m the cosine is that of m ∘ k and m ∘ M: only the parts of a slot that the mask lets through
    are compared (Csordás, Schmidhuber 2019, arXiv 1904.10278, "masking").

    memory (B, N, W), key and mask (B, K, W), strength (B, K, 1) -> (B, K, N).
    """
    if mask is None:
        direction = key * torch.rsqrt(key.square().sum(-1, keepdim=True) + NORM_GUARD)
        inverse_norm = torch.rsqrt((memory * memory).sum(-1) + NORM_GUARD)  # (B, N); square() is several times slower
        similarity = (direction * strength) @ memory.transpose(1, 2) * inverse_norm.unsqueeze(1)
    else:
        squares = mask * mask  # (B, K, W)
        masked = key * squares
        direction = masked * torch.rsqrt((masked * key).sum(-1, keepdim=True) + NORM_GUARD)
        inverse_norm = torch.rsqrt(squares @ (memory * memory).transpose(1, 2) + NORM_GUARD)  # (B, K, N)
        similarity = (direction * strength) @ memory.transpose(1, 2) * inverse_norm
    return similarity.softmax(-1)
