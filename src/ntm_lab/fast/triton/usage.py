"""Which slots a DNC may write to: `ntm_lab.equations.usage`, and its gradient. N slots.

Slots are ordered by counting: a slot's rank is the number of slots that come before it.
"""

from typing import Any

import triton
import triton.language as tl

from ntm_lab.equations import usage
from ntm_lab.fast.triton.elementary import load

ALLOCATION_GUARD = tl.constexpr(usage.ALLOCATION_GUARD)


@triton.jit
def guarded(used: "Any") -> "Any":
    return ALLOCATION_GUARD + (1 - ALLOCATION_GUARD) * used


@triton.jit
def rank_of(sizes: "Any", value: "Any", values: "Any", slot: "Any") -> "Any":
    """The place of every slot in a stable sort of ``value`` (N,), which is stored at ``values`` as well."""
    rank = tl.zeros((sizes.block_slots,), tl.int32)
    for first in range(0, sizes.slots, sizes.block_links):
        other = first + tl.arange(0, sizes.block_links)
        exists = other < sizes.slots
        theirs = load(values + other, exists, value)[:, None]
        earlier = (theirs < value[None, :]) | ((theirs == value[None, :]) & (other[:, None] < slot[None, :]))
        rank += tl.sum((earlier & exists[:, None]).to(tl.int32), 0)
    return rank


@triton.jit
def allocate(sizes: "Any", share: "Any", slot: "Any", by_slot: "Any", by_rank: "Any") -> "Any":
    """The rank of every slot by its share (N,), its guarded usage, and the product of all shares before it.

    The allocation is 1 − share times this product. NaN comes last. ``by_slot`` and ``by_rank`` are buffers (N,).
    """
    exists = slot < sizes.slots
    value = tl.where(share != share, float("inf"), share)
    tl.store(by_slot + slot, value, mask=exists)
    tl.debug_barrier()
    rank = rank_of(sizes, value, by_slot, slot)
    tl.store(by_rank + rank, share, mask=exists)
    tl.debug_barrier()
    previous = tl.load(by_rank + slot - 1, mask=exists & (slot > 0), other=1.0)
    tl.store(by_slot + slot, tl.cumprod(previous, 0), mask=exists)
    tl.debug_barrier()
    return rank, load(by_slot + rank, exists, share)


@triton.jit
def allocate_backward(
    sizes: "Any",
    share: "Any",
    rank: "Any",
    before: "Any",
    grad: "Any",
    slot: "Any",
    by_slot: "Any",
    by_rank: "Any",
) -> "Any":
    """From the gradient of the allocation (N,) to that of the usage. A share is in the allocation of all later slots as
    a factor, and is at least the guard."""
    exists = slot < sizes.slots
    tl.store(by_rank + rank, grad * (1 - share) * before, mask=exists)
    tl.debug_barrier()
    following = load(by_rank + slot + 1, slot + 1 < sizes.slots, share)
    tl.store(by_slot + slot, tl.cumsum(following, 0, reverse=True), mask=exists)
    tl.debug_barrier()
    later = load(by_slot + rank, exists, share)
    return (1 - ALLOCATION_GUARD) * (later / share - before * grad)
