"""One step of a DNC."""

from typing import Any, NamedTuple

import numpy as np

from ntm_lab.fast.dnc import link_spacing
from ntm_lab.fast.numba.compiling import Array, part, section
from ntm_lab.fast.numba.dnc.matching import Matched, match, matched
from ntm_lab.fast.numba.dnc.parameters import activate, mode_of, vector_at
from ntm_lab.fast.numba.dnc.writing import clear, retain
from ntm_lab.fast.numba.linkage import link_and_follow, precede, sharpen
from ntm_lab.fast.numba.memory import erase_and_add, pad, weighted_rows
from ntm_lab.fast.numba.products import copy
from ntm_lab.fast.numba.usage import allocate, orders, sort_slots

spacing_of = part(link_spacing)


class ForwardScratch(NamedTuple):
    """Buffers of `step`."""

    order: Any  # (B, N), slots by their usage
    spare: Any  # (N,), of such
    found: Matched
    kept: Any  # (N,), the share that is not freed
    weightings: Any  # (2, N)
    zeros: Any  # (N,)
    vectors: Any  # (2, V)


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
