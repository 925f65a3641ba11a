"""The words everyone here speaks: what a batch, a task, a curriculum and a sequence model are.

Shapes use B batch, T time steps, I input width, O output width.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Self

import torch
from torch import Tensor, nn

Difficulty = Mapping[str, int]
"""One point of a task's difficulty, e.g. ``{"length": 12}`` or ``{"length": 4, "repeats": 7}``."""

Ranges = Mapping[str, tuple[int, int]]
"""The lowest and the highest value of every axis of a difficulty, both inclusive."""


class Batch(NamedTuple):
    """Sequences and what is asked of them. Steps past a sequence's length are padding."""

    inputs: Tensor  # (B, T, I)
    targets: Tensor  # (B, T, O), each 0 or 1
    mask: Tensor  # (B, T) bool, the steps that are scored
    lengths: Tensor  # (B,) int64, the steps that exist

    @property
    def exists(self) -> Tensor:
        """The steps that exist, (B, T) bool."""
        return torch.arange(self.inputs.shape[1], device=self.lengths.device) < self.lengths.unsqueeze(1)


ControllerState = tuple[Tensor, ...]
"""A controller's state: tensors whose first dimension is the batch; empty where it keeps none."""


class Layer(NamedTuple):
    """A layer of a controller as plain weights: tanh(below · x + own · h + bias), or with four times as many rows an
    LSTM's gates input, forget, candidate, output in PyTorch's order."""

    below: Tensor  # (rows, ·), of the inputs, the lowest layer's followed by the reads
    own: Tensor | None  # (rows, size), of its own last output, if it sees it
    bias: Tensor  # (rows,)


class HeadParameters(NamedTuple):
    """What K heads emit to be addressed; S = 2s + 1 shifts from -s to s. In the paper k, β, g, s, γ."""

    key: Tensor  # (B, K, W)
    strength: Tensor  # (B, K, 1), at least 0
    gate: Tensor  # (B, K, 1), in [0, 1]: 1 takes the content weighting, 0 the last weighting
    shift: Tensor  # (B, K, S), sums to 1
    sharpness: Tensor  # (B, K, 1), at least 1


class Task(Protocol):
    """A source of sequences whose difficulty can be chosen."""

    input_size: int
    output_size: int
    ranges: Ranges
    mixable: bool  # whether sequences of different difficulty fit into one batch

    def sample(self, batch_size: int, difficulty: Mapping[str, int | Tensor], generator: torch.Generator) -> Batch:
        """Draw a batch; an axis of the difficulty is one int for all sequences or a tensor (B,), one int for each."""
        ...

    def solve(self, batch: Batch) -> Tensor:
        """The perfect (or Bayes-optimal) answer, computed without learning: probabilities of a 1, (B, T, O)."""
        ...

    def harder(self, difficulty: Difficulty) -> Difficulty:
        """The next step of a naive curriculum, not beyond the ranges."""
        ...

    def split(self, part: str) -> Self:
        """The task restricted to sequences of ``"training"`` or of ``"testing"`` (itself, if it keeps none apart)."""
        ...

    def overlap(self, difficulty: Difficulty, drawn: int) -> float | None:
        """The expected fraction of test sequences that are among `drawn` training sequences; None if not known."""
        ...


class Curriculum(Protocol):
    """Chooses which difficulty comes next, and learns from the cost that came of it."""

    measures_gain: bool  # whether `observe` wants the cost of the same batch after the update

    def draw(self, generator: torch.Generator) -> Difficulty: ...

    def observe(self, difficulty: Difficulty, cost: float, cost_after: float | None = None) -> None:
        """Hear the cost (bits per sequence) of what was drawn, before and, if asked for, after the update."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Controller(nn.Module, ABC):
    """The part of a memory network that sees the inputs and sets the heads; built from its input width."""

    size: int  # of its output

    @abstractmethod
    def initial_state(self, batch_size: int) -> ControllerState:
        """The learned state before the first step."""

    @abstractmethod
    def forward(self, inputs: Tensor, state: ControllerState) -> tuple[Tensor, ControllerState]:
        """One step: output (B, size) and the state after it, from inputs (B, ·)."""

    def weights(self) -> Sequence[Layer] | None:
        """All that `forward` does, as layers of one size and kind, whose state is (), (hidden,) or (hidden, cell), each
        (B, layers, size). None if it cannot be said so: then an NTM does not run on a fast backend."""
        return None


class SequenceModel(nn.Module, ABC):
    """A recurrent network with explicit state: a sequence fed in two pieces gives the same result as in one.

    ``state=None`` is the initial state; with ``lengths`` (B,) the state of a sequence freezes when it has ended.
    """

    signals: Sequence[str]  # what `trace` knows beside the logits

    @abstractmethod
    def forward(self, inputs: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        """Logits (B, T, O) and the state after the last step, from inputs (B, T, I)."""

    @abstractmethod
    def trace(
        self,
        inputs: Tensor,
        state: Any = None,
        lengths: Tensor | None = None,
        signals: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """``"logits"`` and, of what `forward` computes on the way, the named signals (default all), each (B, T, …)."""
