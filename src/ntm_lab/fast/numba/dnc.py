"""The Differentiable Neural Computer's own part: bounds of its heads' parameters, look-ups, retention, and one step.

A row of parameters (P,) holds the fields of all heads, at the offsets of the plan, see `ntm_lab.fast.dnc.Plan`. Head
k < R reads, head R writes. N slots of width W; a memory is (V, N).
"""

from typing import Any, NamedTuple

import numpy as np

from ntm_lab.equations.content import MASK_FLOOR
from ntm_lab.fast.dnc import link_spacing
from ntm_lab.fast.numba.compiling import Array, part, section
from ntm_lab.fast.numba.content import (
    compare,
    compare_backward,
    direction,
    direction_backward,
    look_up,
    look_up_backward,
)
from ntm_lab.fast.numba.elementary import (
    open_gates,
    open_gates_backward,
    sigmoid,
    soften,
    soften_backward,
    softplus,
    softplus_derivative,
    squash,
    squash_backward,
)
from ntm_lab.fast.numba.linkage import (
    link,
    link_and_follow,
    link_and_follow_backward,
    precede,
    precede_backward,
    sharpen,
    sharpen_backward,
)
from ntm_lab.fast.numba.memory import add_outer, add_rows, erase_and_add, erase_and_add_backward, pad, weighted_rows
from ntm_lab.fast.numba.products import accumulate, copy, dot
from ntm_lab.fast.numba.sequence import compiled
from ntm_lab.fast.numba.usage import allocate, allocate_backward, sort_slots

spacing_of = part(link_spacing)


# The parameters


@part
def vector_at(parameters: Array, plan: Any, start: int) -> Array:
    """The vector (W,) that starts there."""
    return parameters[start : start + plan.width]


@part
def place(plan: Any, k: int, read: int, write: int) -> int:
    """Where a field of head k starts, from that of the first read head and that of the write head."""
    return read + k * plan.stride if k < plan.read_heads else write


@part
def key_of(parameters: Array, plan: Any, k: int) -> Array:
    """The key (W,) of head k."""
    return vector_at(parameters, plan, place(plan, k, plan.read_key, plan.write_key))


@part
def mask_of(parameters: Array, plan: Any, k: int) -> Array:
    """The mask (W,) of head k, as it is emitted."""
    return vector_at(parameters, plan, place(plan, k, plan.read_mask, plan.write_mask))


@part
def mode_of(parameters: Array, plan: Any, r: int) -> Array:
    """The read mode (3,): backward, content, forward."""
    start = plan.read_mode + r * plan.stride
    return parameters[start : start + 3]


@part
def activate(parameters: Array, plan: Any) -> None:
    """Bound all heads' parameters (P,), in place."""
    one = parameters.dtype.type(1)
    for k in range(plan.read_heads + 1):
        squash(key_of(parameters, plan, k), plan.bounded)
        strength = place(plan, k, plan.read_strength, plan.write_strength)
        parameters[strength] = one + softplus(parameters[strength])
        if plan.masking:
            open_gates(mask_of(parameters, plan, k))
    for r in range(plan.read_heads):
        at = r * plan.stride
        parameters[at + plan.free_gate] = sigmoid(parameters[at + plan.free_gate])
        if plan.links:
            soften(mode_of(parameters, plan, r))
        if plan.link_sharpness:
            for sharpness in (plan.backward_sharpness, plan.forward_sharpness):
                parameters[at + sharpness] = one + softplus(parameters[at + sharpness])
    parameters[plan.allocation_gate] = sigmoid(parameters[plan.allocation_gate])
    parameters[plan.write_gate] = sigmoid(parameters[plan.write_gate])
    open_gates(vector_at(parameters, plan, plan.erase))
    squash(vector_at(parameters, plan, plan.add), plan.bounded)


@part
def activate_backward(parameters: Array, gradient: Array, plan: Any) -> None:
    """From the gradient of `activate`'s results to that of its arguments, in place; parameters are the results."""
    one = parameters.dtype.type(1)
    for k in range(plan.read_heads + 1):
        squash_backward(key_of(parameters, plan, k), key_of(gradient, plan, k), plan.bounded)
        strength = place(plan, k, plan.read_strength, plan.write_strength)
        gradient[strength] *= softplus_derivative(parameters[strength] - one)
        if plan.masking:
            open_gates_backward(mask_of(parameters, plan, k), mask_of(gradient, plan, k))
    for r in range(plan.read_heads):
        at = r * plan.stride
        gate = parameters[at + plan.free_gate]
        gradient[at + plan.free_gate] *= gate * (one - gate)
        if plan.links:
            soften_backward(mode_of(parameters, plan, r), mode_of(gradient, plan, r))
        if plan.link_sharpness:
            for sharpness in (plan.backward_sharpness, plan.forward_sharpness):
                gradient[at + sharpness] *= softplus_derivative(parameters[at + sharpness] - one)
    for place_of_gate in (plan.allocation_gate, plan.write_gate):
        gate = parameters[place_of_gate]
        gradient[place_of_gate] *= gate * (one - gate)
    open_gates_backward(vector_at(parameters, plan, plan.erase), vector_at(gradient, plan, plan.erase))
    squash_backward(vector_at(parameters, plan, plan.add), vector_at(gradient, plan, plan.add), plan.bounded)


# Looking up by content


class Matched(NamedTuple):
    """The values of a head's look-up that its gradient needs."""

    squares: Any  # (V,), of the mask, 1 without masks
    scaled: Any  # (V,), the key
    inverse: Any  # (N,), inverse norms of the slots
    cosine: Any  # (N,)
    content: Any  # (N,), the content weighting


@section
def matched(depth: int, slots: int, like: Array) -> Matched:
    """Such buffers."""
    return Matched(
        np.ones(depth, like.dtype),
        np.empty(depth, like.dtype),
        np.empty(slots, like.dtype),
        np.empty(slots, like.dtype),
        np.empty(slots, like.dtype),
    )


@part
def match(memory: Array, parameters: Array, plan: Any, k: int, result: Matched) -> None:
    """The content weighting of head k."""
    squares, scaled, inverse, cosine, content = result
    if plan.masking:
        mask, floor, one = mask_of(parameters, plan, k), memory.dtype.type(MASK_FLOOR), memory.dtype.type(1)
        for v in range(len(mask)):
            through = floor + (one - floor) * mask[v]
            squares[v] = through * through
    direction(key_of(parameters, plan, k), squares, scaled)
    compare(memory, scaled, squares, inverse, cosine)
    copy(cosine, content)
    look_up(content, parameters[place(plan, k, plan.read_strength, plan.write_strength)])


@part
def match_backward(
    memory: Array,
    parameters: Array,
    plan: Any,
    k: int,
    found: Matched,
    gate: Any,
    grad: Array,
    memory_grad: Array,
    parameter_grad: Array,
    weightings: Array,
    vectors: Array,
) -> Any:
    """The gradient of `match`, from ``gate`` times ``grad`` (N,), whose mean under the content weighting is returned.

    Adds to those of the memory and of the parameters.
    """
    squares, scaled, inverse, cosine, content = found
    product_grad, norm_grad, scaled_grad, squares_grad = weightings[0], weightings[1], vectors[0], vectors[1]
    mean, strength = dot(content, grad), place(plan, k, plan.read_strength, plan.write_strength)
    norm_grad[:] = 0
    parameter_grad[strength] += look_up_backward(
        content, cosine, inverse, parameters[strength], gate, mean, grad, product_grad, norm_grad
    )
    compare_backward(memory, scaled, squares, product_grad, norm_grad, memory_grad, scaled_grad, squares_grad)
    key, key_grad = key_of(parameters, plan, k), key_of(parameter_grad, plan, k)
    direction_backward(key, squares, scaled, scaled_grad, key_grad, squares_grad)
    if plan.masking:
        mask, mask_grad = mask_of(parameters, plan, k), mask_of(parameter_grad, plan, k)
        floor, one = memory.dtype.type(MASK_FLOOR), memory.dtype.type(1)
        for v in range(len(mask)):
            through = floor + (one - floor) * mask[v]
            mask_grad[v] += (through + through) * (one - floor) * squares_grad[v]
    return mean


# Usage


@part
def retain(parameters: Array, plan: Any, reading: Array, left_out: int, kept: Array) -> None:
    """Multiply by the share of each slot (N,) that the free gates of all heads but one (−1: none) keep."""
    one = kept.dtype.type(1)
    for r in range(plan.read_heads):
        if r != left_out:
            free, weighting = parameters[plan.free_gate + r * plan.stride], reading[r]
            for n in range(len(kept)):
                kept[n] *= one - free * weighting[n]


@part
def retain_backward(
    parameters: Array, plan: Any, reading: Array, grad: Array, reading_grad: Array, parameter_grad: Array, rest: Array
) -> None:
    """The gradient of `retain` of all heads on 1; adds to those of the read weightings and the free gates."""
    for r in range(plan.read_heads):
        gate = plan.free_gate + r * plan.stride
        copy(grad, rest)
        retain(parameters, plan, reading, r, rest)
        weighting, weighting_grad, free = reading[r], reading_grad[r], parameters[gate]
        for n in range(len(rest)):
            weighting_grad[n] -= free * rest[n]
        parameter_grad[gate] -= dot(weighting, rest)


@part
def clear(before: Array, kept: Array, memory: Array) -> None:
    """memory(v, n) = kept(n) before(v, n)."""
    for v in range(len(memory)):
        row, source = memory[v], before[v]
        for n in range(len(kept)):
            row[n] = kept[n] * source[n]


# The step


class ForwardScratch(NamedTuple):
    """Buffers of `step`."""

    order: Any  # (B, N), slots by their usage
    spare: Any  # (N,), of such
    found: Matched
    kept: Any  # (N,), the share that is not freed
    weightings: Any  # (2, N)
    zeros: Any  # (N,)
    vectors: Any  # (2, V)


class BackwardScratch(NamedTuple):
    """Buffers of `replay` and `step_backward`."""

    order: Any  # (B, N), slots by their usage
    spare: Any  # (N,), of such
    found: Matched
    kept: Any  # (N,), the share that is not freed
    kept_grad: Any  # (N,)
    forward_grad: Any  # (R, N)
    backward_grad: Any  # (R, N)
    weightings: Any  # (3, N)
    zeros: Any  # (4, N)
    vectors: Any  # (4, V)
    cleared: Any  # (V, N), the memory when slots have been freed
    after: Any  # (V, N), the memory after the step
    rows: Any  # (4, N), of the links
    links: Any  # (spacing, tile, N, N), those before the steps of a stretch
    stretch: Any  # (tile,), which stretch that is


@part
def orders(batch: int, slots: int) -> Array:
    """Every slot once, for each sequence."""
    order = np.empty((batch, slots), np.int32)
    for b in range(batch):
        for n in range(slots):
            order[b, n] = n
    return order


@section
def forward_scratch(plan: Any, state: Any) -> ForwardScratch:
    batch, depth, slots = state.memory.shape
    dtype = state.memory.dtype
    return ForwardScratch(
        orders(batch, slots),
        np.empty(slots, np.int32),
        matched(depth, slots, state.memory),
        np.empty(slots, dtype),
        np.empty((2, slots), dtype),
        np.zeros(slots, dtype),
        np.empty((2, depth), dtype),
    )


@section
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
    scratch: ForwardScratch,
) -> None:
    order, spare, found, retained, weightings, zeros, vectors = scratch
    content, erase, add, width, one = found.content, vectors[0], vectors[1], plan.width, zeros.dtype.type(1)
    spacing = spacing_of(len(saved.forward))
    for b in range(first, end):
        memory, used, own = state.memory[b], state.usage[b], parameters[b]
        reading, written, preceding = state.read_weighting[b], state.write_weighting[b, 0], state.precedence[b]
        forward, backward = saved.forward[kept, b], saved.backward[kept, b]
        activate(own, plan)

        retained[:] = one
        retain(own, plan, reading, -1, retained)
        for n in range(len(used)):
            used[n] = (used[n] + written[n] - used[n] * written[n]) * retained[n]
        sort_slots(used, order[b], spare)
        allocation = series.allocation[shown, b, 0]
        allocate(used, order[b], allocation)

        match(memory, own, plan, plan.read_heads, found)
        allocated, gate = own[plan.allocation_gate], own[plan.write_gate]
        for n in range(len(written)):
            written[n] = gate * (content[n] + allocated * (allocation[n] - content[n]))
        if plan.deallocation:
            clear(memory, retained, memory)
        pad(vector_at(own, plan, plan.erase), erase)
        pad(vector_at(own, plan, plan.add), add)
        erase_and_add(None, written, erase, add, memory)

        if plan.links:
            links = state.link[b]
            if kept % spacing == 0 and kept // spacing < len(saved.links):
                copy(links.reshape(-1), saved.links[kept // spacing, b].reshape(-1))
            link_and_follow(links, written, preceding, reading, forward, backward, zeros)
            precede(preceding, written)
        for r in range(plan.read_heads):
            match(memory, own, plan, r, found)
            weighting = reading[r]
            if plan.links:
                mode, before, after = mode_of(own, plan, r), backward[r], forward[r]
                if plan.link_sharpness:
                    sharpen(before, own[plan.backward_sharpness + r * plan.stride], weightings[0])
                    sharpen(after, own[plan.forward_sharpness + r * plan.stride], weightings[1])
                    before, after = weightings[0], weightings[1]
                for n in range(len(weighting)):
                    weighting[n] = mode[0] * before[n] + mode[1] * content[n] + mode[2] * after[n]
            else:
                copy(content, weighting)
            weighted_rows(memory, weighting, vectors[0])
            copy(vectors[0, :width], reads[b, r * width : (r + 1) * width])

        copy(used, series.usage[shown, b])
        copy(written, series.write_weighting[shown, b, 0])
        copy(reading.reshape(-1), series.read_weighting[shown, b].reshape(-1))
        copy(preceding, series.precedence[shown, b])


def link_buffer(plan: Any, steps: int, tile: int, slots: int) -> tuple[int, ...]:
    """The shape of `BackwardScratch.links`."""
    linked = slots if plan.links else 0
    return link_spacing(steps), tile, linked, linked


@section
def backward_scratch(plan: Any, state: Any, buffer: Array) -> BackwardScratch:
    batch, depth, slots = state.memory.shape
    dtype = state.memory.dtype
    return BackwardScratch(
        orders(batch, slots),
        np.empty(slots, np.int32),
        matched(depth, slots, state.memory),
        np.empty(slots, dtype),
        np.empty(slots, dtype),
        np.empty((plan.read_heads, slots), dtype),
        np.empty((plan.read_heads, slots), dtype),
        np.empty((3, slots), dtype),
        np.zeros((4, slots), dtype),
        np.empty((4, depth), dtype),
        np.empty((depth, slots), dtype),
        np.empty((depth, slots), dtype),
        np.empty((4, slots), dtype),
        buffer,
        np.full(buffer.shape[1], -1),
    )


@part
def rewrite(
    before: Array, parameters: Array, plan: Any, reading: Array, written: Array, after: Array, scratch: Any
) -> None:
    """The memory after a write from that before it and the read weightings before; `kept` and `cleared` are set."""
    kept, vectors = scratch.kept, scratch.vectors
    kept[:] = 1
    retain(parameters, plan, reading, -1, kept)
    source = before
    if plan.deallocation:
        clear(before, kept, scratch.cleared)
        source = scratch.cleared
    pad(vector_at(parameters, plan, plan.erase), vectors[0])
    pad(vector_at(parameters, plan, plan.add), vectors[1])
    erase_and_add(source, written, vectors[0], vectors[1], after)


@section
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
    scratch: BackwardScratch,
) -> None:
    reading = series.read_weighting[t - 1, b] if t else initial.read_weighting[b]
    rewrite(before, parameters, plan, reading, series.write_weighting[t, b, 0], after, scratch)


@part
def links_before(plan: Any, first: int, b: int, t: int, initial: Any, series: Any, saved: Any, scratch: Any) -> Array:
    """The links of a sequence before step t, recomputed from the snapshot with all others of the stretch."""
    links, spacing = scratch.links, len(scratch.links)
    stretch, begin = t // spacing, t // spacing * spacing
    if scratch.stretch[b - first] != stretch:
        scratch.stretch[b - first] = stretch
        copy(saved.links[stretch, b].reshape(-1), links[0, b - first].reshape(-1))
        for s in range(begin, t):
            preceding = series.precedence[s - 1, b] if s else initial.precedence[b]
            written = series.write_weighting[s, b, 0]
            link(links[s - begin, b - first], written, preceding, links[s - begin + 1, b - first])
    return links[t - begin, b - first]


@section
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
    scratch: BackwardScratch,
) -> None:
    found, kept, kept_grad, weightings, vectors = (
        scratch.found,
        scratch.kept,
        scratch.kept_grad,
        scratch.weightings,
        scratch.vectors,
    )
    width, after, one = plan.width, scratch.after, kept.dtype.type(1)
    for b in range(first, end):
        memory, own, own_grad = memories[b - first], parameters[b], parameter_grads[b - first]
        used_before = series.usage[t - 1, b] if t else initial.usage[b]
        read_before = series.read_weighting[t - 1, b] if t else initial.read_weighting[b]
        written_before = series.write_weighting[t - 1, b, 0] if t else initial.write_weighting[b, 0]
        preceding = series.precedence[t - 1, b] if t else initial.precedence[b]
        used, allocation, written = series.usage[t, b], series.allocation[t, b, 0], series.write_weighting[t, b, 0]
        reading = series.read_weighting[t, b]
        memory_grad, used_grad, reading_grad = state.memory[b], state.usage[b], state.read_weighting[b]
        written_grad, preceding_grad = state.write_weighting[b, 0], state.precedence[b]
        if len(upstream.usage):
            accumulate(upstream.usage[t, b], used_grad)
        if len(upstream.read_weighting):
            accumulate(upstream.read_weighting[t, b].reshape(-1), reading_grad.reshape(-1))
        if len(upstream.write_weighting):
            accumulate(upstream.write_weighting[t, b, 0], written_grad)
        if len(upstream.precedence):
            accumulate(upstream.precedence[t, b], preceding_grad)
        rewrite(memory, own, plan, read_before, written, after, scratch)

        # The reads
        for r in range(plan.read_heads):
            grad = reading_grad[r]
            pad(reads[b, r * width : (r + 1) * width], vectors[2])
            add_rows(after, vectors[2], grad)
            add_outer(memory_grad, vectors[2], reading[r])
            match(after, own, plan, r, found)
            gate = one
            if plan.links:
                mode, mode_grad = mode_of(own, plan, r), mode_of(own_grad, plan, r)
                gate = mode[1]
                for kind in range(2):
                    followed = saved.forward[t, b, r] if kind else saved.backward[t, b, r]
                    followed_grad = scratch.forward_grad[r] if kind else scratch.backward_grad[r]
                    for n in range(len(grad)):
                        followed_grad[n] = mode[2 * kind] * grad[n]
                    if plan.link_sharpness:
                        sharpness = plan.forward_sharpness if kind else plan.backward_sharpness
                        sharpness += r * plan.stride
                        sharpen(followed, own[sharpness], weightings[0])
                        mode_grad[2 * kind] += dot(weightings[0], grad)
                        own_grad[sharpness] += sharpen_backward(followed, own[sharpness], weightings[0], followed_grad)
                    else:
                        mode_grad[2 * kind] += dot(followed, grad)
            mean = match_backward(after, own, plan, r, found, gate, grad, memory_grad, own_grad, weightings, vectors)
            if plan.links:
                mode_of(own_grad, plan, r)[1] += mean
            grad[:] = 0  # from here on that of the last step's

        # Links and precedence
        if plan.links:
            precede_backward(preceding, written, preceding_grad, written_grad)
            link_and_follow_backward(
                links_before(plan, first, b, t, initial, series, saved, scratch),
                written,
                preceding,
                read_before,
                scratch.forward_grad,
                scratch.backward_grad,
                state.link[b],
                written_grad,
                preceding_grad,
                reading_grad,
                scratch.rows,
                scratch.zeros,
            )

        # The write
        pad(vector_at(own, plan, plan.erase), vectors[0])
        pad(vector_at(own, plan, plan.add), vectors[1])
        source = scratch.cleared if plan.deallocation else memory
        erase_and_add_backward(
            source, written, vectors[0], vectors[1], memory_grad, written_grad, vectors[2], vectors[3]
        )
        accumulate(vectors[2], vector_at(own_grad, plan, plan.erase))
        accumulate(vectors[3], vector_at(own_grad, plan, plan.add))
        kept_grad[:] = 0
        if plan.deallocation:
            for v in range(width):
                row, row_grad = memory[v], memory_grad[v]
                for n in range(len(kept)):
                    kept_grad[n] += row[n] * row_grad[n]
                    row_grad[n] *= kept[n]
        match(memory, own, plan, plan.read_heads, found)
        allocated, gate = own[plan.allocation_gate], own[plan.write_gate]
        rest = gate * (one - allocated)
        mean = match_backward(
            memory, own, plan, plan.read_heads, found, rest, written_grad, memory_grad, own_grad, weightings, vectors
        )
        to_allocated = dot(allocation, written_grad)
        own_grad[plan.write_gate] += allocated * to_allocated + (one - allocated) * mean
        own_grad[plan.allocation_gate] += gate * (to_allocated - mean)

        # Usage
        allocation_grad, befores = weightings[0], weightings[1]
        for n in range(len(used)):
            allocation_grad[n] = gate * allocated * written_grad[n]
        if len(upstream.allocation):
            accumulate(upstream.allocation[t, b, 0], allocation_grad)
        sort_slots(used, scratch.order[b], scratch.spare)
        allocate_backward(used, scratch.order[b], allocation_grad, befores, used_grad)
        for n in range(len(used)):
            u, w = used_before[n], written_before[n]
            kept_grad[n] += used_grad[n] * (u + w - u * w)
            through = used_grad[n] * kept[n]
            used_grad[n] = through * (one - w)
            written_grad[n] = through * (one - u)
        if plan.cut_usage_gradient:
            written_grad[:] = 0
        retain_backward(own, plan, read_before, kept_grad, reading_grad, own_grad, weightings[0])
        activate_backward(own, own_grad, plan)


KERNELS = compiled("dnc", forward_scratch, step, backward_scratch, replay, step_backward, buffer=link_buffer)
