"""Which slots may be written to: `ntm_lab.equations.usage`, and its gradient. N slots."""

from typing import Any

import numpy as np

from ntm_lab.equations.usage import ALLOCATION_GUARD
from ntm_lab.fast.numba.compiling import Array, part
from ntm_lab.fast.numba.products import copy

RUN = 16  # slots that are sorted by insertion


@part
def precedes(used: Array, i: int, j: int) -> bool:
    """Whether slot i comes before slot j: by usage, then by index, NaN last."""
    a, b = used[i], used[j]
    if a < b or a > b:
        return a < b
    if a != a or b != b:
        return (b != b and a == a) or (a != a and b != b and i < j)
    return i < j


@part
def orders(batch: int, slots: int) -> Array:
    """Every slot once, for each sequence."""
    order = np.empty((batch, slots), np.int32)
    for b in range(batch):
        for n in range(slots):
            order[b, n] = n
    return order


@part
def sort_slots(used: Array, order: Array, spare: Array) -> None:
    """Sort ``order`` (N,), in which every slot stands once, by usage; quick where it is nearly sorted.

    The order is that of a stable sort, from any order that it begins with.
    """
    slots = len(order)
    for start in range(0, slots, RUN):
        for k in range(start + 1, min(start + RUN, slots)):
            slot, place = order[k], k
            while place > start and precedes(used, slot, order[place - 1]):
                order[place] = order[place - 1]
                place -= 1
            order[place] = slot
    size = RUN
    while size < slots:
        for start in range(0, slots - size, 2 * size):
            middle, end = start + size, min(start + 2 * size, slots)
            if precedes(used, order[middle], order[middle - 1]):  # merge
                copy(order[start:middle], spare)
                left, right, place = 0, middle, start
                while left < size:
                    if right < end and precedes(used, order[right], spare[left]):
                        order[place] = order[right]
                        right += 1
                    else:
                        order[place] = spare[left]
                        left += 1
                    place += 1
        size *= 2


@part
def guarded(used: Any) -> Any:
    guard = type(used)(ALLOCATION_GUARD)
    return guard + (type(used)(1) - guard) * used


@part
def allocate(used: Array, order: Array, allocation: Array) -> None:
    """The allocation (N,), from the slots in the order of their usage."""
    one = used.dtype.type(1)
    before = one
    for slot in order:
        share = guarded(used[slot])
        allocation[slot] = (one - share) * before
        before *= share


@part
def allocate_backward(used: Array, order: Array, grad: Array, befores: Array, used_grad: Array) -> None:
    """The gradient of `allocate`, from that of its result (N,); adds to that of the usage."""
    one = used.dtype.type(1)
    scale = one - used.dtype.type(ALLOCATION_GUARD)
    before = one
    for k in range(len(order)):
        befores[k] = before
        before *= guarded(used[order[k]])
    later = used.dtype.type(0)
    for k in range(len(order) - 1, -1, -1):
        slot = order[k]
        share = guarded(used[slot])
        used_grad[slot] += scale * befores[k] * (later - grad[slot])
        later = grad[slot] * (one - share) + share * later
