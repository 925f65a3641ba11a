"""The Transformer (Vaswani et al. 2017, arXiv 1706.03762), causal, with five ways to tell it where a step stands."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ntm_lab.checks import at_least, one_of
from ntm_lab.nn.baselines.residual import CausalConvolution, Mixer, Residual

POSITIONS = ("rotary", "alibi", "sinusoidal", "randomised", "none")
SLOWEST = 10_000.0  # steps a radian, of the slowest wave


class Past(NamedTuple):
    """All keys and values so far, which of them belong to steps that exist, and the last inputs of the convolution."""

    keys: Tensor  # (B, S, heads, size / heads)
    values: Tensor
    exist: Tensor  # (B, S) bool
    inputs: Tensor  # (B, kernel - 1, 3 size)


class Attention(Mixer):
    """Causal attention of several heads; its state is its past.

    With ``rotary`` queries and keys are turned by an angle for each step (Su et al. 2021, arXiv 2104.09864); with
    ``alibi`` a step counts less the longer ago it was, at a rate of its own for each head (Press et al. 2021, arXiv
    2108.12409). Queries, keys and values pass a short causal convolution first, unless its ``kernel`` is 1 (So et al.
    2021, arXiv 2109.08668): so that a key can be found by the step before it without a layer that brings them together.
    """

    def __init__(self, size: int, heads: int = 4, positions: str = "rotary", kernel: int = 1) -> None:
        super().__init__()
        at_least("model.heads", heads, 1)
        if size % (2 * heads):
            raise ValueError(f"model.size={size}: must be a multiple of 2 × model.heads={heads}")
        self.heads, self.rotary, self.alibi = heads, positions == "rotary", positions == "alibi"
        self.seen = nn.Linear(size, 3 * size)  # queries, keys, values
        self.convolution = CausalConvolution(3 * size, kernel) if kernel != 1 else None
        self.output = nn.Linear(size, size)

    def initial_state(self, batch_size: int) -> Past:
        none = self.output.weight.new_zeros(batch_size, 0, self.heads, self.output.in_features // self.heads)
        last = none.new_zeros(batch_size, 0, self.seen.out_features)
        if self.convolution is not None:
            last = self.convolution.initial_state(batch_size)
        return Past(none, none, none.new_zeros(batch_size, 0, dtype=torch.bool), last)

    def forward(self, inputs: Tensor, state: Past, positions: Tensor, exists: Tensor | None) -> tuple[Tensor, Past]:
        seen, last = self.seen(inputs), state.inputs
        if self.convolution is not None:
            seen, last = self.convolution.over(seen, last, exists)
        queries, keys, values = seen.unflatten(2, (3, self.heads, -1)).unbind(2)
        if self.rotary:
            queries, keys = (_turned(part, positions) for part in (queries, keys))
        here = torch.ones_like(positions, dtype=torch.bool) if exists is None else exists
        if exists is not None:
            keys, values = (part.masked_fill(~exists[..., None, None], 0) for part in (keys, values))
        keys, values, exist = (
            torch.cat(pair, 1) for pair in ((state.keys, keys), (state.values, values), (state.exist, here))
        )
        past = Past(keys, values, exist, last)
        new = not state.exist.shape[1]  # then padding comes last, where nothing looks at it
        mixed = F.scaled_dot_product_attention(
            queries.transpose(1, 2),
            past.keys.transpose(1, 2),
            past.values.transpose(1, 2),
            attn_mask=None if new and not self.alibi else self._mask(past.exist, here.shape[1], inputs.dtype),
            is_causal=new and not self.alibi,
        )
        return self.output(mixed.transpose(1, 2).flatten(2)), past

    def _mask(self, exist: Tensor, steps: int, dtype: torch.dtype) -> Tensor:
        """What is added before the softmax, (B, 1 or heads, T, S): 0, -inf, or ALiBi's share."""
        every = torch.arange(exist.shape[1], device=exist.device)
        own = every[-steps:].unsqueeze(1)  # (T, 1)
        seen = (exist.unsqueeze(1) & (every < own)) | (every == own)  # (B, T, S)
        mask = torch.zeros_like(seen, dtype=dtype).masked_fill(~seen, -torch.inf).unsqueeze(1)
        if not self.alibi:
            return mask
        rates = 2.0 ** (-8 * torch.arange(1, self.heads + 1, device=exist.device, dtype=dtype) / self.heads)
        number = exist.cumsum(1)  # of a step among those that exist
        ago = (number[:, -steps:].unsqueeze(2) - number.unsqueeze(1)).clamp(min=0).to(dtype)  # (B, T, S)
        return mask - rates.view(-1, 1, 1) * ago.unsqueeze(1)


class Transformer(Residual):
    """Causal Transformer, pre-norm.

    Its state is its past, which grows with every step: O(T²) for a sequence, O(T) numbers to remember.

    Args:
        positions: ``rotary``, ``alibi`` (see `Attention`), ``sinusoidal`` waves added to the first layer's input,
            ``randomised`` (the same waves of numbers with random gaps in training, so that large ones are known; after
            Ruoss et al. 2023, arXiv 2305.16843, who draw a sorted sample; none in evaluation), or ``none``.
        heads: of attention.
        kernel: steps of the convolution of queries, keys and values; 1: there is none.
        furthest: the largest number that randomised positions have.
        input_size, output_size, size, layers, encoder, dropout: see `Residual`.
    """

    mixer_classes = (Attention,)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        positions: str = "rotary",
        furthest: int = 2048,
        kernel: int = 1,
        **others: Any,
    ) -> None:
        self.kind = one_of("model.positions", positions, POSITIONS)
        self.furthest = at_least("model.furthest", furthest, 1)
        super().__init__(input_size, output_size, positions=positions, kernel=kernel, **others)
        self.kernel = kernel

    def state_bits(self, steps: int = 1) -> int:
        """Those of its past, in every layer: the keys and values of each step, and what the convolution still sees."""
        size, layers = self.output.in_features, len(self.mixers)
        return 32 * size * layers * (2 * steps + 3 * (self.kernel - 1))

    def positions(self, seen: Tensor, steps: int) -> Tensor:
        positions = super().positions(seen, steps)
        if self.kind != "randomised" or not self.training:
            return positions
        widest = max(self.furthest // max(steps, 1), 1)
        width = torch.randint(1, widest + 1, (len(seen), 1), device=seen.device)
        gaps = 1 + (torch.rand(positions.shape, device=seen.device) * width).long()
        return seen.unsqueeze(1) + gaps.cumsum(1)

    def embed(self, inputs: Tensor, positions: Tensor) -> Tensor:
        embedded = super().embed(inputs, positions)
        if self.kind not in ("sinusoidal", "randomised"):
            return embedded
        angles = _angles(positions, embedded.shape[2], embedded.dtype)
        return embedded + torch.cat((angles.sin(), angles.cos()), 2)


def _angles(positions: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """Angles (B, T, size / 2) of positions (B, T): one radian a step, and slower and slower."""
    rates = torch.exp(-math.log(SLOWEST) * torch.arange(0, size, 2, device=positions.device) / size).to(dtype)
    return positions.unsqueeze(2).to(dtype) * rates


def _turned(vectors: Tensor, positions: Tensor) -> Tensor:
    """Vectors (B, T, heads, n), the pairs of their halves turned by the angles of their positions."""
    angles = _angles(positions, vectors.shape[3], vectors.dtype).unsqueeze(2)
    one, other = vectors.chunk(2, 3)
    return torch.cat((one * angles.cos() - other * angles.sin(), one * angles.sin() + other * angles.cos()), 3)
