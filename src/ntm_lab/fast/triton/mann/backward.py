"""The gradient of one step of a MANN."""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ntm_lab.fast.triton.content import look_up_backward
from ntm_lab.fast.triton.elementary import inverse_norm, load, place_before, softplus_derivative
from ntm_lab.fast.triton.mann.parameters import store_vector_grad, strength_of, vector_of
from ntm_lab.fast.triton.mann.writing import late_written, write_backward, written
from ntm_lab.fast.triton.memory import read_grad


class BackwardWork(NamedTuple):
    """Buffers that the threads of a program share in the backward pass."""

    last: Any  # (B, R, N), gradients of the weightings that the gates go back to


def backward_work(plan: Any, state: Any, tape: Any, lengths: Tensor) -> BackwardWork:
    return BackwardWork(torch.empty_like(state.write_weighting))


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

    series, access = tape.series, initial.access
    before = place_before(series.write_weighting, access.write_weighting, b, batch, row, all_slots)
    last = before
    if not plan.to_written:
        last = place_before(series.read_weighting, access.read_weighting, b, batch, row, all_slots)

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
