"""Linear recurrent memories: one matrix that is decayed, corrected and added to, and read by a product."""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ntm_lab.checks import at_least, one_of, switch
from ntm_lab.nn.baselines.residual import CausalConvolution, Mixer, Residual

FORGET = ("none", "fixed", "scalar", "vector")
CHUNK = 32  # steps that are computed together


class Matrix(NamedTuple):
    """The memory, and the last inputs of the convolution."""

    memory: Tensor  # (B, heads, W values, W keys)
    inputs: Tensor  # (B, kernel - 1, size)


def linear_memory(
    queries: Tensor, keys: Tensor, values: Tensor, log_decay: Tensor, strength: Tensor, memory: Tensor, delta: bool
) -> tuple[Tensor, Tensor]:
    """What is read at every step (B, H, T, W), and the memory after the last.

        S_t = S_{t−1} diag(α_t) (I − β_t k_t k_tᵀ) + β_t v_t k_tᵀ,  read S_t q_t        (with ``delta``)
        S_t = S_{t−1} diag(α_t) + β_t v_t k_tᵀ                                          (without)

    Mamba-2 and the mLSTM are the second line, too. It is computed in chunks (Yang et al. 2024, arXiv 2406.06484 and
    2412.06464): with γ_t = α_1 ⋯ α_t within one, S_t = S_0 diag(γ_t) + Σ_{i≤t} z_i (k_i ∘ γ_t / γ_i)ᵀ, and with
    ``delta`` z solves a triangular system,
    z_t = β_t (v_t − S_0 (γ_t ∘ k_t) − Σ_{i<t} z_i (k_i ∘ γ_t / γ_i · k_t)); else z_t = β_t v_t.

    Args:
        queries, keys, values: (B, H, T, W), where values may be wider or narrower than keys.
        log_decay: log α, (B, H, T, 1), or (B, H, T, W) for a rate of each key's component.
        strength: β, (B, H, T, 1).
        memory: S_0, (B, H, W values, W keys).
    """
    reads = []
    for q, k, v, log_alpha, beta in zip(
        *(part.split(CHUNK, 2) for part in (queries, keys, values, log_decay, strength)), strict=True
    ):
        since = log_alpha.cumsum(2)  # log γ
        gamma = since.exp()
        old = memory.transpose(2, 3)  # (B, H, keys, values)
        z = beta * v
        if delta:
            alike = _decayed_products(k, k, since, 0)  # below the diagonal
            rest = z - beta * ((gamma * k) @ old)
            z = torch.linalg.solve_triangular(_one_plus(beta * alike), rest, upper=False, unitriangular=True)
        reads.append((gamma * q) @ old + _decayed_products(q, k, since, 1) @ z)
        last = (since[:, :, -1:] - since).exp()  # γ_T / γ_i
        memory = memory * gamma[:, :, -1:] + z.transpose(2, 3) @ (k * last)
    return torch.cat(reads, 2), memory


def _decayed_products(left: Tensor, right: Tensor, since: Tensor, below: int) -> Tensor:
    """Σ_d left_td right_id γ_td / γ_id for i < t + ``below``, else 0: (B, H, T, T)."""
    steps = left.shape[2]
    seen = torch.ones(steps, steps, dtype=torch.bool, device=left.device).tril(below - 1)
    between = (since.unsqueeze(3) - since.unsqueeze(2)).masked_fill(~seen.unsqueeze(2), -torch.inf).exp()
    if since.shape[3] == 1:
        return (left @ right.transpose(2, 3)) * between.squeeze(4)
    return torch.einsum("bhtd,bhid,bhtid->bhti", left, right, between)


def _one_plus(lower: Tensor) -> Tensor:
    return lower + torch.eye(lower.shape[2], dtype=lower.dtype, device=lower.device)


class MatrixMemory(Mixer):
    """A memory W × W for each head, as `linear_memory` computes it, behind a short causal convolution."""

    def __init__(
        self,
        size: int,
        heads: int = 4,
        forget: str = "scalar",
        delta: bool = True,
        negative: bool = False,
        kernel: int = 4,
    ) -> None:
        super().__init__()
        at_least("model.heads", heads, 1)
        if size % heads:
            raise ValueError(f"model.size={size}: must be a multiple of model.heads={heads}")
        self.heads, self.width = heads, size // heads
        self.forget = one_of("model.forget", forget, FORGET)
        self.delta = switch("model.delta", delta)
        self.most = 2.0 if switch("model.negative", negative) else 1.0
        self.convolution = CausalConvolution(size, kernel)
        self.seen = nn.Linear(size, 3 * size)  # queries, keys, values
        self.strength = nn.Linear(size, heads) if delta else None
        if forget == "fixed":  # RetNet's rates
            self.register_buffer("rates", torch.log1p(-(2.0 ** (-5 - torch.arange(heads)))))
        elif forget != "none":
            self.decay = nn.Linear(size, heads if forget == "scalar" else size)
            nn.init.constant_(self.decay.bias, 4.0)  # it begins by forgetting little
        self.norm = nn.RMSNorm(self.width)
        self.gate, self.output = nn.Linear(size, size), nn.Linear(size, size)

    def initial_state(self, batch_size: int) -> Matrix:
        memory = self.output.weight.new_zeros(batch_size, self.heads, self.width, self.width)
        return Matrix(memory, self.convolution.initial_state(batch_size))

    def forward(self, inputs: Tensor, state: Matrix, positions: Tensor, exists: Tensor | None) -> tuple[Tensor, Matrix]:
        convolved, last = self.convolution.over(inputs, state.inputs, exists)
        hidden = F.silu(convolved)
        queries, keys, values = self.seen(hidden).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if self.delta:
            queries, keys = F.normalize(queries, dim=3), F.normalize(keys, dim=3)
        else:
            queries = queries / self.width
        log_decay, strength = self._log_decay(hidden), self._strength(hidden)
        if exists is not None:  # what does not exist changes nothing
            log_decay = log_decay.masked_fill(~exists[:, None, :, None], 0)
            strength = strength.masked_fill(~exists[:, None, :, None], 0)
        reads, memory = linear_memory(queries, keys, values, log_decay, strength, state.memory, self.delta)
        outputs = self.norm(reads).transpose(1, 2).flatten(2) * F.silu(self.gate(hidden))
        return self.output(outputs), Matrix(memory, last)

    def _log_decay(self, hidden: Tensor) -> Tensor:
        """log α, (B, H, T, 1 or W)."""
        batch, steps, _ = hidden.shape
        if self.forget == "none":
            return hidden.new_zeros(batch, self.heads, steps, 1)
        if self.forget == "fixed":
            return cast(Tensor, self.rates).to(hidden.dtype).view(-1, 1, 1).expand(batch, -1, steps, 1)
        return F.logsigmoid(self.decay(hidden)).unflatten(2, (self.heads, -1)).transpose(1, 2)

    def _strength(self, hidden: Tensor) -> Tensor:
        """β, (B, H, T, 1)."""
        if self.strength is None:
            return hidden.new_ones(len(hidden), self.heads, hidden.shape[1], 1)
        return self.most * self.strength(hidden).sigmoid().transpose(1, 2).unsqueeze(3)


class LinearMemory(Residual):
    """A stack of linear memories. By its settings it is

    | | forget | delta |
    |---|---|---|
    | linear attention (Katharopoulos et al. 2020, arXiv 2006.16236) | none | false |
    | RetNet (Sun et al. 2023, arXiv 2307.08621) | fixed | false |
    | gated linear attention (Yang et al. 2023, arXiv 2312.06635) | vector | false |
    | DeltaNet (Schlag et al. 2021, arXiv 2102.11174; Yang et al. 2024, arXiv 2406.06484) | none | true |
    | gated DeltaNet (Yang et al. 2024, arXiv 2412.06464) | scalar | true |

    Around the memory all of them have the same layer: a causal convolution, keys and queries of norm 1 with ``delta``,
    RMS norm and a gate on what is read.

    Args:
        heads: memories a layer, each (size / heads)².
        forget: what multiplies the memory at each step: nothing; a constant for each head, from 31/32 on; a number for
            each head, or for each component of the key, that depends on the step.
        delta: whether what the key finds is taken out, by a strength that depends on the step, before the value is
            added (the delta rule).
        negative: whether that strength goes to 2, so that (I − βkkᵀ) can have the eigenvalue −1, which state tracking
            needs (Grazzi et al. 2024, arXiv 2411.12537).
        kernel: steps of the convolution; 1: only the step itself.
        input_size, output_size, size, layers, encoder, dropout: see `Residual`.
    """

    mixer_classes = (MatrixMemory,)
