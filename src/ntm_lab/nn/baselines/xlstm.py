"""The xLSTM: Beck et al. 2024 (arXiv 2405.04517), whose LSTMs have exponential gates.

Both layers are written here, and not taken from the package xlstm, because its mLSTM starts from nothing where it is
computed at once, and goes on from a state one step at a time only; neither knows padding. A test compares the layers
with theirs.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ntm_lab.checks import at_least, one_of
from ntm_lab.nn.arguments import freeze
from ntm_lab.nn.baselines.linear_memory import linear_memory
from ntm_lab.nn.baselines.residual import CausalConvolution, Mixer, Residual

BLOCK = 4  # channels that a query, key or value is made of
NORMALIZER_GUARD = 1e-6
BEFORE = -1e4  # the level before the first step, from which nothing is left after it


class MatrixCell(NamedTuple):
    """The state of an mLSTM."""

    memory: Tensor  # (B, heads, W + 1, W): values and the normaliser, by keys
    level: Tensor  # (B, heads), the logarithm of what memory is divided by, so that no gate overflows
    inputs: Tensor  # (B, kernel - 1, 2 · size)


class ScalarCell(NamedTuple):
    """The state of an sLSTM; the first four are (B, size)."""

    output: Tensor
    cell: Tensor
    normalizer: Tensor
    level: Tensor  # the logarithm of what cell and normaliser are divided by
    inputs: Tensor  # (B, kernel - 1, size)


class MatrixLSTM(Mixer):
    """The mLSTM of every head, a linear memory with a normaliser n, inside a layer of twice the width:

        C_t = f_t C_{t−1} + i_t v_t k_tᵀ,  n_t = f_t n_{t−1} + i_t k_t,  h_t = C_t q_t / max(|n_tᵀ q_t|, 1),

    with f = σ(·) and i = exp(·). C, n and 1 are kept divided by e^m, with m_t = max(log f_t + m_{t−1}, log i_t); h does
    not depend on m, hence no gradient passes through it.
    """

    wider = 0

    def __init__(self, size: int, heads: int = 4, kernel: int = 4) -> None:
        super().__init__()
        inner = 2 * size
        if inner % at_least("model.heads", heads, 1) or inner % BLOCK:
            raise ValueError(f"model.size={size}: twice of it must be a multiple of {BLOCK} and of model.heads={heads}")
        self.heads, self.width = heads, inner // heads
        self.up, self.down = nn.Linear(size, 2 * inner, bias=False), nn.Linear(inner, size, bias=False)
        self.convolution = CausalConvolution(inner, kernel)
        self.query, self.key, self.value = (
            nn.Conv1d(inner, inner, 1, groups=inner // BLOCK, bias=False) for _ in range(3)
        )
        self.gates = nn.Linear(3 * inner, 2 * heads)  # log i and what f is the sigmoid of
        self.norm = nn.LayerNorm(self.width, elementwise_affine=False)
        self.scale, self.skip = nn.Parameter(torch.ones(inner)), nn.Parameter(torch.ones(inner))
        nn.init.zeros_(self.gates.weight)
        with torch.no_grad():
            self.gates.bias[:heads].normal_(0, 0.1)
            self.gates.bias[heads:] = torch.linspace(3, 6, heads)  # it begins by forgetting little

    def initial_state(self, batch_size: int) -> MatrixCell:
        memory = self.skip.new_zeros(batch_size, self.heads, self.width + 1, self.width)
        return MatrixCell(memory, memory.new_zeros(batch_size, self.heads), self.convolution.initial_state(batch_size))

    def forward(
        self, inputs: Tensor, state: MatrixCell, positions: Tensor, exists: Tensor | None
    ) -> tuple[Tensor, MatrixCell]:
        seen, gate = self.up(inputs).chunk(2, 2)
        convolved, last = self.convolution.over(seen, state.inputs, exists)
        convolved = F.silu(convolved)
        sources = (self.query, convolved), (self.key, convolved), (self.value, seen)
        made = [part(source.transpose(1, 2)).transpose(1, 2) for part, source in sources]
        enter, keep = self.gates(torch.cat(made, 2)).transpose(1, 2).chunk(2, 1)  # (B, H, T)
        keep = F.logsigmoid(keep)
        if exists is not None:  # what does not exist changes nothing
            enter = enter.masked_fill(~exists.unsqueeze(1), -torch.inf)
            keep = keep.masked_fill(~exists.unsqueeze(1), 0)
        queries, keys, values = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in made)
        level = _levels(enter, keep, state.level).detach()
        before = torch.cat((state.level.detach().unsqueeze(2), level[:, :, :-1]), 2)
        read, memory = linear_memory(
            queries,
            keys / math.sqrt(self.width),
            F.pad(values, (0, 1), value=1.0),
            (keep + before - level).unsqueeze(3),
            (enter - level).exp().unsqueeze(3),
            state.memory,
            delta=False,
        )
        total, normalizer = read[..., :-1], read[..., -1:]
        hidden = total / (torch.maximum(normalizer.abs(), (-level).exp().unsqueeze(3)) + NORMALIZER_GUARD)
        hidden = self.norm(hidden).transpose(1, 2).flatten(2) * self.scale + self.skip * convolved
        return self.down(hidden * F.silu(gate)), MatrixCell(memory, level[:, :, -1], last)


def _levels(enter: Tensor, keep: Tensor, before: Tensor) -> Tensor:
    """m_t = max(log f_t + m_{t−1}, log i_t) of every step (B, H, T), from log i, log f and the m before (B, H)."""
    since = keep.cumsum(2)
    return since + torch.maximum((enter - since).cummax(2).values, before.unsqueeze(2))


class ScalarLSTM(Mixer):
    """The sLSTM: an LSTM with a normaliser, whose heads are recurrent each on its own.

        c_t = f_t ∘ c_{t−1} + i_t ∘ z_t,  n_t = f_t ∘ n_{t−1} + i_t,  h_t = o_t ∘ c_t / n_t,

    with f and o = σ(·), i = exp(·), z = tanh(·) of the sum of a linear map of the input, one of h_{t−1}, and a bias.
    Input and forget gate see the input through a causal convolution. c and n are kept divided by e^m, as in
    `MatrixLSTM`.
    """

    def __init__(self, size: int, heads: int = 4, kernel: int = 4) -> None:
        super().__init__()
        if size % at_least("model.heads", heads, 1):
            raise ValueError(f"model.size={size}: must be a multiple of model.heads={heads}")
        self.heads, width = heads, size // heads
        self.convolution = CausalConvolution(size, kernel)
        self.gates = nn.Conv1d(2 * size, 2 * size, 1, groups=2 * heads, bias=False)  # log i and f, of the convolved
        self.cells = nn.Conv1d(2 * size, 2 * size, 1, groups=2 * heads, bias=False)  # z and o, of the input itself
        self.recurrent = nn.Parameter(torch.zeros(heads, width, 4 * width))
        self.bias = nn.Parameter(torch.zeros(4, size))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.scale = nn.Parameter(torch.ones(size))
        with torch.no_grad():  # of f: from 5, which keeps, to -7, as the authors' code
            self.bias[1] = (5 - 12 * torch.linspace(0, 1, width) ** 0.3).repeat(heads)

    def initial_state(self, batch_size: int) -> ScalarCell:
        none = self.scale.new_zeros(batch_size, len(self.scale))
        return ScalarCell(none, none, none, none + BEFORE, self.convolution.initial_state(batch_size))

    def forward(
        self, inputs: Tensor, state: ScalarCell, positions: Tensor, exists: Tensor | None
    ) -> tuple[Tensor, ScalarCell]:
        convolved, last = self.convolution.over(inputs, state.inputs, exists)
        doubled = (torch.cat((part, part), 2).transpose(1, 2) for part in (F.silu(convolved), inputs))
        driven = torch.cat([part(source) for part, source in zip((self.gates, self.cells), doubled, strict=True)], 1)
        steps = driven.unflatten(1, (4, -1)).permute(3, 0, 1, 2) + self.bias  # (T, B, 4, size)
        cells: tuple[Tensor, ...] = state[:4]
        outputs = []
        for step, driven in enumerate(steps.unbind(0)):
            after = self._step(driven, *cells)
            cells = after if exists is None else freeze(~exists[:, step], cells, after)
            outputs.append(after[0])
        hidden = self.norm(torch.stack(outputs, 1).unflatten(2, (self.heads, -1))).flatten(2)
        return hidden * self.scale, ScalarCell._make((*cells, last))

    def _step(
        self, driven: Tensor, output: Tensor, cell: Tensor, normalizer: Tensor, level: Tensor
    ) -> tuple[Tensor, ...]:
        """Output, cell, normaliser and level (B, size) after a step, from what drives i, f, z, o (B, 4, size)."""
        by_head = output.unflatten(1, (self.heads, -1)).transpose(0, 1)  # (heads, B, width)
        recurrent = (by_head @ self.recurrent).unflatten(2, (4, -1)).permute(1, 2, 0, 3).flatten(2)
        enter, keep, new, show = (driven + recurrent).unbind(1)
        keep = F.logsigmoid(keep)
        higher = torch.maximum(keep + level, enter).detach()
        kept, entered = (keep + level.detach() - higher).exp(), (enter - higher).exp()
        cell = kept * cell + entered * new.tanh()
        normalizer = kept * normalizer + entered
        return show.sigmoid() * cell / normalizer, cell, normalizer, higher


KINDS: dict[str, tuple[type[Mixer], ...]] = {
    "mlstm": (MatrixLSTM,),
    "slstm": (ScalarLSTM,),
    "both": (MatrixLSTM, ScalarLSTM),
}
"""The layers that take turns."""


class XLSTM(Residual):
    """A stack of mLSTM and sLSTM layers; those of the sLSTM have a feedforward part.

    Args:
        kind: ``mlstm``, ``slstm``, or ``both``: one after the other, beginning with an mLSTM.
        heads: of a layer; an mLSTM's have a memory of (2 · size / heads)² each.
        kernel: steps of the convolution.
        input_size, output_size, size, layers, encoder, dropout: see `Residual`.

    >>> XLSTM(9, 8)(torch.zeros(4, 41, 9))[0].shape
    torch.Size([4, 41, 8])
    """

    mixer_classes = KINDS["both"]

    def __init__(self, input_size: int, output_size: int, *, kind: str = "both", **others: Any) -> None:
        self.mixer_classes = KINDS[one_of("model.kind", kind, KINDS)]
        super().__init__(input_size, output_size, **others)
