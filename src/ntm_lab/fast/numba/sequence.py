"""The recurrence forward and backward as two compiled functions of a tile of sequences and all steps.

Cached on disk, and free of the interpreter's lock, so that tiles run on all cores at once. What they compute is what
`ntm_lab.nn.network` says, in the arrays that `ntm_lab.fast.contract` describes; the gradients are written by hand. What
a memory access does in a step is its own: a module beside this one, such as `ntm_lab.fast.numba.ntm`, gives the five
hooks below to `compiled`.

T steps, B sequences, L layers of the controller. A memory is held as (V, N), see `ntm_lab.fast.numba.memory`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ntm_lab.fast.numba.compiling import Array, Function, part, with_globals
from ntm_lab.fast.numba.controller import layers_backward, layers_forward
from ntm_lab.fast.numba.products import accumulate, add_product, copy

# What a memory access implements. ``plan`` is the access's own; sequences first … end − 1 have step t.


def forward_scratch(plan: Any, state: Any) -> Any:
    """The buffers of `step`."""
    raise NotImplementedError("compiled code only")


def step(
    plan: Any,
    first: int,
    end: int,
    parameters: Array,
    state: Any,
    reads: Array,
    series: Any,
    saved: Any,
    shown: int,
    kept: int,
    scratch: Any,
) -> None:
    """One step, from ``state`` to the next one in place, and the reads (B, R·W).

    The head parameters (B, P) are bounded in place. ``shown`` is the step's row in ``series``, ``kept`` in ``saved``.
    """
    raise NotImplementedError("compiled code only")


def backward_scratch(plan: Any, state: Any, buffer: Array) -> Any:
    """The buffers of `replay` and `step_backward`; ``buffer`` is what the access asked `compiled` for."""
    raise NotImplementedError("compiled code only")


def replay(
    plan: Any,
    before: Array,
    parameters: Array,
    initial: Any,
    series: Any,
    saved: Any,
    b: int,
    t: int,
    after: Array,
    scratch: Any,
) -> None:
    """Recompute a sequence's memory (V, N) after step t from that before it and the parameters (P,)."""
    raise NotImplementedError("compiled code only")


def step_backward(
    plan: Any,
    first: int,
    end: int,
    t: int,
    memories: Array,
    parameters: Array,
    initial: Any,
    series: Any,
    saved: Any,
    upstream: Any,
    reads: Array,
    state: Any,
    parameter_grads: Array,
    scratch: Any,
) -> None:
    """The gradient of `step`: ``state`` goes from the gradient after the step to that before it.

    ``memories`` (end − first, V, N) are those before the step and may be overwritten, ``parameters`` (B, P) bounded,
    ``reads`` (B, R·W) the gradient of the reads, ``upstream`` that of the series (each part empty: none).
    ``parameter_grads`` (end − first, P) begin as the upstream gradient of the bounded parameters and become that of the
    parameters before their bounds.
    """
    raise NotImplementedError("compiled code only")


Shaped = Callable[[Any, int, int, int], tuple[int, ...]]


class Compiled(NamedTuple):
    """The two directions for an access."""

    forward: Function
    backward: Function
    buffer: Shaped  # the shape of `Scratch.access`, from the access's plan, T, the tile and N


def no_buffer(plan: Any, steps: int, tile: int, slots: int) -> tuple[int, ...]:
    """The buffer of an access whose `backward_scratch` makes all that it needs."""
    return (0,)


def compiled(name: str, *hooks: Function, buffer: Shaped = no_buffer) -> Compiled:
    """The kernels of an access of this name, from its own `forward_scratch`, `step`, `backward_scratch`, `replay` and
    `step_backward`.

    A large buffer is better asked for by ``buffer`` than made by `backward_scratch`: its memory is used again.
    """
    values = {hook.__name__: hook for hook in hooks}
    directions = (with_globals(kernel, f"{name}_{kernel.__name__}", values) for kernel in (forward, backward))
    return Compiled(*directions, buffer)


class Scratch(NamedTuple):
    """A thread's buffers for a stretch of steps, from one snapshot of the memory to the next, S at most."""

    memories: Any  # (S, tile, V, N), before each step
    joined: Any  # (L, S · tile, D), rows of the tape's that exist, one after the other
    sums: Any  # (L, S · tile, G·C), gradients of the sums before the gates, in the same order
    hidden: Any  # (S · tile, C), of the last layer
    emitted: Any  # (S · tile, P), gradients of the head parameters before their bounds
    access: Any  # the access's own


@part
def running(first: int, last: int, lengths: Array, t: int) -> int:
    """The end of the tile's sequences that have step t; lengths descend."""
    while last > first and lengths[last - 1] <= t:
        last -= 1
    return last


def forward(
    first: int, last: int, plan: Any, lengths: Array, inputs: Array, weights: Any, state: Any, tape: Any
) -> None:
    """Run sequences first … last − 1: ``state`` goes from initial to final, ``tape`` is filled.

    ``weights`` are `ntm_lab.fast.numba.backend.Packed`.
    """
    top = state.hidden[plan.layers - 1]
    access, own_state, series, saved = plan.access, state.access, tape.series, tape.saved
    scratch = forward_scratch(access, own_state)
    for t in range(inputs.shape[0]):
        end = running(first, last, lengths, t)
        if end == first:
            break
        kept = min(t, tape.joined.shape[1] - 1)  # without gradients the tape has one step only
        shown = min(t, tape.parameters.shape[0] - 1)
        if t % plan.every == 0 and t // plan.every < len(tape.snapshots):
            for b in range(first, end):
                copy(own_state.memory[b].reshape(-1), tape.snapshots[t // plan.every, b].reshape(-1))

        layers_forward(plan, first, end, inputs[t], weights.layers, state, tape, kept)
        for b in range(first, end):
            copy(weights.bias, tape.parameters[shown, b])
        add_product(top[first:end], weights.turned, tape.parameters[shown, first:end], len(weights.bias))

        parameters = tape.parameters[shown]
        step(access, first, end, parameters, own_state, state.reads, series, saved, shown, kept, scratch)
        for b in range(first, end):
            copy(top[b], tape.outputs[t, b])
            copy(state.reads[b], tape.outputs[t, b, plan.size :])


def backward(
    first: int,
    last: int,
    plan: Any,
    lengths: Array,
    weights: Any,
    initial: Any,
    tape: Any,
    upstream: Any,
    inputs: Array,
    state: Any,
    grads: Any,
    scratch: Scratch,
) -> None:
    """The gradient of `forward`: ``state`` goes from that of the final state to that of the initial one.

    ``upstream`` holds the upstream gradients (empty: none), ``inputs`` receives those of the inputs (empty: not
    wanted). Those of the weights are added to ``grads``.
    """
    steps, size, every = len(tape.outputs), plan.size, plan.every
    memories = scratch.memories
    access, own_state, series, saved = plan.access, state.access, tape.series, tape.saved
    own_scratch = backward_scratch(access, own_state, scratch.access)
    joined = np.empty((last - first, weights.layers.shape[1]), inputs.dtype)

    for start in range((steps - 1) // every * every, -1, -every):
        # The memories before the steps of this stretch, from the snapshot
        for b in range(first, running(first, last, lengths, start)):
            copy(tape.snapshots[start // every, b].reshape(-1), memories[0, b - first].reshape(-1))
            for t in range(start, min(start + every, steps, lengths[b]) - 1):
                before, after = memories[t - start, b - first], memories[t - start + 1, b - first]
                replay(access, before, tape.parameters[t, b], initial.access, series, saved, b, t, after, own_scratch)

        rows = np.intp(0)  # of the scratch that are taken; not a literal, for which more would be compiled
        for t in range(min(start + every, steps) - 1, start - 1, -1):
            end = running(first, last, lengths, t)
            emitted = scratch.emitted[rows : rows + end - first]
            for b in range(first, end):
                parameter_grad = emitted[b - first]
                if len(upstream.parameters):
                    copy(upstream.parameters[t, b], parameter_grad)
                else:
                    parameter_grad[:] = 0
                if len(upstream.outputs):
                    accumulate(upstream.outputs[t, b, size:], state.reads[b])
            step_backward(
                access,
                first,
                end,
                t,
                memories[t - start],
                tape.parameters[t],
                initial.access,
                series,
                saved,
                upstream.series,
                state.reads,
                own_state,
                emitted,
                own_scratch,
            )

            top = state.hidden[plan.layers - 1, first:end]
            if len(upstream.outputs):
                for b in range(first, end):
                    accumulate(upstream.outputs[t, b, :size], top[b - first])
            add_product(emitted, weights.heads, top, size)
            layers_backward(plan, first, end, t, weights.layers, initial, tape, state, inputs, scratch, rows, joined)
            for b in range(first, end):
                copy(tape.outputs[t, b, :size], scratch.hidden[rows + b - first])
                accumulate(emitted[b - first], grads.bias)
            rows += end - first

        # Many steps at once, so that a row of the sum goes through the cache seldom
        for layer in range(plan.layers):
            joined_rows, sums = scratch.joined[layer, :rows], scratch.sums[layer, :rows]
            add_product(sums.T, joined_rows, grads.layers[layer], joined_rows.shape[1])
        add_product(scratch.emitted[:rows].T, scratch.hidden[:rows], grads.heads, size)
