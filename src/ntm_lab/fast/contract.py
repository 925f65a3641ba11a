"""The arrays of a sequence, and the functions that a backend and a memory access have to supply.

The arrays are shared by all backends and accesses; time comes first, then the batch, and everything is contiguous. What
belongs to one access (its plan, state, series and saved tensors) is declared in a module of its own, such as
`ntm_lab.fast.ntm`.

T steps, B sequences, L layers of the controller of size C with G = 4 gates (LSTM) or 1, R read heads, P head
parameters, N slots of width W.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from torch import Tensor

from ntm_lab.types import Layer

Parts = TypeVar("Parts", bound=tuple[Any, ...])


class Plan(NamedTuple):
    """Sizes and settings that are fixed when a model is built."""

    inputs: int
    layers: int
    size: int
    gated: bool  # an LSTM; else tanh
    recurrent: bool  # whether a layer sees its own last output
    reads: int  # R·W
    parameters: int  # P
    every: int  # steps between two memories that are saved for backward
    access: Any  # the access's own plan, with ``machine``, the name of its kernels

    @property
    def columns(self) -> list[tuple[int, int]]:
        """Where the columns [below | own hidden | 1] of each layer are divided."""
        below = [self.inputs + self.reads, *[self.size] * (self.layers - 1)]
        return [(width, width + self.size * self.recurrent) for width in below]

    @property
    def widest(self) -> int:
        """D, the columns of the widest layer."""
        return max(own for _, own in self.columns) + 1


class Weights(NamedTuple):
    """The weights inside the recurrence, or their gradients."""

    layers: Tensor  # (L, G·C, D or more): columns for [below | own hidden | 1], below is [inputs | reads] or the hidden
    heads: Tensor  # (P, C)
    bias: Tensor  # (P,)


class State(NamedTuple):
    """What goes from step to step; also its gradient."""

    hidden: Tensor  # (L, B, C)
    cell: Tensor  # (L, B, C)
    reads: Tensor  # (B, R·W)
    access: Any  # the access's own state, tensors (B, …), among them ``memory`` (B, N, W)


class Tape(NamedTuple):
    """Tensors saved for backward. Without gradients, those marked * keep only the last step (T = 1)."""

    joined: Tensor  # (L, T*, B, D or more), what meets the weights of a layer, and zeros
    gates: Tensor  # (L, T*, B, G·C), bounded
    cells: Tensor  # (L, T*, B, C); of size 0 without gates
    snapshots: Tensor  # (T / every, B, …), the memory before the steps 0, every, 2 every, …
    outputs: Tensor  # (T, B, C + R·W): hidden of the last layer, reads
    parameters: Tensor  # (T, B, P), bounded; T* if no signals are wanted
    series: Any  # the access's own, (T, B, …), returned with the outputs; T* if no signals are wanted
    saved: Any  # the access's own, (T*, B, …), or as `Sparse` says


class Sparse(NamedTuple):
    """The shape (B, …) of what an access saves of some steps only: 0, spacing, 2 spacing, …; none without gradients."""

    spacing: Callable[[int], int]  # from the number of steps
    shape: tuple[int, ...]


class Upstream(NamedTuple):
    """Upstream gradients of the results of a sequence; length 0 means that there is none."""

    outputs: Tensor
    parameters: Tensor
    series: Any


class Machine(Protocol):
    """The declarations that a module such as `ntm_lab.fast.ntm` makes for an access."""

    def plan_of(self, access: Any) -> Any:
        """`Plan.access`, a NamedTuple of numbers."""
        ...

    def shapes(self, plan: Any, batch: int, slots: int) -> tuple[Any, Any, Any]:
        """NamedTuples of the shapes of the access's state, and of one step of its series and saved tensors.

        A saved tensor's may be `Sparse`.
        """
        ...

    @property
    def SIGNALS(self) -> Mapping[str, Callable[[Any, Any], Tensor]]:
        """How those of the access's signals that its kernels return, (B, T, …), follow from the access and the series.

        Whoever wants another signal gets the reference equations.
        """
        ...


class Kernels(Protocol):
    """A backend: the two directions of the recurrence on the arrays above."""

    MACHINES: Mapping[str, Any]  # the kernels of each access, by the name of its machine

    def unsuited(self, inputs: Tensor) -> str | None:
        """Why this backend cannot serve such inputs, or None."""
        ...

    def snapshot_shape(self, slots: int, width: int) -> tuple[int, ...]:
        """How a memory is held in `Tape.snapshots`."""
        ...

    def joined_width(self, plan: Plan) -> int:
        """The width of `Tape.joined`."""
        ...

    def pack(self, plan: Plan, layers: Sequence[Layer], heads: Tensor, bias: Tensor) -> Any:
        """A copy of the weights as both directions read them; heads (P, C), bias (P,)."""
        ...

    def forward(self, plan: Plan, lengths: Tensor, inputs: Tensor, weights: Any, initial: State, tape: Tape) -> State:
        """Fill the tape and return the final state; inputs (T, B, I), lengths (B,) descending."""
        ...

    def backward(
        self,
        plan: Plan,
        lengths: Tensor,
        weights: Any,
        initial: State,
        tape: Tape,
        upstream: Upstream,
        final: State,
        inputs: Tensor,
    ) -> tuple[State, Weights]:
        """From the gradient of the final state, whose parts may be None, to those of the initial state and the weights.

        ``inputs`` (T, B, I) receives the gradient of the inputs; of length 0 if that is not wanted. Nothing past a
        sequence's end is read or written, except the zeros of ``tape.joined`` and ``tape.outputs``.
        """
        ...


class Gradients(NamedTuple):
    """Gradients of every step, for a backend that makes those of the weights from them at the end."""

    inputs: Tensor  # (T, B, I), of length 0 if not wanted
    layers: Tensor  # (L, T, B, G·C), of the sums before the gates
    parameters: Tensor  # (T, B, P), of the head parameters before their bounds


def leaves(parts: Any) -> list[Any]:
    """What nested NamedTuples hold, in order."""
    found = []
    for part in parts:
        found += leaves(part) if isinstance(part, tuple) else [part]
    return found


def rebuild(like: Parts, values: Iterable[Any]) -> Parts:
    """NamedTuples nested as ``like``, holding the values, in order."""
    values = iter(values)
    return type(like)(*(rebuild(part, values) if isinstance(part, tuple) else next(values) for part in like))


def each(function: Callable[[Any], Any], parts: Parts) -> Parts:
    """The function's results of what nested NamedTuples hold."""
    return type(parts)(*[each(function, part) if isinstance(part, tuple) else function(part) for part in parts])
