"""What a DNC frees and writes in a step, and the memory after it, recomputed."""

from typing import Any

import triton
import triton.language as tl

from ntm_lab.fast.triton.dnc.parameters import number_at, vector_at
from ntm_lab.fast.triton.elementary import load, place_before


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
