"""The recurrence forward and backward as two GPU kernels: one program per sequence, which takes all steps.

What they compute is what `ntm_lab.nn.network` says, in the arrays that `ntm_lab.fast.contract` describes, with the
gradients written by hand. What a memory access does in a step is its own: a module beside this one, such as
`ntm_lab.fast.triton.ntm`, gives the `Hooks`. The kernels have run in Triton's interpreter and been compiled for NVIDIA
GPUs, but never ran on one.

The memory stays in registers from the first step to the last. Everything else that a step hands to the next, or one
thread to another, goes through global memory: `State`, `ForwardWork` and `BackwardWork`, one row per sequence, in the
type of the arithmetic. One rule keeps that right: between two barriers no place is both written and read. It holds for
a vector that is replaced element by element too, since several threads hold copies of a short vector, and a slow one
would read what a fast one has already replaced.

T steps, B sequences, L layers of the controller of size C, P head parameters, N slots of width W.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from ntm_lab.fast.triton.controller import layer_backward, layer_forward
from ntm_lab.fast.triton.elementary import copy, load
from ntm_lab.fast.triton.products import along_columns, along_rows


class Hooks(NamedTuple):
    """What a memory access implements; ``plan`` is its own."""

    largest_field: Callable[[Any], int]  # how many numbers a head's largest field has, those of width W apart
    forward_work: Callable[[Any, Any, Any], Any]  # buffers of ``step``, from plan, state and tape
    backward_work: Callable[[Any, Any, Any, Tensor], Any]  # buffers of ``step_backward``; also from the lengths
    step: Any  # one step: returns the memory after it
    replay: Any  # returns the memory after a step, recomputed from that before it and the tape
    step_backward: Any  # the gradient of ``step``: returns that of the memory before it


class Sizes(NamedTuple):
    """Settings that are fixed when a kernel is compiled, beside the plan. Blocks are powers of two."""

    slots: int  # N
    width: int  # W
    columns: int  # D, of a layer's weights
    layer_stride: int  # from one row of a layer's weights to the next, a multiple of 16 for wide loads
    head_stride: int  # likewise, of the heads' weights
    parameters: int  # P

    block_slots: int
    block_width: int
    block_field: int  # of the largest field of a head that is not a vector of the memory's width
    block_links: int  # rows of the links, or of other comparisons of all slots with all
    block_rows: int  # of a matrix
    block_columns: int

    upstream_outputs: bool = False  # whether there is an upstream gradient of the outputs
    upstream_series: bool = False
    wanted_inputs: bool = False  # whether the gradient of the inputs is asked for


class ForwardWork(NamedTuple):
    """Where the threads of a program meet on the way forward."""

    joined: Any  # (B, D), what meets the weights of a layer
    emitted: Any  # (B, P), head parameters before their bounds
    bounded: Any  # (B, P)
    access: Any  # the access's own


class BackwardWork(NamedTuple):
    """Buffers that the threads of a program share in the backward pass: gradients, but for the memories."""

    memories: Any  # (B, every, N, W), those that the steps of a stretch began with
    emitted: Any  # (B, P), of the head parameters before their bounds
    hidden: Any  # (B, C), of a layer's output, by way of what it fed in the same step
    sums: Any  # (B, G·C), of the sums before a layer's gates
    access: Any  # the access's own


@triton.jit(
    do_not_specialize=["batch", "kept_steps", "shown_steps", "snapshots"],
    do_not_specialize_on_alignment=["inputs", "tape"],  # parts of larger buffers: it would change with every T and B
)
def forward(
    step: tl.constexpr,
    plan: "Any",
    sizes: "Any",
    batch: "Any",
    kept_steps: "Any",
    shown_steps: "Any",
    snapshots: "Any",
    lengths: "Any",
    inputs: "Any",
    weights: "Any",
    state: "Any",
    tape: "Any",
    work: "Any",
) -> None:
    """``state`` goes from initial to final, ``tape`` is filled; the counts are those of its three kinds of arrays."""
    b = tl.program_id(0).to(tl.int64)  # so that what is computed from it may exceed 32 bits
    slot, column = tl.arange(0, sizes.block_slots), tl.arange(0, sizes.block_width)
    entry, exists = (
        slot[:, None] * sizes.width + column[None, :],
        (slot < sizes.slots)[:, None] & (column < sizes.width),
    )
    memory_size = sizes.slots * sizes.width
    top = state.hidden + ((plan.layers - 1) * batch + b) * plan.size
    memory = tl.load(state.access.memory + b * memory_size + entry, mask=exists, other=0.0)

    for t in range(tl.load(lengths + b).to(tl.int32)):
        row = t * batch + b
        kept = tl.minimum(t, kept_steps - 1) * batch + b  # without gradients the tape has one step only
        shown = tl.minimum(t, shown_steps - 1) * batch + b
        stretch = t // plan.every
        if (t == stretch * plan.every) & (stretch < snapshots):
            tl.store(tape.snapshots + (stretch * batch + b) * memory_size + entry, memory, mask=exists)

        present = inputs + row * plan.inputs
        layer_forward(plan, sizes, True, 0, b, batch, kept, present, weights, state, tape, work)
        for layer in range(1, plan.layers):
            above = kept + layer * kept_steps * batch
            layer_forward(plan, sizes, False, layer, b, batch, above, present, weights, state, tape, work)

        for first in range(0, sizes.parameters, sizes.block_rows):
            number = first + tl.arange(0, sizes.block_rows)
            inside = number < sizes.parameters
            value = along_rows(weights.heads, top, number, inside, plan.size, sizes.head_stride, sizes.block_columns)
            value += load(weights.bias + number, inside, memory)
            tl.store(work.emitted + b * sizes.parameters + number, value, mask=inside)
        outputs = tape.outputs + row * (plan.size + plan.reads)
        copy(top, outputs, plan.size, sizes.block_columns, memory)
        tl.debug_barrier()
        reads = state.reads + b * plan.reads
        memory = step(plan.access, sizes, memory, b, kept, shown, reads, outputs + plan.size, state, tape, work)
        tl.debug_barrier()
    tl.store(state.access.memory + b * memory_size + entry, memory, mask=exists)


@triton.jit(
    do_not_specialize=["batch", "steps", "memories"],
    do_not_specialize_on_alignment=["initial", "tape", "upstream", "grads"],
)
def backward(
    replay: tl.constexpr,
    step_backward: tl.constexpr,
    plan: "Any",
    sizes: "Any",
    batch: "Any",
    steps: "Any",
    memories: "Any",
    lengths: "Any",
    weights: "Any",
    initial: "Any",
    tape: "Any",
    upstream: "Any",
    grads: "Any",
    state: "Any",
    work: "Any",
) -> None:
    """``state`` goes from the gradient of the final state to that of the initial one, ``grads`` are filled; the buffer
    for the memories of a stretch has this number of them."""
    b = tl.program_id(0).to(tl.int64)
    slot, column = tl.arange(0, sizes.block_slots), tl.arange(0, sizes.block_width)
    entry, exists = (
        slot[:, None] * sizes.width + column[None, :],
        (slot < sizes.slots)[:, None] & (column < sizes.width),
    )
    memory_size = sizes.slots * sizes.width
    stretch_memories, emitted = work.memories + b * memories * memory_size + entry, work.emitted + b * sizes.parameters
    memory_grad = tl.load(state.access.memory + b * memory_size + entry, mask=exists, other=0.0)
    reads = state.reads + b * plan.reads

    length = tl.load(lengths + b).to(tl.int32)
    stretches = (length + plan.every - 1) // plan.every
    for later_stretches in range(stretches):
        stretch = stretches - 1 - later_stretches
        start = stretch * plan.every
        count = tl.minimum(plan.every, length - start)
        # The memories before the steps of this stretch, from the snapshot
        memory = load(tape.snapshots + (stretch * batch + b) * memory_size + entry, exists, memory_grad)
        tl.store(stretch_memories, memory, mask=exists)
        for number in range(1, count):
            before = (start + number - 1) * batch + b
            memory = replay(plan.access, sizes, memory, b, batch, before, initial, tape)
            tl.store(stretch_memories + number * memory_size, memory, mask=exists)
        tl.debug_barrier()

        for later_steps in range(count):
            number = count - 1 - later_steps
            row = (start + number) * batch + b
            memory = load(stretch_memories + number * memory_size, exists, memory_grad)
            above = upstream.outputs + row * (plan.size + plan.reads)
            memory_grad = step_backward(
                plan.access,
                sizes,
                memory,
                memory_grad,
                b,
                batch,
                row,
                reads,
                above + plan.size,
                initial,
                tape,
                upstream,
                grads,
                state,
                work,
            )

            copy(emitted, grads.parameters + row * sizes.parameters, sizes.parameters, sizes.block_columns, memory)
            for first in range(0, plan.size, sizes.block_columns):
                unit = first + tl.arange(0, sizes.block_columns)
                inside = unit < plan.size
                stride, parameters = sizes.head_stride, sizes.parameters
                grad = along_columns(weights.heads, emitted, unit, inside, parameters, stride, sizes.block_rows)
                if sizes.upstream_outputs:
                    grad += load(above + unit, inside, memory)
                tl.store(work.hidden + b * plan.size + unit, grad, mask=inside)
            tl.debug_barrier()
            for lower in range(1, plan.layers):
                layer = plan.layers - lower
                layer_backward(
                    plan, sizes, False, layer, b, batch, row, steps, weights, initial, tape, grads, state, work
                )
            layer_backward(plan, sizes, True, 0, b, batch, row, steps, weights, initial, tape, grads, state, work)
    tl.store(state.access.memory + b * memory_size + entry, memory_grad, mask=exists)
