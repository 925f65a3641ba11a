"""The recurrence of an NTM over a whole sequence as one operation, whose forward and backward a backend supplies.

All that autograd sees of a sequence is this one node. The arrays below are shared by all backends; time comes first,
then the batch, and everything is contiguous. T steps, B sequences, L layers of the controller of size C with G = 4
gates (LSTM) or 1, R read and H write heads, K = R + H, P head parameters, N slots of width W.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from ntm_lab.fast.workspace import Workspace
from ntm_lab.types import Layer


class Plan(NamedTuple):
    """What is fixed when a model is built."""

    inputs: int
    layers: int
    size: int
    gated: bool  # an LSTM; else tanh
    recurrent: bool  # whether a layer sees its own last output
    read_heads: int
    write_heads: int
    width: int
    shifts: int
    bounded: bool
    every: int  # steps between two memories that are kept for the way back


class Weights(NamedTuple):
    """Of everything inside the recurrence."""

    layers: Tensor  # (L, G·C, D): columns for [below | own hidden | 1], below is [inputs | reads] or the hidden below
    heads: Tensor  # (P, C)
    bias: Tensor  # (P,)


class State(NamedTuple):
    """What goes from step to step; also its derivative."""

    hidden: Tensor  # (L, B, C)
    cell: Tensor  # (L, B, C)
    memory: Tensor  # (B, N, W)
    weighting: Tensor  # (B, K, N), read heads first
    reads: Tensor  # (B, R·W)


class Tape(NamedTuple):
    """What forward leaves for the way back. Where there is none, T is 1 in those marked and the last step remains."""

    joined: Tensor  # (L, T*, B, D), what meets the weights of a layer
    gates: Tensor  # (L, T*, B, G·C), bounded
    cells: Tensor  # (L, T*, B, C); of size 0 without gates
    content: Tensor  # (T*, B, K, N)
    snapshots: Tensor  # (T / every, B, …), the memory before the steps 0, every, 2 every, …
    outputs: Tensor  # (T, B, C + R·W): hidden of the last layer, reads
    weightings: Tensor  # (T, B, K, N); T* if nobody asked for them
    parameters: Tensor  # (T, B, P), likewise; bounded: each head's key … sharpness, then each erase and add


class Given(NamedTuple):
    """Derivatives that come from above; of length 0 where there is none."""

    outputs: Tensor
    weightings: Tensor
    parameters: Tensor


class Kernels(Protocol):
    """What a backend supplies: the two directions of the recurrence on the arrays above."""

    def snapshot_shape(self, slots: int, width: int) -> tuple[int, ...]:
        """How a memory is held in `Tape.snapshots`."""
        ...

    def forward(
        self, plan: Plan, lengths: Tensor, inputs: Tensor, weights: Weights, initial: State, tape: Tape
    ) -> State:
        """Fill the tape and return the final state; inputs (T, B, I), lengths (B,) descending."""
        ...

    def backward(
        self,
        plan: Plan,
        lengths: Tensor,
        weights: Weights,
        initial: State,
        tape: Tape,
        given: Given,
        final: State,
        inputs: Tensor,
    ) -> tuple[State, Weights]:
        """From the derivatives of the final state to those of the initial one and of the weights.

        ``inputs`` (T, B, I) receives the derivatives of the inputs; of length 0 if they are not wanted. Nothing past a
        sequence's end is read or written, but for the zeros of ``tape.joined`` and ``tape.outputs``.
        """
        ...


class Slopes(NamedTuple):
    """Derivatives with respect to the inputs, the sums before the gates and the sums before the bounds."""

    inputs: Tensor  # (T, B, I), of length 0 if not wanted
    layers: Tensor  # (L, T, B, G·C)
    parameters: Tensor  # (T, B, P)


def of_weights(plan: Plan, tape: Tape, slopes: Slopes) -> Weights:
    """The derivatives of the weights from those of all steps' sums, which are 0 past a sequence's end.

    For a backend that keeps these: each is one large product of matrices.
    """
    sums, joined = slopes.layers.flatten(1, 2), tape.joined.flatten(1, 2)
    emitted, hidden = slopes.parameters.flatten(0, 1), tape.outputs.flatten(0, 1)[:, : plan.size]
    return Weights(sums.transpose(1, 2) @ joined, emitted.T @ hidden, emitted.sum(0))


def stack(layers: Sequence[Layer]) -> Tensor:
    """`Weights.layers` of a controller."""
    rows = []
    for below, own, bias in layers:
        rows.append(torch.cat((below, bias.unsqueeze(1)) if own is None else (below, own, bias.unsqueeze(1)), 1))
    if len(rows) == 1:
        return rows[0].unsqueeze(0)
    width = max(row.shape[1] for row in rows)
    return torch.stack([F.pad(row, (0, width - row.shape[1])) for row in rows])


class Result(NamedTuple):
    """Past a sequence's end everything but the state is 0."""

    outputs: Tensor  # (B, T, C + R·W), hidden of the last layer and reads
    state: State
    weightings: Tensor  # (B, T, K, N) \ of the last step only, unless signals were asked for
    parameters: Tensor  # (B, T, P)    / or a derivative will be


def run(
    kernels: Kernels,
    plan: Plan,
    inputs: Tensor,
    weights: Weights,
    state: State,
    lengths: Tensor | None = None,
    signals: bool = False,
) -> Result:
    """The whole recurrence from inputs (B, T, I), differentiable once with respect to every tensor that goes in.

    Raises ValueError if the shape of one does not fit the others, TypeError if its type or device does not.
    """
    _check(plan, inputs, weights, state, lengths)
    order = None
    if lengths is not None:  # the longest first, so that those that go on are always the first ones
        order = lengths.argsort(descending=True, stable=True)
        inputs, lengths, state = inputs[order], lengths[order].long(), _reorder(state, order)
    tensors = (inputs.transpose(0, 1), *weights, *state)
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    outputs, weightings, parameters, *final = _Sequence.apply(kernels, plan, lengths, keep, signals, *tensors)
    series, state = [outputs, weightings, parameters], State(*final)
    if order is not None:
        back = order.argsort()
        series, state = [part[:, back] for part in series], _reorder(state, back)
    outputs, weightings, parameters = (part.transpose(0, 1) for part in series)
    return Result(outputs, state, weightings, parameters)


def _check(plan: Plan, inputs: Tensor, weights: Weights, state: State, lengths: Tensor | None) -> None:
    """Compiled code would read and write beyond the ends of what does not fit."""
    batch, _, features = inputs.shape
    slots = state.memory.shape[1]
    heads, size = plan.read_heads + plan.write_heads, plan.size
    emitted = heads * (plan.width + 3 + plan.shifts) + plan.write_heads * 2 * plan.width
    own = size * plan.recurrent + 1
    columns = max(plan.inputs + plan.read_heads * plan.width + own, (size + own) * (plan.layers > 1))
    expected = {
        "layers": (weights.layers, (plan.layers, size * (4 if plan.gated else 1), columns)),
        "heads": (weights.heads, (emitted, size)),
        "bias": (weights.bias, (emitted,)),
        "hidden": (state.hidden, (plan.layers, batch, size)),
        "cell": (state.cell, (plan.layers, batch, size)),
        "memory": (state.memory, (batch, slots, plan.width)),
        "weighting": (state.weighting, (batch, heads, slots)),
        "reads": (state.reads, (batch, plan.read_heads * plan.width)),
    }
    if plan.shifts // 2 > slots:
        raise ValueError(f"memory: {slots} slots are too few for {plan.shifts} shifts")
    if features != plan.inputs:
        raise ValueError(f"inputs: width is {features}, not {plan.inputs}")
    if lengths is not None and lengths.shape != (batch,):
        raise ValueError(f"lengths: shape is {tuple(lengths.shape)}, not {(batch,)}")
    for name, (tensor, shape) in expected.items():
        if tensor.shape != shape:
            raise ValueError(f"{name}: shape is {tuple(tensor.shape)}, not {shape}")
        if (tensor.dtype, tensor.device) != (inputs.dtype, inputs.device):
            raise TypeError(
                f"{name}: is of {tensor.dtype} on {tensor.device}, the inputs of {inputs.dtype} on {inputs.device}"
            )


def _reorder(state: State, order: Tensor) -> State:
    return State(state.hidden[:, order], state.cell[:, order], *(part[order] for part in state[2:]))


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, kernels: Kernels, plan: Plan, lengths: Tensor | None, keep: bool, signals: bool, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        inputs, layers, heads, bias, *parts = (tensor.contiguous() for tensor in tensors)
        weights, initial = Weights(layers, heads, bias), State(*parts)
        steps, batch, _ = inputs.shape
        padded = lengths is not None
        if lengths is None:
            lengths = torch.full((batch,), steps, device=inputs.device)

        kept, shown = (steps if keep else 1), (steps if keep or signals else 1)
        _, slots, width = initial.memory.shape
        count = -(-steps // plan.every) if keep else 0
        workspace = Workspace(
            inputs,
            [
                (plan.layers, kept, batch, layers.shape[2]),
                (plan.layers, kept, batch, layers.shape[1]),
                (plan.layers, kept, batch, plan.size if plan.gated else 0),
                (kept, *initial.weighting.shape),
                (count, batch, *kernels.snapshot_shape(slots, width)),
            ],
        )
        joined, gates, cells, content, snapshots = workspace.tensors
        tape = Tape(
            joined=joined,
            gates=gates,
            cells=cells,
            content=content,
            snapshots=snapshots,
            outputs=inputs.new_empty(steps, batch, plan.size + plan.read_heads * width),
            weightings=inputs.new_empty(shown, *initial.weighting.shape),
            parameters=inputs.new_empty(shown, batch, len(bias)),
        )
        if padded:  # what is past the end is not written, but shown, or met by `of_weights`
            for part in (tape.joined, tape.outputs, tape.weightings, tape.parameters):
                part.zero_()
        final = kernels.forward(plan, lengths, inputs, weights, initial, tape)

        if keep:
            ctx.kernels, ctx.plan, ctx.inputs_shape = kernels, plan, inputs.shape
            ctx.workspace = workspace.lease
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(lengths, layers, heads, bias, *initial, *tape)
        return tape.outputs, tape.weightings, tape.parameters, *final

    @staticmethod
    def backward(ctx: Any, *above: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # PyTorch's once_differentiable passes some of these over in silence
            raise RuntimeError("create_graph=True: a fast backend has no second derivatives; backend=reference has")
        lengths, layers, heads, bias, *saved = ctx.saved_tensors
        initial, tape = State(*saved[: len(State._fields)]), Tape(*saved[len(State._fields) :])
        outputs, weightings, parameters, *final = above

        def given(derivative: Tensor | None, dimensions: int) -> Tensor:
            return layers.new_empty([0] * dimensions) if derivative is None else derivative.contiguous()

        inputs = layers.new_zeros(ctx.inputs_shape) if ctx.needs_input_grad[5] else given(None, 3)
        first, weights = ctx.kernels.backward(
            ctx.plan,
            lengths,
            Weights(layers, heads, bias),
            initial,
            tape,
            Given(given(outputs, 3), given(weightings, 4), given(parameters, 3)),
            State(*(_zeros(a) if b is None else b for a, b in zip(initial, final, strict=True))),
            inputs,
        )
        return *(None,) * 5, inputs if ctx.needs_input_grad[5] else None, *weights, *first


def _zeros(like: Tensor) -> Tensor:
    """Zeros that take no memory."""
    return like.new_zeros(()).expand(like.shape)
