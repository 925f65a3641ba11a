"""The recurrence over a whole sequence as one operation, whose forward and backward a backend supplies.

All that autograd sees of a sequence is this one node. The arrays are described in `ntm_lab.fast.contract`.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ntm_lab.fast import dnc, mann, ntm
from ntm_lab.fast.backends import untraced
from ntm_lab.fast.contract import Kernels, Machine, Plan, Sparse, State, Tape, Upstream, Weights, each, leaves, rebuild
from ntm_lab.fast.workspace import Workspace
from ntm_lab.types import Layer

MACHINES: Mapping[str, Machine] = {"ntm": ntm, "dnc": dnc, "mann": mann}
"""By the name that an access gives as its ``machine``."""


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
    """The results of a sequence. All but the state is 0 past a sequence's end."""

    outputs: Tensor  # (B, T, C + R·W), hidden of the last layer and reads
    state: State
    parameters: Tensor  # (B, T, P)   \ only the last step, unless signals are wanted
    series: Any  # of the access, (B, T, …) / or something requires a gradient


@untraced
def run(
    kernels: Kernels,
    machine: Machine,
    plan: Plan,
    inputs: Tensor,
    weights: Weights,
    state: State,
    lengths: Tensor | None = None,
    signals: bool = False,
) -> Result:
    """The whole recurrence from inputs (B, T, I), differentiable once with respect to every tensor that goes in.

    Raises ValueError if a shape does not fit the others, TypeError if a type or a device does not.
    """
    state_shapes, series_shapes, _ = machine.shapes(plan.access, inputs.shape[0], state.access.memory.shape[1])
    _check(plan, inputs, weights, state, state_shapes, lengths)
    order = None
    if lengths is not None:  # the longest first, so that the sequences that go on are always the first ones
        order = lengths.argsort(descending=True, stable=True)
        inputs, lengths, state = inputs[order], lengths[order].long(), _reorder(state, order)
    tensors = (inputs.transpose(0, 1), *weights, *leaves(state))
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    outputs, parameters, *rest = _Sequence.apply(kernels, machine, plan, lengths, keep, signals, *tensors)
    final, series = rest[: len(tensors) - 4], rest[len(tensors) - 4 :]
    state, shown = rebuild(state, final), [outputs, parameters, *series]
    if order is not None:
        back = order.argsort()
        shown, state = [part[:, back] for part in shown], _reorder(state, back)
    outputs, parameters, *series = (part.transpose(0, 1) for part in shown)
    return Result(outputs, state, parameters, series_shapes._make(series))


def _check(
    plan: Plan, inputs: Tensor, weights: Weights, state: State, access_shapes: Any, lengths: Tensor | None
) -> None:
    """Compiled code would read and write beyond the ends of what does not fit."""
    batch, _, features = inputs.shape
    size, own = plan.size, plan.size * plan.recurrent + 1
    columns = max(plan.inputs + plan.reads + own, (size + own) * (plan.layers > 1))
    expected = {
        "layers": (weights.layers, (plan.layers, size * (4 if plan.gated else 1), columns)),
        "heads": (weights.heads, (plan.parameters, size)),
        "bias": (weights.bias, (plan.parameters,)),
        "hidden": (state.hidden, (plan.layers, batch, size)),
        "cell": (state.cell, (plan.layers, batch, size)),
        "reads": (state.reads, (batch, plan.reads)),
    }
    for name, shape in access_shapes._asdict().items():
        expected[name] = getattr(state.access, name), shape
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
    access = each(lambda part: part[order], state.access)
    return State(state.hidden[:, order], state.cell[:, order], state.reads[order], access)


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        kernels: Kernels,
        machine: Machine,
        plan: Plan,
        lengths: Tensor | None,
        keep: bool,
        signals: bool,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        inputs, layers, heads, bias, hidden, cell, reads, *own = (tensor.contiguous() for tensor in tensors)
        steps, batch, _ = inputs.shape
        padded = lengths is not None
        if lengths is None:
            lengths = torch.full((batch,), steps, device=inputs.device)
        _, slots, width = own[0].shape
        state_shapes, series_shapes, saved_shapes = machine.shapes(plan.access, batch, slots)
        weights, initial = Weights(layers, heads, bias), State(hidden, cell, reads, state_shapes._make(own))

        kept, shown = (steps if keep else 1), (steps if keep or signals else 1)

        def rows(shape: Any) -> tuple[int, ...]:
            if isinstance(shape, Sparse):
                return -(-steps // shape.spacing(steps)) if keep else 0, *shape.shape
            return kept, *shape

        workspace = Workspace(
            inputs,
            [
                (plan.layers, kept, batch, layers.shape[2]),
                (plan.layers, kept, batch, layers.shape[1]),
                (plan.layers, kept, batch, plan.size if plan.gated else 0),
                *map(rows, saved_shapes),
                rows(Sparse(lambda _: plan.every, (batch, *kernels.snapshot_shape(slots, width)))),
            ],
        )
        joined, gates, cells, *saved, snapshots = workspace.tensors
        tape = Tape(
            joined=joined,
            gates=gates,
            cells=cells,
            snapshots=snapshots,
            outputs=inputs.new_empty(steps, batch, plan.size + plan.reads),
            parameters=inputs.new_empty(shown, batch, plan.parameters),
            series=series_shapes._make(inputs.new_empty(shown, *shape) for shape in series_shapes),
            saved=saved_shapes._make(saved),
        )
        if padded:  # what is past the end is not written, but returned, or read by `weight_gradients`
            for part in (tape.joined, tape.outputs, tape.parameters, *tape.series):
                part.zero_()
        final = kernels.forward(plan, lengths, inputs, weights, initial, tape)

        if keep:
            ctx.kernels, ctx.plan, ctx.inputs_shape = kernels, plan, inputs.shape
            ctx.workspace = workspace.lease
            ctx.set_materialize_grads(False)
            ctx.own = state_shapes, series_shapes, saved_shapes
            ctx.save_for_backward(lengths, *weights, *leaves(initial), *leaves(tape))
        return tape.outputs, tape.parameters, *leaves(final), *tape.series

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # PyTorch's once_differentiable passes some of these over in silence
            raise RuntimeError("create_graph=True: a fast backend has no second derivatives; backend=reference has")
        own, series, saved = ctx.own
        values = iter(ctx.saved_tensors)

        def take(number: int) -> list[Tensor]:
            return [*islice(values, number)]

        lengths = next(values)
        weights = Weights._make(take(3))
        initial = State._make([*take(3), own._make(take(len(own)))])
        tape = Tape._make([*take(6), series._make(take(len(series))), saved._make(take(len(saved)))])
        outputs, parameters, *rest = grads
        number = len(rest) - len(tape.series)
        zero = tape.outputs.new_zeros(())  # whose expansions take no memory
        final = (
            zero.expand(part.shape) if grad is None else grad for part, grad in zip(leaves(initial), rest, strict=False)
        )

        def dense(grad: Tensor | None, like: Tensor) -> Tensor:
            return like.new_empty([0] * like.dim()) if grad is None else grad.contiguous()

        upstream = Upstream(
            dense(outputs, tape.outputs),
            dense(parameters, tape.parameters),
            tape.series._make(map(dense, rest[number:], tape.series)),
        )
        wanted = ctx.needs_input_grad[6]
        inputs = tape.outputs.new_zeros(ctx.inputs_shape) if wanted else tape.outputs.new_empty(0, 0, 0)
        first, weights = ctx.kernels.backward(
            ctx.plan, lengths, weights, initial, tape, upstream, rebuild(initial, final), inputs
        )
        return *(None,) * 6, inputs if wanted else None, *weights, *leaves(first)
