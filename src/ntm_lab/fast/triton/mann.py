"""The Memory-Augmented Neural Network's own part: its heads' parameters, least used slots, and one step.

``plan`` is `ntm_lab.fast.mann.Plan`. R heads, which all read and write, N slots of width W.
"""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ntm_lab.fast.triton.content import look_up, look_up_backward
from ntm_lab.fast.triton.elementary import (
    inverse_norm,
    load,
    sigmoid,
    softplus,
    softplus_derivative,
    store_both,
    tanh,
)
from ntm_lab.fast.triton.memory import read_grad


class ForwardWork(NamedTuple):
    """Where the threads of a program meet on the way forward."""

    weighting: Any  # (B, R, N), new write weightings


class BackwardWork(NamedTuple):
    """Buffers that the threads of a program share in the backward pass."""

    last: Any  # (B, R, N), gradients of the weightings that the gates go back to


def largest_field(plan: Any) -> int:
    """How many numbers the largest field has that is not as wide as the memory."""
    return 1


def forward_work(plan: Any, state: Any, tape: Any) -> ForwardWork:
    return ForwardWork(torch.empty_like(state.write_weighting))


def backward_work(plan: Any, state: Any, tape: Any, lengths: Tensor) -> BackwardWork:
    return BackwardWork(torch.empty_like(state.write_weighting))


@triton.jit
def rank_of(plan: "Any", sizes: "Any", usage: "Any", slot: "Any", exists: "Any") -> "Any":
    """`ntm_lab.fast.mann.Saved.rank` (N,). NaN comes last."""
    usage = tl.where(usage != usage, float("inf"), usage)
    rank = tl.zeros((sizes.block_slots,), usage.dtype)
    for j in range(plan.heads):
        left = exists & (rank == 0)
        least = tl.min(tl.where(left, usage, float("inf")), 0)
        first = tl.min(tl.where(left & (usage == least), slot, sizes.block_slots), 0)
        rank = tl.where(slot == first, j + 1, rank)
    return rank


@triton.jit
def target(plan: "Any", rank: "Any", r: "Any") -> "Any":
    """The least used slots that a head may write to, as 0 and 1 (N,)."""
    if plan.own_slots:
        return tl.where(rank == r + 1, 1.0, 0.0).to(rank.dtype)
    return tl.where(rank > 0, 1.0, 0.0).to(rank.dtype)


@triton.jit
def bound_vector(emitted: "Any", bounded: "Any", place: "Any", exists: "Any", memory: "Any") -> None:
    tl.store(bounded + place, tanh(load(emitted + place, exists, memory)), mask=exists)


@triton.jit
def bound(plan: "Any", sizes: "Any", memory: "Any", emitted: "Any", bounded: "Any") -> None:
    """Bound the parameters of all heads."""
    column = tl.arange(0, sizes.block_width)
    for r in range(plan.heads):
        head = r * plan.stride
        bound_vector(emitted, bounded, head + plan.key + column, column < plan.width, memory)
        if plan.add != plan.key:
            bound_vector(emitted, bounded, head + plan.add + column, column < plan.width, memory)
        if plan.late_write:
            bound_vector(emitted, bounded, head + plan.late + column, column < plan.width, memory)
        if plan.key_strength:
            tl.store(bounded + head + plan.strength, 1 + softplus(tl.load(emitted + head + plan.strength)))
        tl.store(bounded + head + plan.gate, sigmoid(tl.load(emitted + head + plan.gate)))


@triton.jit
def vector_of(plan: "Any", sizes: "Any", parameters: "Any", field: tl.constexpr, r: "Any", memory: "Any") -> "Any":
    """A vector (W,) of a head."""
    column = tl.arange(0, sizes.block_width)
    return load(parameters + r * plan.stride + field + column, column < plan.width, memory)


@triton.jit
def strength_of(plan: "Any", parameters: "Any", r: "Any", memory: "Any") -> "Any":
    if plan.key_strength:
        return tl.load(parameters + r * plan.stride + plan.strength).to(memory.dtype)
    return tl.full((), 1.0, memory.dtype)


@triton.jit
def added(
    plan: "Any", sizes: "Any", memory: "Any", slot: "Any", weightings: "Any", parameters: "Any", field: tl.constexpr
) -> "Any":
    """The memory with what all heads add: a vector of each, by its weighting."""
    for r in range(plan.heads):
        weighting = load(weightings + r * sizes.slots + slot, slot < sizes.slots, memory)
        memory += weighting[:, None] * vector_of(plan, sizes, parameters, field, r, memory)[None, :]
    return memory


@triton.jit
def late_written(plan: "Any", sizes: "Any", memory: "Any", slot: "Any", weightings: "Any", parameters: "Any") -> "Any":
    """The memory after the late write, by the write weightings of the step before."""
    if plan.late_write:
        memory = added(plan, sizes, memory, slot, weightings, parameters, plan.late)
    return memory


@triton.jit
def written(
    plan: "Any", sizes: "Any", memory: "Any", slot: "Any", rank: "Any", weightings: "Any", parameters: "Any"
) -> "Any":
    """The memory after the write: least used slots are cleared, as a product, which keeps a NaN."""
    memory *= tl.where(rank == 0, 1.0, 0.0).to(memory.dtype)[:, None]
    return added(plan, sizes, memory, slot, weightings, parameters, plan.add)


# The step: what `ntm_lab.fast.triton.sequence` asks of an access.


@triton.jit
def step(
    plan: "Any",
    sizes: "Any",
    memory: "Any",
    b: "Any",
    kept: "Any",
    shown: "Any",
    reads: "Any",
    outputs: "Any",
    state: "Any",
    tape: "Any",
    work: "Any",
) -> "Any":
    """Address, write and read, in the order of the plan, and return the memory after it.

    ``kept`` and ``shown`` are the step's rows on the tape, ``reads`` and ``outputs`` the two places for the reads.
    """
    slot, column = tl.arange(0, sizes.block_slots), tl.arange(0, sizes.block_width)
    at_slots, at_width = slot < sizes.slots, column < plan.width
    all_slots = plan.heads * sizes.slots
    emitted, bounded = work.emitted + b * sizes.parameters, work.bounded + b * sizes.parameters
    usages = state.access.usage + b * sizes.slots
    reading, writing = state.access.read_weighting + b * all_slots, state.access.write_weighting + b * all_slots
    new_writing = work.access.weighting + b * all_slots

    bound(plan, sizes, memory, emitted, bounded)
    usage = load(usages + slot, at_slots, memory)
    rank = rank_of(plan, sizes, usage, slot, at_slots)
    tl.store(tape.saved.rank + kept * sizes.slots + slot, rank, mask=at_slots)
    tl.debug_barrier()

    for first in range(0, sizes.parameters, sizes.block_columns):
        number = first + tl.arange(0, sizes.block_columns)
        value = load(bounded + number, number < sizes.parameters, memory)
        tl.store(tape.parameters + shown * sizes.parameters + number, value, mask=number < sizes.parameters)
    memory = late_written(plan, sizes, memory, slot, writing, bounded)
    last = reading
    if plan.to_written:
        last = writing
    for r in range(plan.heads):
        gate = tl.load(bounded + r * plan.stride + plan.gate)
        weighting = gate * load(last + r * sizes.slots + slot, at_slots, memory)
        weighting += (1 - gate) * target(plan, rank, r)
        tl.store(new_writing + r * sizes.slots + slot, weighting, mask=at_slots)
    tl.debug_barrier()

    after = written(plan, sizes, memory, slot, rank, new_writing, bounded)
    seen = after
    if plan.read_first:
        seen = memory
    inverse = inverse_norm(tl.sum(seen * seen, 1))
    usage *= plan.usage_decay
    for r in range(plan.heads):
        own, in_series = r * sizes.slots + slot, shown * all_slots + r * sizes.slots + slot
        key = vector_of(plan, sizes, bounded, plan.key, r, memory)
        content = look_up(seen, inverse, key, strength_of(plan, bounded, r, memory), at_slots)
        weighting = load(new_writing + own, at_slots, memory)
        usage += content + weighting
        store_both(reading + own, tape.series.read_weighting + in_series, content, at_slots)
        store_both(writing + own, tape.series.write_weighting + in_series, weighting, at_slots)
        place = r * plan.width + column
        store_both(reads + place, outputs + place, tl.sum(seen * content[:, None], 0), at_width)
    store_both(usages + slot, tape.series.usage + shown * sizes.slots + slot, usage, at_slots)
    return after


@triton.jit
def written_before(plan: "Any", sizes: "Any", b: "Any", batch: "Any", row: "Any", initial: "Any", tape: "Any") -> "Any":
    """Where the write weightings of the step before are."""
    all_slots = plan.heads * sizes.slots
    place = tape.series.write_weighting + (row - batch) * all_slots
    if row < batch:  # the first step
        place = initial.access.write_weighting + b * all_slots
    return place


@triton.jit
def replay(
    plan: "Any",
    sizes: "Any",
    memory: "Any",
    b: "Any",
    batch: "Any",
    row: "Any",
    initial: "Any",
    tape: "Any",
) -> "Any":
    """Recompute the memory after a step from that before it."""
    slot = tl.arange(0, sizes.block_slots)
    parameters, all_slots = tape.parameters + row * sizes.parameters, plan.heads * sizes.slots
    rank = load(tape.saved.rank + row * sizes.slots + slot, slot < sizes.slots, memory)
    before = written_before(plan, sizes, b, batch, row, initial, tape)
    memory = late_written(plan, sizes, memory, slot, before, parameters)
    return written(plan, sizes, memory, slot, rank, tape.series.write_weighting + row * all_slots, parameters)


@triton.jit
def store_vector_grad(
    plan: "Any",
    grad: "Any",
    place: "Any",
    exists: "Any",
    bounded: "Any",
    upstream: "Any",
    emitted: "Any",
    first: tl.constexpr,
    last: tl.constexpr,
) -> None:
    """The gradient of a vector before its bound. Of two parts of a step that use the same vector, the ``first`` leaves
    what it has to the ``last``."""
    if first:
        grad += load(upstream + place, exists, grad)
    else:
        grad += load(emitted + place, exists, grad)
    if last:
        vector = load(bounded + place, exists, grad)
        grad *= 1 - vector * vector
    tl.store(emitted + place, grad, mask=exists)


@triton.jit
def write_backward(
    plan: "Any",
    sizes: "Any",
    memory_grad: "Any",
    slot: "Any",
    rank: "Any",
    weightings: "Any",
    last: "Any",
    weighting_grads: "Any",
    series_grads: "Any",
    usage_grad: "Any",
    bounded: "Any",
    upstream: "Any",
    emitted: "Any",
    last_grads: "Any",
    first: tl.constexpr,
) -> "Any":
    """The gradient of addressing and `written`: returns that of the memory before, stores those of ``last``."""
    at_slots, column = slot < sizes.slots, tl.arange(0, sizes.block_width)
    for r in range(plan.heads):
        own, place = r * sizes.slots + slot, r * plan.stride + plan.add + column
        weighting = load(weightings + own, at_slots, memory_grad)
        vector = vector_of(plan, sizes, bounded, plan.add, r, memory_grad)
        grad = usage_grad + load(weighting_grads + own, at_slots, memory_grad)
        if sizes.upstream_series:
            grad += load(series_grads + own, at_slots, memory_grad)
        grad += tl.sum(memory_grad * vector[None, :], 1)
        vector_grad = tl.sum(memory_grad * weighting[:, None], 0)
        store_vector_grad(
            plan,
            vector_grad,
            place,
            column < plan.width,
            bounded,
            upstream,
            emitted,
            first or plan.add != plan.key,
            not first or plan.add != plan.key,
        )
        gate = tl.load(bounded + r * plan.stride + plan.gate).to(memory_grad.dtype)
        gate_grad = tl.sum(grad * (load(last + own, at_slots, memory_grad) - target(plan, rank, r)), 0)
        gate_grad += tl.load(upstream + r * plan.stride + plan.gate).to(memory_grad.dtype)
        tl.store(emitted + r * plan.stride + plan.gate, gate_grad * gate * (1 - gate))
        tl.store(last_grads + own, gate * grad, mask=at_slots)
    return memory_grad * tl.where(rank == 0, 1.0, 0.0).to(memory_grad.dtype)[:, None]


@triton.jit
def read_backward(
    plan: "Any",
    sizes: "Any",
    seen: "Any",
    memory_grad: "Any",
    slot: "Any",
    weightings: "Any",
    weighting_grads: "Any",
    series_grads: "Any",
    usage_grad: "Any",
    reads: "Any",
    outputs: "Any",
    bounded: "Any",
    upstream: "Any",
    emitted: "Any",
    first: tl.constexpr,
) -> "Any":
    """The gradient of look-ups and reads on the memory that they saw; returns that of this memory."""
    at_slots, column = slot < sizes.slots, tl.arange(0, sizes.block_width)
    inverse = inverse_norm(tl.sum(seen * seen, 1))
    norm_grad = tl.zeros((sizes.block_slots,), seen.dtype)
    for r in range(plan.heads):
        own, place = r * sizes.slots + slot, r * plan.stride + plan.key + column
        content = load(weightings + own, at_slots, seen)
        above = read_grad(plan, sizes, seen, r, reads, outputs, column)
        grad = usage_grad + load(weighting_grads + own, at_slots, seen)
        if sizes.upstream_series:
            grad += load(series_grads + own, at_slots, seen)
        grad += tl.sum(seen * above[None, :], 1)
        memory_grad += content[:, None] * above[None, :]
        key, strength = vector_of(plan, sizes, bounded, plan.key, r, seen), strength_of(plan, bounded, r, seen)
        memory_grad, norm_grad, key_grad, strength_grad, _ = look_up_backward(
            seen, memory_grad, inverse, norm_grad, key, strength, content, 1.0, grad
        )
        store_vector_grad(
            plan,
            key_grad,
            place,
            column < plan.width,
            bounded,
            upstream,
            emitted,
            first or plan.add != plan.key,
            not first or plan.add != plan.key,
        )
        if plan.key_strength:
            strength_grad += tl.load(upstream + r * plan.stride + plan.strength).to(seen.dtype)
            strength_grad *= softplus_derivative(strength - 1)
            tl.store(emitted + r * plan.stride + plan.strength, strength_grad)
    return memory_grad - norm_grad[:, None] * seen


@triton.jit
def step_backward(
    plan: "Any",
    sizes: "Any",
    memory: "Any",
    memory_grad: "Any",
    b: "Any",
    batch: "Any",
    row: "Any",
    reads: "Any",
    outputs: "Any",
    initial: "Any",
    tape: "Any",
    upstream: "Any",
    grads: "Any",
    state: "Any",
    work: "Any",
) -> "Any":
    """The gradient of `step` on the memory before it; returns that with respect to this memory.

    ``row`` is the step's in (T, B, ·); ``reads`` and ``outputs`` are where the two parts of the reads' gradient are.
    """
    slot, column = tl.arange(0, sizes.block_slots), tl.arange(0, sizes.block_width)
    at_slots, all_slots = slot < sizes.slots, plan.heads * sizes.slots
    bounded, emitted = tape.parameters + row * sizes.parameters, work.emitted + b * sizes.parameters
    above, last_grads = grads.parameters + row * sizes.parameters, work.access.last + b * all_slots
    reading, writing = tape.series.read_weighting + row * all_slots, tape.series.write_weighting + row * all_slots
    reading_grads, writing_grads = (
        state.access.read_weighting + b * all_slots,
        state.access.write_weighting + b * all_slots,
    )
    reading_above, writing_above = upstream.series.read_weighting, upstream.series.write_weighting
    rank = load(tape.saved.rank + row * sizes.slots + slot, at_slots, memory)
    usage_grad = load(state.access.usage + b * sizes.slots + slot, at_slots, memory)
    if sizes.upstream_series:
        reading_above += row * all_slots
        writing_above += row * all_slots
        usage_grad += load(upstream.series.usage + row * sizes.slots + slot, at_slots, memory)

    before = written_before(plan, sizes, b, batch, row, initial, tape)
    last = before
    if not plan.to_written:
        last = tape.series.read_weighting + (row - batch) * all_slots
        if row < batch:  # the first step
            last = initial.access.read_weighting + b * all_slots

    memory = late_written(plan, sizes, memory, slot, before, bounded)
    if plan.read_first:
        memory_grad = write_backward(
            plan,
            sizes,
            memory_grad,
            slot,
            rank,
            writing,
            last,
            writing_grads,
            writing_above,
            usage_grad,
            bounded,
            above,
            emitted,
            last_grads,
            True,
        )
        tl.debug_barrier()
    else:
        memory = written(plan, sizes, memory, slot, rank, writing, bounded)
    memory_grad = read_backward(
        plan,
        sizes,
        memory,
        memory_grad,
        slot,
        reading,
        reading_grads,
        reading_above,
        usage_grad,
        reads,
        outputs,
        bounded,
        above,
        emitted,
        not plan.read_first,
    )
    tl.debug_barrier()
    if not plan.read_first:
        memory_grad = write_backward(
            plan,
            sizes,
            memory_grad,
            slot,
            rank,
            writing,
            last,
            writing_grads,
            writing_above,
            usage_grad,
            bounded,
            above,
            emitted,
            last_grads,
            False,
        )
        tl.debug_barrier()

    tl.store(state.access.usage + b * sizes.slots + slot, usage_grad * plan.usage_decay, mask=at_slots)
    none = tl.zeros((sizes.block_slots,), memory.dtype)
    for r in range(plan.heads):
        own, place = r * sizes.slots + slot, r * plan.stride + plan.late + column
        last_grad = load(last_grads + own, at_slots, memory)
        if plan.to_written:
            reading_grad, writing_grad = none, last_grad
        else:
            reading_grad, writing_grad = last_grad, none
        if plan.late_write:
            late = vector_of(plan, sizes, bounded, plan.late, r, memory)
            writing_grad += tl.sum(memory_grad * late[None, :], 1)
            late_grad = tl.sum(memory_grad * load(before + own, at_slots, memory)[:, None], 0)
            store_vector_grad(plan, late_grad, place, column < plan.width, bounded, above, emitted, True, True)
        tl.store(reading_grads + own, reading_grad, mask=at_slots)
        tl.store(writing_grads + own, writing_grad, mask=at_slots)
    tl.debug_barrier()
    return memory_grad
