"""The gradient of one step of a DNC."""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ntm_lab.fast.dnc import link_spacing
from ntm_lab.fast.triton.dnc.matching import match, match_backward
from ntm_lab.fast.triton.dnc.parameters import (
    gate_backward,
    mode_backward,
    number_at,
    strength_backward,
    vector_at,
    vector_backward,
)
from ntm_lab.fast.triton.dnc.writing import cleared, retain, written_to
from ntm_lab.fast.triton.elementary import load, place_before
from ntm_lab.fast.triton.linkage import copy_links, follow_backward, link, link_backward, sharpen, sharpen_backward
from ntm_lab.fast.triton.memory import read_grad
from ntm_lab.fast.triton.usage import allocate, allocate_backward, guarded


class BackwardWork(NamedTuple):
    """Buffers that the threads of a program share in the backward pass.

    They are gradients, but for the first two and the last three.
    """

    by_slot: Any  # (B, N)
    by_rank: Any  # (B, N)
    forward: Any  # (B, R, N), of the forward weightings
    backward: Any  # (B, R, N), of the backward weightings
    reading: Any  # (B, R, N), of the last read weightings, by way of the forward weightings
    reading_rows: Any  # (B, R, N), by way of the backward weightings
    written_rows: Any  # (B, N), of the write weighting, by way of the rows of the links
    links: Any  # (B, spacing, N, N), those that the steps of a stretch began with
    spacing: Any  # (1,)
    lengths: Any  # (B,)


def backward_work(plan: Any, state: Any, tape: Any, lengths: Tensor) -> BackwardWork:
    spacing, like = link_spacing(len(tape.saved.forward)), torch.empty_like
    batch, linked, _ = state.link.shape
    return BackwardWork(
        by_slot=like(state.usage),
        by_rank=like(state.usage),
        forward=like(state.read_weighting),
        backward=like(state.read_weighting),
        reading=like(state.read_weighting),
        reading_rows=like(state.read_weighting),
        written_rows=like(state.usage),
        links=state.link.new_empty(batch, spacing, linked, linked),
        spacing=torch.full((1,), spacing, dtype=torch.int32, device=lengths.device),
        lengths=lengths,
    )


@triton.jit
def links_before(
    sizes: "Any", b: "Any", batch: "Any", row: "Any", initial: "Any", tape: "Any", work: "Any", like: "Any"
) -> "Any":
    """Where the links before a step are; those of a whole stretch are recomputed before its last step."""
    slots, size = sizes.slots, sizes.slots * sizes.slots
    spacing, t = tl.load(work.access.spacing), row // batch
    stretch, number = t // spacing, t % spacing
    links = work.access.links + b * spacing * size
    if (number == spacing - 1) | (t == tl.load(work.access.lengths + b) - 1):
        copy_links(sizes, tape.saved.links + (stretch * batch + b) * size, links, like)
        tl.debug_barrier()
        for later in range(number.to(tl.int32)):
            at = (stretch * spacing + later) * batch + b
            preceding = place_before(tape.series.precedence, initial.access.precedence, b, batch, at, slots)
            source = links + later * size
            link(sizes, source, source + size, tape.series.write_weighting + at * slots, preceding, like)
            tl.debug_barrier()
    return links + number * size


@triton.jit
def mixed_backward(
    plan: "Any",
    followed: "Any",
    mode: "Any",
    grad: "Any",
    exists: "Any",
    bounded: "Any",
    upstream: "Any",
    emitted: "Any",
    sharpness: "Any",
) -> "Any":
    """From the gradient (N,) of a read weighting to those of a weighting that follows the links, and of its mode."""
    weighting, through = followed, mode * grad
    if plan.link_sharpness:
        number = number_at(bounded, sharpness, grad)
        weighting = sharpen(followed, number, exists)
        through, sharpness_grad = sharpen_backward(followed, number, weighting, through)
        strength_backward(sharpness_grad, bounded, upstream, emitted, sharpness)
    return through, tl.sum(weighting * grad, 0)


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
    at_slots, slots, all_slots = slot < sizes.slots, sizes.slots, plan.read_heads * sizes.slots
    bounded, emitted = tape.parameters + row * sizes.parameters, work.emitted + b * sizes.parameters
    above = grads.parameters + row * sizes.parameters
    series, access = tape.series, initial.access
    last_usage = place_before(series.usage, access.usage, b, batch, row, slots)
    last_writing = place_before(series.write_weighting, access.write_weighting, b, batch, row, slots)
    last_reading = place_before(series.read_weighting, access.read_weighting, b, batch, row, all_slots)
    writing, reading = series.write_weighting + row * slots, series.read_weighting + row * all_slots
    usage_grads, writing_grads = state.access.usage + b * slots, state.access.write_weighting + b * slots
    reading_grads = state.access.read_weighting + b * all_slots
    forward_grads, backward_grads = work.access.forward + b * all_slots, work.access.backward + b * all_slots
    in_reading, in_rows = work.access.reading + b * all_slots, work.access.reading_rows + b * all_slots
    by_slot, by_rank = work.access.by_slot + b * slots, work.access.by_rank + b * slots

    retained = retain(plan, sizes, tl.full((sizes.block_slots,), 1.0, memory.dtype), last_reading, bounded, -1)
    written = load(writing + slot, at_slots, memory)
    written_grad, used_grad = load(writing_grads + slot, at_slots, memory), load(usage_grads + slot, at_slots, memory)
    if sizes.upstream_series:
        written_grad += load(upstream.series.write_weighting + row * slots + slot, at_slots, memory)
        used_grad += load(upstream.series.usage + row * slots + slot, at_slots, memory)

    # The reads
    after = written_to(plan, sizes, cleared(plan, memory, retained), written, bounded)
    for r in range(plan.read_heads):
        at, own = r * plan.stride, r * slots + slot
        key, strength, mask = at + plan.read_key, at + plan.read_strength, at + plan.read_mask
        from_read = read_grad(plan, sizes, memory, r, reads, outputs, column)
        grad = load(reading_grads + own, at_slots, memory) + tl.sum(after * from_read[None, :], 1)
        if sizes.upstream_series:
            grad += load(upstream.series.read_weighting + row * all_slots + own, at_slots, memory)
        memory_grad += load(reading + own, at_slots, memory)[:, None] * from_read[None, :]
        content = match(plan, sizes, after, bounded, key, strength, mask)
        gate = tl.full((), 1.0, memory.dtype)
        if plan.links:
            mode = at + plan.read_mode
            gate = number_at(bounded, mode + 1, memory)
            followed_grad, backward_mode_grad = mixed_backward(
                plan,
                load(tape.saved.backward + row * all_slots + own, at_slots, memory),
                number_at(bounded, mode, memory),
                grad,
                at_slots,
                bounded,
                above,
                emitted,
                at + plan.backward_sharpness,
            )
            tl.store(backward_grads + own, followed_grad, mask=at_slots)
            followed_grad, forward_mode_grad = mixed_backward(
                plan,
                load(tape.saved.forward + row * all_slots + own, at_slots, memory),
                number_at(bounded, mode + 2, memory),
                grad,
                at_slots,
                bounded,
                above,
                emitted,
                at + plan.forward_sharpness,
            )
            tl.store(forward_grads + own, followed_grad, mask=at_slots)
            content_mode_grad = tl.sum(content * grad, 0)
            mode_backward(backward_mode_grad, content_mode_grad, forward_mode_grad, bounded, above, emitted, mode)
        memory_grad = match_backward(
            plan, sizes, after, memory_grad, content, gate, grad, bounded, above, emitted, key, strength, mask
        )
    tl.debug_barrier()

    # Links and precedence
    if plan.links:
        precedences = place_before(series.precedence, access.precedence, b, batch, row, slots)
        preceding_grads, links_grads = state.access.precedence + b * slots, state.access.link + b * slots * slots
        written_rows = work.access.written_rows + b * slots
        links = links_before(sizes, b, batch, row, initial, tape, work, memory)
        preceding, grad = load(precedences + slot, at_slots, memory), load(preceding_grads + slot, at_slots, memory)
        if sizes.upstream_series:
            grad += load(upstream.series.precedence + row * slots + slot, at_slots, memory)
        written_grad += grad - tl.sum(preceding * grad, 0)
        preceding_grad = (1 - tl.sum(written, 0)) * grad
        for r in range(plan.read_heads):
            own = r * slots
            grad = follow_backward(
                sizes,
                links,
                writing,
                precedences,
                forward_grads + own,
                backward_grads + own,
                in_rows + own,
                memory,
            )
            tl.store(in_reading + own + slot, grad, mask=at_slots)
        in_columns, preceding_columns = link_backward(
            plan,
            sizes,
            links,
            writing,
            precedences,
            last_reading,
            forward_grads,
            backward_grads,
            links_grads,
            written_rows,
            memory,
        )
        tl.debug_barrier()
        tl.store(preceding_grads + slot, preceding_grad + preceding_columns, mask=at_slots)
        written_grad += in_columns + load(written_rows + slot, at_slots, memory)

    # The write
    share = guarded(load(series.usage + row * slots + slot, at_slots, memory))
    rank, before = allocate(sizes, share, slot, by_slot, by_rank)
    allocation = (1 - share) * before
    erase = vector_at(plan, sizes, bounded, plan.erase, memory)
    add = vector_at(plan, sizes, bounded, plan.add, memory)
    source = cleared(plan, memory, retained)
    written_grad += tl.sum(memory_grad * (add[None, :] - source * erase[None, :]), 1)
    erase_grad = -tl.sum(memory_grad * source * written[:, None], 0)
    vector_backward(plan, sizes, erase_grad, bounded, above, emitted, plan.erase, True)
    add_grad = tl.sum(memory_grad * written[:, None], 0)
    vector_backward(plan, sizes, add_grad, bounded, above, emitted, plan.add, False)
    memory_grad *= 1 - written[:, None] * erase[None, :]
    retained_grad = tl.zeros((sizes.block_slots,), memory.dtype)
    if plan.deallocation:
        retained_grad += tl.sum(memory * memory_grad, 1)
        memory_grad *= retained[:, None]

    content = match(plan, sizes, memory, bounded, plan.write_key, plan.write_strength, plan.write_mask)
    allocated, gate = number_at(bounded, plan.allocation_gate, memory), number_at(bounded, plan.write_gate, memory)
    memory_grad = match_backward(
        plan,
        sizes,
        memory,
        memory_grad,
        content,
        gate * (1 - allocated),
        written_grad,
        bounded,
        above,
        emitted,
        plan.write_key,
        plan.write_strength,
        plan.write_mask,
    )
    to_content, to_allocation = tl.sum(content * written_grad, 0), tl.sum(allocation * written_grad, 0)
    mixed = allocated * to_allocation + (1 - allocated) * to_content
    gate_backward(mixed, bounded, above, emitted, plan.write_gate)
    gate_backward(gate * (to_allocation - to_content), bounded, above, emitted, plan.allocation_gate)

    # Usage
    allocation_grad = gate * allocated * written_grad
    if sizes.upstream_series:
        allocation_grad += load(upstream.series.allocation + row * slots + slot, at_slots, memory)
    used_grad += allocate_backward(sizes, share, rank, before, allocation_grad, slot, by_slot, by_rank)
    last_used, last_written = load(last_usage + slot, at_slots, memory), load(last_writing + slot, at_slots, memory)
    retained_grad += used_grad * (last_used + last_written - last_used * last_written)
    used_grad *= retained
    tl.store(usage_grads + slot, used_grad * (1 - last_written), mask=at_slots)
    if plan.cut_usage_gradient:
        tl.store(writing_grads + slot, tl.zeros((sizes.block_slots,), memory.dtype), mask=at_slots)
    else:
        tl.store(writing_grads + slot, used_grad * (1 - last_used), mask=at_slots)
    for r in range(plan.read_heads):
        free, own = r * plan.stride + plan.free_gate, r * slots + slot
        rest = retain(plan, sizes, retained_grad, last_reading, bounded, r)
        weighting = load(last_reading + own, at_slots, memory)
        gate_backward(-tl.sum(weighting * rest, 0), bounded, above, emitted, free)
        grad = -number_at(bounded, free, memory) * rest
        if plan.links:
            grad += load(in_reading + own, at_slots, memory) + load(in_rows + own, at_slots, memory)
        tl.store(reading_grads + own, grad, mask=at_slots)
    tl.debug_barrier()
    return memory_grad
