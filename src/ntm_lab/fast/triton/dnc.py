"""The Differentiable Neural Computer's own part: its heads' parameters, look-ups, retention, and one step.

``plan`` is `ntm_lab.fast.dnc.Plan`. R read heads and one write head, N slots of width W.
"""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ntm_lab.equations import content
from ntm_lab.fast.dnc import link_spacing
from ntm_lab.fast.triton.content import look_up, look_up_backward
from ntm_lab.fast.triton.elementary import (
    inverse_norm,
    load,
    sigmoid,
    softmax,
    softplus,
    softplus_derivative,
    store_both,
    tanh,
)
from ntm_lab.fast.triton.linkage import (
    copy_links,
    follow,
    follow_backward,
    link,
    link_backward,
    sharpen,
    sharpen_backward,
)
from ntm_lab.fast.triton.memory import read_grad
from ntm_lab.fast.triton.usage import allocate, allocate_backward, guarded

MASK_FLOOR = tl.constexpr(content.MASK_FLOOR)


class ForwardWork(NamedTuple):
    """Where the threads of a program meet on the way forward."""

    by_slot: Any  # (B, N), shares of usage and their products
    by_rank: Any  # (B, N)
    forward: Any  # (B, R, N), forward weightings
    backward: Any  # (B, R, N), backward weightings
    spacing: Any  # (1,), steps between two links that are saved; 0 if none are


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


def largest_field(plan: Any) -> int:
    """How many numbers the largest field has that is not as wide as the memory."""
    return 3  # the read mode


def forward_work(plan: Any, state: Any, tape: Any) -> ForwardWork:
    spacing = link_spacing(len(tape.saved.forward)) if len(tape.saved.links) else 0
    like = torch.empty_like
    return ForwardWork(
        by_slot=like(state.usage),
        by_rank=like(state.usage),
        forward=like(state.read_weighting),
        backward=like(state.read_weighting),
        spacing=torch.full((1,), spacing, dtype=torch.int32, device=state.usage.device),
    )


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


# The parameters: ``emitted`` and ``bounded`` are those before and after their bounds, ``upstream`` the upstream
# gradients of the latter. On the way backward the gradients of the former are stored at ``emitted``.


@triton.jit
def number_at(parameters: "Any", place: "Any", like: "Any") -> "Any":
    return tl.load(parameters + place).to(like.dtype)


@triton.jit
def vector_at(plan: "Any", sizes: "Any", parameters: "Any", start: "Any", like: "Any") -> "Any":
    """The vector (W,) that starts there."""
    column = tl.arange(0, sizes.block_width)
    return load(parameters + start + column, column < plan.width, like)


@triton.jit
def bound_gate(emitted: "Any", bounded: "Any", place: "Any") -> None:
    tl.store(bounded + place, sigmoid(tl.load(emitted + place)))


@triton.jit
def bound_strength(emitted: "Any", bounded: "Any", place: "Any") -> None:
    tl.store(bounded + place, 1 + softplus(tl.load(emitted + place)))


@triton.jit
def bound_vector(
    plan: "Any", sizes: "Any", emitted: "Any", bounded: "Any", start: "Any", gates: tl.constexpr, like: "Any"
) -> None:
    """A vector of gates, or one that is bounded if the plan says so."""
    column = tl.arange(0, sizes.block_width)
    value = vector_at(plan, sizes, emitted, start, like)
    if gates:
        value = sigmoid(value)
    elif plan.bounded:
        value = tanh(value)
    tl.store(bounded + start + column, value, mask=column < plan.width)


@triton.jit
def bound(plan: "Any", sizes: "Any", emitted: "Any", bounded: "Any", like: "Any") -> None:
    """Bound the parameters of all heads."""
    mode = tl.arange(0, sizes.block_field)
    for r in range(plan.read_heads):
        at = r * plan.stride
        bound_vector(plan, sizes, emitted, bounded, at + plan.read_key, False, like)
        bound_strength(emitted, bounded, at + plan.read_strength)
        bound_gate(emitted, bounded, at + plan.free_gate)
        if plan.masking:
            bound_vector(plan, sizes, emitted, bounded, at + plan.read_mask, True, like)
        if plan.links:
            place = at + plan.read_mode + mode
            modes = softmax(load(emitted + place, mode < 3, like), mode < 3)
            tl.store(bounded + place, modes, mask=mode < 3)
        if plan.link_sharpness:
            bound_strength(emitted, bounded, at + plan.backward_sharpness)
            bound_strength(emitted, bounded, at + plan.forward_sharpness)
    bound_vector(plan, sizes, emitted, bounded, plan.write_key, False, like)
    bound_strength(emitted, bounded, plan.write_strength)
    if plan.masking:
        bound_vector(plan, sizes, emitted, bounded, plan.write_mask, True, like)
    bound_gate(emitted, bounded, plan.allocation_gate)
    bound_gate(emitted, bounded, plan.write_gate)
    bound_vector(plan, sizes, emitted, bounded, plan.erase, True, like)
    bound_vector(plan, sizes, emitted, bounded, plan.add, False, like)


@triton.jit
def gate_backward(grad: "Any", bounded: "Any", upstream: "Any", emitted: "Any", place: "Any") -> None:
    gate = number_at(bounded, place, grad)
    grad += number_at(upstream, place, grad)
    tl.store(emitted + place, grad * gate * (1 - gate))


@triton.jit
def strength_backward(grad: "Any", bounded: "Any", upstream: "Any", emitted: "Any", place: "Any") -> None:
    grad += number_at(upstream, place, grad)
    tl.store(emitted + place, grad * softplus_derivative(number_at(bounded, place, grad) - 1))


@triton.jit
def vector_backward(
    plan: "Any",
    sizes: "Any",
    grad: "Any",
    bounded: "Any",
    upstream: "Any",
    emitted: "Any",
    start: "Any",
    gates: tl.constexpr,
) -> None:
    column = tl.arange(0, sizes.block_width)
    value = vector_at(plan, sizes, bounded, start, grad)
    grad += vector_at(plan, sizes, upstream, start, grad)
    if gates:
        grad *= value * (1 - value)
    elif plan.bounded:
        grad *= 1 - value * value
    tl.store(emitted + start + column, grad, mask=column < plan.width)


@triton.jit
def mode_backward(
    backward: "Any", content: "Any", forward: "Any", bounded: "Any", upstream: "Any", emitted: "Any", start: "Any"
) -> None:
    """From the gradients of a read mode's three numbers."""
    first, second = number_at(bounded, start, backward), number_at(bounded, start + 1, backward)
    third = number_at(bounded, start + 2, backward)
    backward += number_at(upstream, start, backward)
    content += number_at(upstream, start + 1, backward)
    forward += number_at(upstream, start + 2, backward)
    mean = first * backward + second * content + third * forward
    tl.store(emitted + start, first * (backward - mean))
    tl.store(emitted + start + 1, second * (content - mean))
    tl.store(emitted + start + 2, third * (forward - mean))


# Looking up by content: ``key``, ``strength`` and ``mask`` are the places of a head's


@triton.jit
def through_mask(plan: "Any", sizes: "Any", parameters: "Any", mask: "Any", like: "Any") -> "Any":
    """The parts of a slot that a mask (W,) lets through; all without masks."""
    if plan.masking:
        return MASK_FLOOR + (1 - MASK_FLOOR) * vector_at(plan, sizes, parameters, mask, like)
    return tl.full((sizes.block_width,), 1.0, like.dtype)


@triton.jit
def match(
    plan: "Any", sizes: "Any", memory: "Any", parameters: "Any", key: "Any", strength: "Any", mask: "Any"
) -> "Any":
    """The content weighting (N,) of a head."""
    through = through_mask(plan, sizes, parameters, mask, memory)
    squares = through * through
    inverse = inverse_norm(tl.sum(memory * memory * squares[None, :], 1))
    exists = tl.arange(0, sizes.block_slots) < sizes.slots
    key_vector = vector_at(plan, sizes, parameters, key, memory)
    return look_up(memory, inverse, key_vector, number_at(parameters, strength, memory), exists, squares)


@triton.jit
def match_backward(
    plan: "Any",
    sizes: "Any",
    memory: "Any",
    memory_grad: "Any",
    content: "Any",
    gate: "Any",
    grad: "Any",
    bounded: "Any",
    upstream: "Any",
    emitted: "Any",
    key: "Any",
    strength: "Any",
    mask: "Any",
) -> "Any":
    """The gradient of `match`, from ``gate`` times ``grad`` (N,): returns that of the memory, added to."""
    through = through_mask(plan, sizes, bounded, mask, memory)
    squares = through * through
    inverse = inverse_norm(tl.sum(memory * memory * squares[None, :], 1))
    key_vector, number = vector_at(plan, sizes, bounded, key, memory), number_at(bounded, strength, memory)
    norm_grad = tl.zeros((sizes.block_slots,), memory.dtype)
    memory_grad, norm_grad, key_grad, strength_grad, squares_grad = look_up_backward(
        memory, memory_grad, inverse, norm_grad, key_vector, number, content, gate, grad, squares
    )
    vector_backward(plan, sizes, key_grad, bounded, upstream, emitted, key, False)
    strength_backward(strength_grad, bounded, upstream, emitted, strength)
    if plan.masking:
        mask_grad = 2 * (1 - MASK_FLOOR) * through * squares_grad
        vector_backward(plan, sizes, mask_grad, bounded, upstream, emitted, mask, True)
    return memory_grad - norm_grad[:, None] * squares[None, :] * memory


# Retention and writing


@triton.jit
def retain(plan: "Any", sizes: "Any", share: "Any", reading: "Any", parameters: "Any", left_out: "Any") -> "Any":
    """``share`` (N,) times what the free gates of all heads but one (−1: none) keep of each slot."""
    slot = tl.arange(0, sizes.block_slots)
    for r in range(plan.read_heads):
        free = number_at(parameters, r * plan.stride + plan.free_gate, share)
        weighting = load(reading + r * sizes.slots + slot, slot < sizes.slots, share)
        share *= 1 - free * tl.where(r == left_out, 0.0, weighting)
    return share


@triton.jit
def cleared(plan: "Any", memory: "Any", kept: "Any") -> "Any":
    """The memory without the freed parts."""
    if plan.deallocation:
        memory *= kept[:, None]
    return memory


@triton.jit
def written_to(plan: "Any", sizes: "Any", memory: "Any", written: "Any", parameters: "Any") -> "Any":
    """The memory with the write head's erasure and addition."""
    erase = vector_at(plan, sizes, parameters, plan.erase, memory)
    add = vector_at(plan, sizes, parameters, plan.add, memory)
    return memory + written[:, None] * (add[None, :] - memory * erase[None, :])


@triton.jit
def place_before(series: "Any", initial: "Any", b: "Any", batch: "Any", row: "Any", size: "Any") -> "Any":
    """Where a part of the state is as it was before a step."""
    place = series + (row - batch) * size
    if row < batch:  # the first step
        place = initial + b * size
    return place


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
    """Allocate, write, link and read, and return the memory after it.

    ``kept`` and ``shown`` are the step's rows on the tape, ``reads`` and ``outputs`` the two places for the reads.
    """
    slot, column = tl.arange(0, sizes.block_slots), tl.arange(0, sizes.block_width)
    at_slots, at_width, slots = slot < sizes.slots, column < plan.width, sizes.slots
    all_slots = plan.read_heads * slots
    emitted, bounded = work.emitted + b * sizes.parameters, work.bounded + b * sizes.parameters
    usages, writing = state.access.usage + b * slots, state.access.write_weighting + b * slots
    reading = state.access.read_weighting + b * all_slots
    by_slot, by_rank = work.access.by_slot + b * slots, work.access.by_rank + b * slots
    bound(plan, sizes, emitted, bounded, memory)
    tl.debug_barrier()

    for first in range(0, sizes.parameters, sizes.block_columns):
        number = first + tl.arange(0, sizes.block_columns)
        value = load(bounded + number, number < sizes.parameters, memory)
        tl.store(tape.parameters + shown * sizes.parameters + number, value, mask=number < sizes.parameters)
    retained = retain(plan, sizes, tl.full((sizes.block_slots,), 1.0, memory.dtype), reading, bounded, -1)
    used, written = load(usages + slot, at_slots, memory), load(writing + slot, at_slots, memory)
    used = (used + written - used * written) * retained
    stored = used.to(tape.series.usage.dtype.element_ty)  # so that backward finds the slots in the same order
    share = guarded(stored.to(memory.dtype))
    _, before = allocate(sizes, share, slot, by_slot, by_rank)
    allocation = (1 - share) * before
    store_both(usages + slot, tape.series.usage + shown * slots + slot, used, at_slots)
    tl.store(tape.series.allocation + shown * slots + slot, allocation, mask=at_slots)

    content = match(plan, sizes, memory, bounded, plan.write_key, plan.write_strength, plan.write_mask)
    allocated = number_at(bounded, plan.allocation_gate, memory)
    written = number_at(bounded, plan.write_gate, memory) * (content + allocated * (allocation - content))
    store_both(writing + slot, tape.series.write_weighting + shown * slots + slot, written, at_slots)
    memory = written_to(plan, sizes, cleared(plan, memory, retained), written, bounded)

    forward, backward = work.access.forward + b * all_slots, work.access.backward + b * all_slots
    if plan.links:
        precedences, links = state.access.precedence + b * slots, state.access.link + b * slots * slots
        tl.debug_barrier()
        spacing, batch = tl.load(work.access.spacing), tl.num_programs(0)
        if spacing > 0:
            t = kept // batch
            if t % spacing == 0:
                saved = ((t // spacing) * batch + b) * slots * slots
                copy_links(sizes, links, tape.saved.links + saved, memory)
        preceding = load(precedences + slot, at_slots, memory)
        link(sizes, links, links, writing, precedences, memory)
        tl.debug_barrier()
        preceding = (1 - tl.sum(written, 0)) * preceding + written
        store_both(precedences + slot, tape.series.precedence + shown * slots + slot, preceding, at_slots)
        for r in range(plan.read_heads):
            own = r * slots + slot
            followed = follow(sizes, links, reading + r * slots, forward + r * slots, memory)
            store_both(backward + own, tape.saved.backward + kept * all_slots + own, followed, at_slots)
        tl.debug_barrier()

    for r in range(plan.read_heads):
        at, own = r * plan.stride, r * slots + slot
        weighting = match(
            plan, sizes, memory, bounded, at + plan.read_key, at + plan.read_strength, at + plan.read_mask
        )
        if plan.links:
            before, after = load(backward + own, at_slots, memory), load(forward + own, at_slots, memory)
            tl.store(tape.saved.forward + kept * all_slots + own, after, mask=at_slots)
            if plan.link_sharpness:
                before = sharpen(before, number_at(bounded, at + plan.backward_sharpness, memory), at_slots)
                after = sharpen(after, number_at(bounded, at + plan.forward_sharpness, memory), at_slots)
            mode = at + plan.read_mode
            weighting *= number_at(bounded, mode + 1, memory)
            weighting += number_at(bounded, mode, memory) * before + number_at(bounded, mode + 2, memory) * after
        store_both(reading + own, tape.series.read_weighting + shown * all_slots + own, weighting, at_slots)
        place = r * plan.width + column
        store_both(reads + place, outputs + place, tl.sum(memory * weighting[:, None], 0), at_width)
    return memory


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
    slot, all_slots = tl.arange(0, sizes.block_slots), plan.read_heads * sizes.slots
    parameters = tape.parameters + row * sizes.parameters
    series, start = tape.series.read_weighting, initial.access.read_weighting
    reading = place_before(series, start, b, batch, row, all_slots)
    retained = retain(plan, sizes, tl.full((sizes.block_slots,), 1.0, memory.dtype), reading, parameters, -1)
    written = load(tape.series.write_weighting + row * sizes.slots + slot, slot < sizes.slots, memory)
    return written_to(plan, sizes, cleared(plan, memory, retained), written, parameters)


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
