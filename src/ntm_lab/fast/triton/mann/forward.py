"""One step of a MANN."""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl

from ntm_lab.fast.triton.content import look_up
from ntm_lab.fast.triton.elementary import copy, inverse_norm, load, store_both
from ntm_lab.fast.triton.mann.parameters import bound, strength_of, vector_of
from ntm_lab.fast.triton.mann.writing import late_written, rank_of, target, written


class ForwardWork(NamedTuple):
    """Where the threads of a program meet on the way forward."""

    weighting: Any  # (B, R, N), new write weightings


def forward_work(plan: Any, state: Any, tape: Any) -> ForwardWork:
    return ForwardWork(torch.empty_like(state.write_weighting))


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

    copy(bounded, tape.parameters + shown * sizes.parameters, sizes.parameters, sizes.block_columns, memory)
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
