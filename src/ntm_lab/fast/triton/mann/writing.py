"""Least used slots and writing to them, its gradient, and the memory after a step, recomputed."""

from typing import Any

import triton
import triton.language as tl

from ntm_lab.fast.triton.elementary import load, place_before
from ntm_lab.fast.triton.mann.parameters import store_vector_grad, vector_of


@triton.jit
def rank_of(plan: "Any", sizes: "Any", usage: "Any", slot: "Any", exists: "Any") -> "Any":
    """`ntm_lab.fast.mann.Saved.rank` (N,). NaN comes last."""
    usage = tl.where(usage != usage, float("inf"), usage)
    rank = tl.zeros((sizes.block_slots,), usage.dtype)
    for j in range(plan.heads):
        left = exists & (rank == 0)
        least = tl.min(tl.where(left, usage, float("inf")), 0)
        first = tl.min(tl.where(left & (usage == least), slot, sizes.block_slots), 0)
        rank = tl.where(slot == first, j + 1, rank)
    return rank


@triton.jit
def target(plan: "Any", rank: "Any", r: "Any") -> "Any":
    """The least used slots that a head may write to, as 0 and 1 (N,)."""
    if plan.own_slots:
        return tl.where(rank == r + 1, 1.0, 0.0).to(rank.dtype)
    return tl.where(rank > 0, 1.0, 0.0).to(rank.dtype)


@triton.jit
def added(
    plan: "Any", sizes: "Any", memory: "Any", slot: "Any", weightings: "Any", parameters: "Any", field: tl.constexpr
) -> "Any":
    """The memory with what all heads add: a vector of each, by its weighting."""
    for r in range(plan.heads):
        weighting = load(weightings + r * sizes.slots + slot, slot < sizes.slots, memory)
        memory += weighting[:, None] * vector_of(plan, sizes, parameters, field, r, memory)[None, :]
    return memory


@triton.jit
def late_written(plan: "Any", sizes: "Any", memory: "Any", slot: "Any", weightings: "Any", parameters: "Any") -> "Any":
    """The memory after the late write, by the write weightings of the step before."""
    if plan.late_write:
        memory = added(plan, sizes, memory, slot, weightings, parameters, plan.late)
    return memory


@triton.jit
def written(
    plan: "Any", sizes: "Any", memory: "Any", slot: "Any", rank: "Any", weightings: "Any", parameters: "Any"
) -> "Any":
    """The memory after the write: least used slots are cleared, as a product, which keeps a NaN."""
    memory *= tl.where(rank == 0, 1.0, 0.0).to(memory.dtype)[:, None]
    return added(plan, sizes, memory, slot, weightings, parameters, plan.add)


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
    slot = tl.arange(0, sizes.block_slots)
    parameters, all_slots = tape.parameters + row * sizes.parameters, plan.heads * sizes.slots
    rank = load(tape.saved.rank + row * sizes.slots + slot, slot < sizes.slots, memory)
    series = tape.series.write_weighting
    before = place_before(series, initial.access.write_weighting, b, batch, row, all_slots)
    memory = late_written(plan, sizes, memory, slot, before, parameters)
    return written(plan, sizes, memory, slot, rank, series + row * all_slots, parameters)


@triton.jit
def write_backward(
    plan: "Any",
    sizes: "Any",
    memory_grad: "Any",
    slot: "Any",
    rank: "Any",
    weightings: "Any",
    last: "Any",
    weighting_grads: "Any",
    series_grads: "Any",
    usage_grad: "Any",
    bounded: "Any",
    upstream: "Any",
    emitted: "Any",
    last_grads: "Any",
    first: tl.constexpr,
) -> "Any":
    """The gradient of addressing and `written`: returns that of the memory before, stores those of ``last``."""
    at_slots, column = slot < sizes.slots, tl.arange(0, sizes.block_width)
    for r in range(plan.heads):
        own, place = r * sizes.slots + slot, r * plan.stride + plan.add + column
        weighting = load(weightings + own, at_slots, memory_grad)
        vector = vector_of(plan, sizes, bounded, plan.add, r, memory_grad)
        grad = usage_grad + load(weighting_grads + own, at_slots, memory_grad)
        if sizes.upstream_series:
            grad += load(series_grads + own, at_slots, memory_grad)
        grad += tl.sum(memory_grad * vector[None, :], 1)
        vector_grad = tl.sum(memory_grad * weighting[:, None], 0)
        store_vector_grad(
            plan,
            vector_grad,
            place,
            column < plan.width,
            bounded,
            upstream,
            emitted,
            first or plan.add != plan.key,
            not first or plan.add != plan.key,
        )
        gate = tl.load(bounded + r * plan.stride + plan.gate).to(memory_grad.dtype)
        gate_grad = tl.sum(grad * (load(last + own, at_slots, memory_grad) - target(plan, rank, r)), 0)
        gate_grad += tl.load(upstream + r * plan.stride + plan.gate).to(memory_grad.dtype)
        tl.store(emitted + r * plan.stride + plan.gate, gate_grad * gate * (1 - gate))
        tl.store(last_grads + own, gate * grad, mask=at_slots)
    return memory_grad * tl.where(rank == 0, 1.0, 0.0).to(memory_grad.dtype)[:, None]
