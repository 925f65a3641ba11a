"""The gradient of one step of a DNC."""

from typing import Any, NamedTuple

import numpy as np

from ntm_lab.fast.dnc import link_spacing
from ntm_lab.fast.numba.compiling import Array, part, section
from ntm_lab.fast.numba.dnc.matching import Matched, match, match_backward, matched
from ntm_lab.fast.numba.dnc.parameters import activate_backward, mode_of, vector_at
from ntm_lab.fast.numba.dnc.writing import retain_backward, rewrite
from ntm_lab.fast.numba.linkage import link, link_and_follow_backward, precede_backward, sharpen, sharpen_backward
from ntm_lab.fast.numba.memory import add_outer, add_rows, erase_and_add_backward, pad
from ntm_lab.fast.numba.products import accumulate, copy, dot
from ntm_lab.fast.numba.usage import allocate_backward, orders, sort_slots


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
