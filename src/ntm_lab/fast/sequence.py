"""The network over a whole sequence as one operation, whose recurrence forward and backward a backend supplies.

All that autograd sees of a sequence is this one node. The arrays are described in `ntm_lab.fast.contract`.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ntm_lab.fast import dnc, mann, ntm
from ntm_lab.fast.backends import untraced
from ntm_lab.fast.contract import Kernels, Machine, Plan, Sparse, State, Tape, Upstream, each, leaves, rebuild
from ntm_lab.fast.workspace import Workspace
from ntm_lab.types import Layer

MACHINES: Mapping[str, Machine] = {"ntm": ntm, "dnc": dnc, "mann": mann}
"""By the name that an access gives as its ``machine``."""


class Affine(NamedTuple):
    """A matrix and a bias; also their gradients."""

    weight: Tensor
    bias: Tensor


class Network(NamedTuple):
    """The parameters of a memory network; also their gradients."""

    heads: Affine  # (P, C)
    output: Affine  # (O, C + R·W), the logits from the controller's output and the reads
    layers: tuple[Layer, ...]  # of the controller


class Signals(NamedTuple):
    """What the steps of a sequence leave, 0 past its end."""

    outputs: Tensor  # (B, T, C + R·W), hidden of the last layer and reads
    parameters: Tensor  # (B, T, P)
    series: Any  # of the access, (B, T, …)


class Result(NamedTuple):
    """The results of a sequence."""

    logits: Tensor  # (B, T, O)
    state: State
    signals: Signals | None


@untraced
def run(
    kernels: Kernels,
    machine: Machine,
    plan: Plan,
    inputs: Tensor,
    network: Network,
    state: State,
    lengths: Tensor | None = None,
    mask: Tensor | None = None,
    signals: bool = False,
) -> Result:
    """The whole sequence from inputs (B, T, I), differentiable once with respect to every tensor of network and state.

    The parts of a state are (B, L, C) for hidden and cell and (B, R, W) for the reads here. A ``mask`` (T, B, C + R·W)
    is multiplied with the features of the logits. Raises ValueError if a shape does not fit the others, TypeError if a
    type or a device does not.
    """
    shapes = machine.shapes(plan.access, inputs.shape[0], state.access.memory.shape[1])
    _check(plan, inputs, network, state, shapes[0], lengths)
    order = None
    if lengths is not None:  # the longest first, so that the sequences that go on are always the first ones
        order = lengths.argsort(descending=True, stable=True)
        inputs, lengths, state = inputs[order], lengths[order].long(), each(lambda part: part[order], state)
        mask = None if mask is None else mask[:, order]
    tensors = inputs, *leaves(state), *leaves(network)
    keep = torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)
    results = _Sequence.apply(kernels, plan, shapes, lengths, mask, keep, signals, *tensors)
    final, by_time = _cut(results, len(leaves(state)), len(results))
    parts = [*final, *(part.transpose(0, 1) for part in by_time)]
    if order is not None:
        back = order.argsort()
        parts = [part[back] for part in parts]
    final, (logits, *shown) = _cut(parts, len(final), len(parts))
    kept = Signals._make([*shown[:2], shapes[1]._make(shown[2:])]) if signals else None
    return Result(logits, rebuild(state, final), kept)


def _check(
    plan: Plan, inputs: Tensor, network: Network, state: State, access_shapes: Any, lengths: Tensor | None
) -> None:
    """Compiled code would read and write beyond the ends of what does not fit."""
    batch, _, features = inputs.shape
    if features != plan.inputs:
        raise ValueError(f"inputs: width is {features}, not {plan.inputs}")
    if lengths is not None and lengths.shape != (batch,):
        raise ValueError(f"lengths: shape is {tuple(lengths.shape)}, not {(batch,)}")
    (heads, bias), (output, output_bias), layers = network
    size, answers = plan.size, len(output_bias)
    expected = [
        ("hidden", state.hidden, (batch, plan.layers, size)),
        ("cell", state.cell, (batch, plan.layers, size)),
        ("reads", state.reads, (batch, plan.reads)),
        *zip(access_shapes._fields, state.access, access_shapes, strict=True),
        ("heads", heads, (plan.parameters, size)),
        ("bias", bias, (plan.parameters,)),
        ("output", output, (answers, size + plan.reads)),
        ("output bias", output_bias, (answers,)),
    ]
    rows = size * (4 if plan.gated else 1)
    for number, ((below, own, layer_bias), (width, _)) in enumerate(zip(layers, plan.columns, strict=True)):
        expected += [(f"below {number}", below, (rows, width)), (f"layer bias {number}", layer_bias, (rows,))]
        expected += [(f"own {number}", own, (rows, size))] if plan.recurrent else []
    for name, tensor, shape in expected:
        if tensor.shape != shape:
            raise ValueError(f"{name}: shape is {tuple(tensor.shape)}, not {shape}")
        if (tensor.dtype, tensor.device) != (inputs.dtype, inputs.device):
            raise TypeError(
                f"{name}: is of {tensor.dtype} on {tensor.device}, the inputs of {inputs.dtype} on {inputs.device}"
            )


def _unstacked(plan: Plan, grads: Tensor) -> Iterator[Tensor | None]:
    """The parts of every layer, from `Weights.layers`."""
    for grad, (below, own) in zip(grads, plan.columns, strict=True):
        yield from Layer(grad[:, :below], grad[:, below:own] if plan.recurrent else None, grad[:, own])


def _swapped(state: State) -> State:
    """With hidden and cell (B, L, C) for (L, B, C), and the other way round."""
    hidden, cell = (None if part is None else part.transpose(0, 1) for part in (state.hidden, state.cell))
    return state._replace(hidden=hidden, cell=cell)


def _cut(parts: Iterable[Any], *counts: int) -> list[list[Any]]:
    """The parts in groups of these numbers."""
    values = iter(parts)
    return [[*islice(values, count)] for count in counts]


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        kernels: Kernels,
        plan: Plan,
        shapes: tuple[Any, Any, Any],
        lengths: Tensor | None,
        mask: Tensor | None,
        keep: bool,
        signals: bool,
        inputs: Tensor,
        *tensors: Any,
    ) -> tuple[Tensor, ...]:
        own, series_shapes, saved_shapes = shapes
        given, (heads, bias, output, output_bias), layers = _cut(tensors, 3 + len(own), 4, 3 * plan.layers)
        initial = each(Tensor.contiguous, _swapped(State._make([*given[:3], own._make(given[3:])])))
        weights = kernels.pack(plan, [Layer(*parts) for parts in _cut(layers, *[3] * plan.layers)], heads, bias)
        inputs = inputs.transpose(0, 1).contiguous()
        steps, batch, _ = inputs.shape
        ends = torch.full((batch,), steps, device=inputs.device) if lengths is None else lengths
        _, slots, width = initial.access.memory.shape

        kept, shown = (steps if keep else 1), (steps if keep or signals else 1)

        def rows(shape: Any) -> tuple[int, ...]:
            if isinstance(shape, Sparse):
                return -(-steps // shape.spacing(steps)) if keep else 0, *shape.shape
            return kept, *shape

        internal = [
            (plan.layers, kept, batch, kernels.joined_width(plan)),
            (plan.layers, kept, batch, plan.size * (4 if plan.gated else 1)),
            (plan.layers, kept, batch, plan.size if plan.gated else 0),
            rows(Sparse(lambda _: plan.every, (batch, *kernels.snapshot_shape(slots, width)))),
            *map(rows, saved_shapes),
        ]
        returned = [
            (steps, batch, plan.size + plan.reads),
            (shown, batch, plan.parameters),
            *((shown, *shape) for shape in series_shapes),
        ]
        workspace = Workspace(inputs, internal if signals else internal + returned)
        parts = [*workspace.tensors, *(inputs.new_empty(shape) for shape in returned if signals)]
        arrays, saved, results, series = _cut(parts, 4, len(saved_shapes), 2, len(series_shapes))
        tape = Tape._make([*arrays, *results, series_shapes._make(series), saved_shapes._make(saved)])
        if lengths is not None:  # what is past the end is not written, but returned, or read by `weight_gradients`
            for part in (tape.joined, tape.outputs, tape.parameters, *tape.series):
                part.zero_()
        final = kernels.forward(plan, ends, inputs, weights, initial, tape)
        logits = F.linear(_features(tape, mask), output, output_bias)

        if keep:
            ctx.kernels, ctx.plan, ctx.shapes, ctx.inputs_shape = kernels, plan, shapes, inputs.shape
            ctx.workspace, ctx.weights, ctx.device = workspace.lease, weights, inputs.device.type
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(ends, mask, output, *leaves(initial), *leaves(tape))
        return *leaves(_swapped(final)), logits, *(part for part in (*results, *series) if signals)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # PyTorch's once_differentiable passes some of these over in silence
            raise RuntimeError("create_graph=True: a fast backend has no second derivatives; backend=reference has")
        if torch.is_autocast_enabled(ctx.device):
            with torch.autocast(ctx.device, enabled=False):
                return _Sequence.backward(ctx, *grads)
        plan, (own, series_shapes, saved_shapes) = ctx.plan, ctx.shapes
        (ends, mask, output), first, arrays, series, saved = _cut(
            ctx.saved_tensors, 3, 3 + len(own), 6, len(series_shapes), len(saved_shapes)
        )
        initial = State._make([*first[:3], own._make(first[3:])])
        tape = Tape._make([*arrays, series_shapes._make(series), saved_shapes._make(saved)])
        of_state, (of_logits,), of_signals = _cut(grads, len(first), 1, len(grads))
        of_output, of_bias = None, None
        of_outputs, *others = of_signals or [None] * (2 + len(series))
        if of_logits is not None:
            flat, features = of_logits.flatten(0, 1), _features(tape, mask).flatten(0, 1)
            of_output, of_bias = flat.T @ features, flat.sum(0)
            through = (flat @ output).view_as(tape.outputs)
            through = through if mask is None else through * mask
            of_outputs = through if of_outputs is None else of_outputs + through
        upstream = [
            part.new_empty([0] * part.dim()) if grad is None else grad.contiguous()
            for grad, part in zip((of_outputs, *others), (tape.outputs, tape.parameters, *series), strict=True)
        ]
        wanted = ctx.needs_input_grad[7]
        inputs = output.new_zeros(ctx.inputs_shape if wanted else (0, 0, 0))
        state, of_weights = ctx.kernels.backward(
            plan,
            ends,
            ctx.weights,
            initial,
            tape,
            Upstream._make([*upstream[:2], series_shapes._make(upstream[2:])]),
            _swapped(rebuild(initial, of_state)),
            inputs,
        )
        of_network = of_weights.heads, of_weights.bias, of_output, of_bias, *_unstacked(plan, of_weights.layers)
        return *(None,) * 7, inputs.transpose(0, 1) if wanted else None, *leaves(_swapped(state)), *of_network


def _features(tape: Tape, mask: Tensor | None) -> Tensor:
    """The features that the logits are computed from, (T, B, C + R·W)."""
    return tape.outputs if mask is None else tape.outputs * mask
