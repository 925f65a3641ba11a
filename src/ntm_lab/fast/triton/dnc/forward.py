"""One step of a DNC."""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl

from ntm_lab.fast.dnc import link_spacing
from ntm_lab.fast.triton.dnc.matching import match
from ntm_lab.fast.triton.dnc.parameters import bound, number_at
from ntm_lab.fast.triton.dnc.writing import cleared, retain, written_to
from ntm_lab.fast.triton.elementary import copy, load, store_both
from ntm_lab.fast.triton.linkage import copy_links, follow, link, sharpen
from ntm_lab.fast.triton.usage import allocate, guarded


class ForwardWork(NamedTuple):
    """Where the threads of a program meet on the way forward."""

    by_slot: Any  # (B, N), shares of usage and their products
    by_rank: Any  # (B, N)
    forward: Any  # (B, R, N), forward weightings
    backward: Any  # (B, R, N), backward weightings
    spacing: Any  # (1,), steps between two links that are saved; 0 if none are


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

    copy(bounded, tape.parameters + shown * sizes.parameters, sizes.parameters, sizes.block_columns, memory)
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
