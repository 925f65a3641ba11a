"""The Neural Turing Machine's own part: its heads' parameters, addressing by location, and one step.

``plan`` is `ntm_lab.fast.ntm.Plan`. K = R + H heads, read heads first, N slots of width W, S shifts.
"""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ntm_lab.equations import location
from ntm_lab.fast.triton.content import look_up, look_up_backward
from ntm_lab.fast.triton.elementary import (
    copy,
    inverse_norm,
    load,
    place_before,
    sigmoid,
    softmax,
    softplus,
    softplus_derivative,
    store_both,
    tanh,
)
from ntm_lab.fast.triton.memory import added, erased, read_grad
from ntm_lab.fast.triton.sequence import Hooks

LOG_GUARD = tl.constexpr(location.LOG_GUARD)


class ForwardWork(NamedTuple):
    """Where the threads of a program meet on the way forward."""

    gated: Any  # (B, K, N), weightings before the shift


class BackwardWork(NamedTuple):
    """Buffers that the threads of a program share in the backward pass."""

    shifted: Any  # (B, K, N), gradients of the weightings after the shift


def largest_field(plan: Any) -> int:
    """How many numbers the largest field has that is not as wide as the memory."""
    return plan.shifts


def forward_work(plan: Any, state: Any, tape: Any) -> ForwardWork:
    return ForwardWork(torch.empty_like(state.weighting))


def backward_work(plan: Any, state: Any, tape: Any, lengths: Tensor) -> BackwardWork:
    return BackwardWork(torch.empty_like(state.weighting))


# One head: ``emitted`` and ``bounded`` are its parameters before and after their bounds, ``upstream`` the upstream
# gradients of the latter.


@triton.jit
def neighbour(sizes: "Any", slot: "Any", offset: "Any") -> "Any":
    """The slots at an offset, on the circle."""
    other = slot + offset
    return tl.where(other < 0, other + sizes.slots, tl.where(other < sizes.slots, other, other - sizes.slots))


@triton.jit
def bound(plan: "Any", sizes: "Any", memory: "Any", emitted: "Any", bounded: "Any") -> "Any":
    """Bound the parameters for addressing; returns key (W,), strength and gate."""
    column, offset = tl.arange(0, sizes.block_width), tl.arange(0, sizes.block_field)
    at_width, at_shift = column < plan.width, offset < plan.shifts
    key = load(emitted + plan.key + column, at_width, memory)
    if plan.bounded:
        key = tanh(key)
    strength = softplus(tl.load(emitted + plan.strength))
    gate = sigmoid(tl.load(emitted + plan.gate))
    tl.store(bounded + plan.key + column, key, mask=at_width)
    tl.store(bounded + plan.strength, strength)
    tl.store(bounded + plan.gate, gate)
    shift = softmax(load(emitted + plan.shift + offset, at_shift, memory), at_shift)
    tl.store(bounded + plan.shift + offset, shift, mask=at_shift)
    tl.store(bounded + plan.sharpness, 1 + softplus(tl.load(emitted + plan.sharpness)))
    return key, strength, gate


@triton.jit
def shift_and_sharpen(plan: "Any", sizes: "Any", memory: "Any", slot: "Any", bounded: "Any", gated: "Any") -> "Any":
    """From the interpolated weighting of a head to the new one."""
    shifted = tl.full((sizes.block_slots,), LOG_GUARD, memory.dtype)
    for j in range(plan.shifts):
        source = neighbour(sizes, slot, plan.shifts // 2 - j)
        shifted += tl.load(bounded + plan.shift + j) * load(gated + source, slot < sizes.slots, memory)
    return softmax(tl.load(bounded + plan.sharpness) * tl.log(shifted), slot < sizes.slots)


@triton.jit
def gated_at(source: "Any", exists: "Any", gate: "Any", content: "Any", previous: "Any") -> "Any":
    """The interpolated weighting of a step on the tape, at some slots."""
    before = load(previous + source, exists, gate)
    return before + gate * (load(content + source, exists, gate) - before)


@triton.jit
def shift_and_sharpen_backward(
    plan: "Any",
    sizes: "Any",
    grad: "Any",
    slot: "Any",
    bounded: "Any",
    upstream: "Any",
    weighting: "Any",
    content: "Any",
    previous: "Any",
    emitted: "Any",
    shifted_grad: "Any",
) -> None:
    """From ``grad`` (N,), of the new weighting, to the gradients of the shifted one, and of shift and sharpness before
    their bounds, which are stored in ``emitted``."""
    at_slots, offset = slot < sizes.slots, tl.arange(0, sizes.block_field)
    gate = tl.load(bounded + plan.gate).to(grad.dtype)
    shifted = tl.full((sizes.block_slots,), LOG_GUARD, grad.dtype)
    for j in range(plan.shifts):
        source = neighbour(sizes, slot, plan.shifts // 2 - j)
        shift = tl.load(bounded + plan.shift + j).to(grad.dtype)
        shifted += shift * gated_at(source, at_slots, gate, content, previous)

    sharpness = tl.load(bounded + plan.sharpness).to(grad.dtype)
    through = weighting * (grad - tl.sum(weighting * grad, 0))
    sharpness_grad = tl.sum(through * tl.log(shifted), 0) + tl.load(upstream + plan.sharpness).to(grad.dtype)
    tl.store(emitted + plan.sharpness, sharpness_grad * softplus_derivative(sharpness - 1))
    grad = sharpness * through / shifted
    tl.store(shifted_grad + slot, grad, mask=at_slots)

    shift_grad = load(upstream + plan.shift + offset, offset < plan.shifts, grad)
    for j in range(plan.shifts):
        source = neighbour(sizes, slot, plan.shifts // 2 - j)
        part = tl.sum(grad * gated_at(source, at_slots, gate, content, previous), 0)
        shift_grad += tl.where(offset == j, part, 0.0)
    shifts = load(bounded + plan.shift + offset, offset < plan.shifts, grad)
    shift_grad = shifts * (shift_grad - tl.sum(shifts * shift_grad, 0))
    tl.store(emitted + plan.shift + offset, shift_grad, mask=offset < plan.shifts)


@triton.jit
def interpolate_backward(
    plan: "Any",
    sizes: "Any",
    memory: "Any",
    memory_grad: "Any",
    inverse: "Any",
    norm_grad: "Any",
    slot: "Any",
    bounded: "Any",
    upstream: "Any",
    content: "Any",
    previous: "Any",
    emitted: "Any",
    shifted_grad: "Any",
    weighting_grad: "Any",
) -> "Any":
    """From the gradient of the shifted weighting to those of the previous one, and of key, strength and gate before
    their bounds. Returns ``memory_grad`` and ``norm_grad`` as `look_up_backward` does."""
    at_slots, column = slot < sizes.slots, tl.arange(0, sizes.block_width)
    grad = tl.zeros((sizes.block_slots,), memory.dtype)
    for j in range(plan.shifts):
        source = neighbour(sizes, slot, j - plan.shifts // 2)
        grad += tl.load(bounded + plan.shift + j).to(memory.dtype) * load(shifted_grad + source, at_slots, memory)

    strength = tl.load(bounded + plan.strength).to(memory.dtype)
    gate = tl.load(bounded + plan.gate).to(memory.dtype)
    chosen = load(content + slot, at_slots, memory)
    before = load(previous + slot, at_slots, memory)
    gate_grad = tl.sum(grad * (chosen - before), 0) + tl.load(upstream + plan.gate).to(memory.dtype)
    tl.store(emitted + plan.gate, gate_grad * gate * (1 - gate))
    tl.store(weighting_grad + slot, grad * (1 - gate), mask=at_slots)

    key = load(bounded + plan.key + column, column < plan.width, memory)
    memory_grad, norm_grad, key_grad, strength_grad, _ = look_up_backward(
        memory, memory_grad, inverse, norm_grad, key, strength, chosen, gate, grad
    )
    strength_grad += tl.load(upstream + plan.strength).to(memory.dtype)
    tl.store(emitted + plan.strength, strength_grad * softplus_derivative(strength))
    key_grad += load(upstream + plan.key + column, column < plan.width, memory)
    if plan.bounded:
        key_grad *= 1 - key * key
    tl.store(emitted + plan.key + column, key_grad, mask=column < plan.width)
    return memory_grad, norm_grad


# The step


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
    """Address all heads, read, and return the memory after the write heads.

    ``kept`` and ``shown`` are the step's rows on the tape, ``reads`` and ``outputs`` the two places for the reads.
    """
    slot, column = tl.arange(0, sizes.block_slots), tl.arange(0, sizes.block_width)
    at_slots, at_width = slot < sizes.slots, column < plan.width
    all_slots = (plan.read_heads + plan.write_heads) * sizes.slots
    emitted, bounded = work.emitted + b * sizes.parameters, work.bounded + b * sizes.parameters
    weightings, gated = state.access.weighting + b * all_slots, work.access.gated + b * all_slots

    inverse = inverse_norm(tl.sum(memory * memory, 1))
    for k in range(plan.read_heads + plan.write_heads):
        own, head = k * sizes.slots + slot, k * plan.head_stride
        key, strength, gate = bound(plan, sizes, memory, emitted + head, bounded + head)
        content = look_up(memory, inverse, key, strength, at_slots)
        previous = load(weightings + own, at_slots, memory)
        tl.store(gated + own, previous + gate * (content - previous), mask=at_slots)
        tl.store(tape.saved.content + kept * all_slots + own, content, mask=at_slots)
    for h in range(plan.write_heads):
        at_erase, at_add = plan.erase + plan.write_stride * h + column, plan.add + plan.write_stride * h + column
        tl.store(bounded + at_erase, sigmoid(load(emitted + at_erase, at_width, memory)), mask=at_width)
        add = load(emitted + at_add, at_width, memory)
        if plan.bounded:
            add = tanh(add)
        tl.store(bounded + at_add, add, mask=at_width)
    tl.debug_barrier()

    copy(bounded, tape.parameters + shown * sizes.parameters, sizes.parameters, sizes.block_columns, memory)
    additions = tl.zeros((sizes.block_slots, sizes.block_width), memory.dtype)
    for k in range(plan.read_heads + plan.write_heads):
        own = k * sizes.slots + slot
        head = bounded + k * plan.head_stride
        weighting = shift_and_sharpen(plan, sizes, memory, slot, head, gated + k * sizes.slots)
        store_both(weightings + own, tape.series.weighting + shown * all_slots + own, weighting, at_slots)
        if k < plan.read_heads:
            place = k * plan.width + column
            store_both(reads + place, outputs + place, tl.sum(memory * weighting[:, None], 0), at_width)
        else:
            vectors = bounded + plan.write_stride * (k - plan.read_heads) + column
            memory *= 1 - weighting[:, None] * load(vectors + plan.erase, at_width, memory)[None, :]
            additions += weighting[:, None] * load(vectors + plan.add, at_width, memory)[None, :]
    return memory + additions  # all erasures come before all additions


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
    first_write = row * (plan.read_heads + plan.write_heads) + plan.read_heads
    weightings, parameters = tape.series.weighting + first_write * sizes.slots, tape.parameters + row * sizes.parameters
    memory = erased(plan, sizes, memory, -1, slot, weightings, parameters)
    return added(plan, sizes, memory, slot, weightings, parameters)


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
    at_slots, at_width = slot < sizes.slots, column < plan.width
    all_slots = (plan.read_heads + plan.write_heads) * sizes.slots
    bounded, emitted = tape.parameters + row * sizes.parameters, work.emitted + b * sizes.parameters
    above, shifted = grads.parameters + row * sizes.parameters, work.access.shifted + b * all_slots
    weightings, content = tape.series.weighting + row * all_slots, tape.saved.content + row * all_slots
    previous = place_before(tape.series.weighting, initial.access.weighting, b, batch, row, all_slots)
    write_weightings = weightings + plan.read_heads * sizes.slots
    weighting_grads = state.access.weighting + b * all_slots

    for k in range(plan.read_heads + plan.write_heads):
        own, head = k * sizes.slots, k * plan.head_stride
        weighting = load(weightings + own + slot, at_slots, memory)
        grad = load(weighting_grads + own + slot, at_slots, memory)
        if sizes.upstream_series:
            grad += load(upstream.series.weighting + row * all_slots + own + slot, at_slots, memory)
        if k < plan.read_heads:
            grad += tl.sum(memory * read_grad(plan, sizes, memory, k, reads, outputs, column)[None, :], 1)
        else:
            h = k - plan.read_heads
            at_erase, at_add = plan.erase + plan.write_stride * h + column, plan.add + plan.write_stride * h + column
            erase, add = load(bounded + at_erase, at_width, memory), load(bounded + at_add, at_width, memory)
            left = memory
            if plan.write_heads > 1:
                left = erased(plan, sizes, memory, h, slot, write_weightings, bounded)
            grad += tl.sum(memory_grad * (add[None, :] - left * erase[None, :]), 1)
            erase_grad = load(above + at_erase, at_width, memory)
            erase_grad -= tl.sum(memory_grad * left * weighting[:, None], 0)
            add_grad = load(above + at_add, at_width, memory)
            add_grad += tl.sum(memory_grad * weighting[:, None], 0)
            if plan.bounded:
                add_grad *= 1 - add * add
            tl.store(emitted + at_erase, erase_grad * erase * (1 - erase), mask=at_width)
            tl.store(emitted + at_add, add_grad, mask=at_width)
        shift_and_sharpen_backward(
            plan,
            sizes,
            grad,
            slot,
            bounded + head,
            above + head,
            weighting,
            content + own,
            previous + own,
            emitted + head,
            shifted + own,
        )
    tl.debug_barrier()

    memory_grad = erased(plan, sizes, memory_grad, -1, slot, write_weightings, bounded)
    for k in range(plan.read_heads):
        weighting = load(weightings + k * sizes.slots + slot, at_slots, memory)
        memory_grad += weighting[:, None] * read_grad(plan, sizes, memory, k, reads, outputs, column)[None, :]
    inverse = inverse_norm(tl.sum(memory * memory, 1))
    norm_grad = tl.zeros((sizes.block_slots,), memory.dtype)
    for k in range(plan.read_heads + plan.write_heads):
        own, head = k * sizes.slots, k * plan.head_stride
        memory_grad, norm_grad = interpolate_backward(
            plan,
            sizes,
            memory,
            memory_grad,
            inverse,
            norm_grad,
            slot,
            bounded + head,
            above + head,
            content + own,
            previous + own,
            emitted + head,
            shifted + own,
            weighting_grads + own,
        )
    tl.debug_barrier()
    return memory_grad - norm_grad[:, None] * memory


HOOKS = Hooks(largest_field, forward_work, backward_work, step, replay, step_backward)
