"""Mamba-2, a state space model whose decay depends on the step: Dao, Gu 2024 (arXiv 2405.21060).

Its recurrence is a linear memory. It is written here, and not taken from transformers' Mamba2Model, because that one
has no explicit state to go on from: padding decays its state, a single step overwrites its cache in place, and part of
it is computed in float32 whatever the model's type. A test compares the layer with theirs.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ntm_lab.checks import at_least
from ntm_lab.nn.baselines.linear_memory import Matrix, linear_memory
from ntm_lab.nn.baselines.residual import CausalConvolution, Mixer, Residual

TIME_STEPS = 1e-3, 0.1  # Δ before the first update, spread over their logarithm


class StateSpace(Mixer):
    """The layer of Mamba-2: ``expand`` · size channels in heads of P, and keys and queries of N that all heads share.

    One linear map of a step makes z, v, k, q and Δ. After a causal convolution of v, k and q, and SiLU,

        S_t = exp(−Δ_t A) S_{t−1} + Δ_t v_t k_tᵀ,  y_t = S_t q_t + D v_t,

    for every head, with Δ = softplus(· + bias). The output is a linear map of y ∘ SiLU(z), normed.
    """

    wider = 0

    def __init__(self, size: int, heads: int = 4, state: int = 64, expand: int = 2, kernel: int = 4) -> None:
        super().__init__()
        inner = at_least("model.expand", expand, 1) * size
        if inner % at_least("model.heads", heads, 1):
            raise ValueError(f"model.heads={heads}: must divide model.expand × model.size = {inner}")
        self.heads, self.width = heads, inner // heads
        self.keys = at_least("model.state", state, 1)
        self.parts = [inner, inner + 2 * state, heads]  # z; v, k and q; Δ
        self.seen = nn.Linear(size, sum(self.parts), bias=False)
        self.convolution = CausalConvolution(inner + 2 * state, kernel)
        low, high = map(math.log, TIME_STEPS)
        steps = torch.empty(heads).uniform_(low, high).exp()
        self.step_bias = nn.Parameter(steps + torch.log(-torch.expm1(-steps)))  # the inverse of softplus
        self.log_decay = nn.Parameter(torch.arange(1.0, heads + 1).log())  # log A
        self.skip = nn.Parameter(torch.ones(heads))  # D
        self.norm = nn.RMSNorm(inner, eps=1e-5)
        self.output = nn.Linear(inner, size, bias=False)

    def initial_state(self, batch_size: int) -> Matrix:
        memory = self.skip.new_zeros(batch_size, self.heads, self.width, self.keys)
        return Matrix(memory, self.convolution.initial_state(batch_size))

    def forward(self, inputs: Tensor, state: Matrix, positions: Tensor, exists: Tensor | None) -> tuple[Tensor, Matrix]:
        gate, values, steps = self.seen(inputs).split(self.parts, 2)
        convolved, last = self.convolution.over(values, state.inputs, exists)
        values, keys, queries = F.silu(convolved).split([self.parts[0], self.keys, self.keys], 2)
        steps = F.softplus(steps + self.step_bias)  # (B, T, H)
        if exists is not None:  # what does not exist changes nothing
            steps = steps.masked_fill(~exists.unsqueeze(2), 0)
        steps = steps.transpose(1, 2).unsqueeze(3)
        values = values.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, H, T, P)
        keys, queries = (part.unsqueeze(1).expand(-1, self.heads, -1, -1) for part in (keys, queries))
        decay = -steps * self.log_decay.exp().view(-1, 1, 1)
        reads, memory = linear_memory(queries, keys, values, decay, steps, state.memory, delta=False)
        outputs = reads + self.skip.view(-1, 1, 1) * values
        return self.output(self.norm(outputs.transpose(1, 2).flatten(2) * F.silu(gate))), Matrix(memory, last)


class Mamba2(Residual):
    """A stack of `StateSpace` layers, without feedforward parts.

    Args:
        heads: of a layer, each with a memory of (expand · size / heads) × state.
        state: the width of keys and queries.
        expand: how many times as wide as the model a layer is inside.
        kernel: steps of the convolution.
        input_size, output_size, size, layers, encoder, dropout: see `Residual`.

    >>> Mamba2(9, 8)(torch.zeros(4, 41, 9))[0].shape
    torch.Size([4, 41, 8])
    """

    mixer_classes = (StateSpace,)
