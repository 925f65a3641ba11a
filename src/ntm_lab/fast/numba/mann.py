"""The Memory-Augmented Neural Network's own part: bounds of its heads' parameters, least used slots, and one step.

The parameters (P,) of a sequence are rows (R, P / R), one for each head, whose fields are at the offsets of the plan,
see `ntm_lab.fast.mann.Plan`. N slots of width W; a memory is (V, N).
"""

from typing import Any, NamedTuple

import numpy as np

from ntm_lab.fast.numba.compiling import Array, part, section
from ntm_lab.fast.numba.content import cosines_of, look_up, look_up_backward, scale, scale_backward
from ntm_lab.fast.numba.elementary import sigmoid, softplus, softplus_derivative, tanh
from ntm_lab.fast.numba.memory import add_scaled, weighted_rows
from ntm_lab.fast.numba.products import accumulate, add_product, copy, dot
from ntm_lab.fast.numba.sequence import compiled


@part
def vectors_of(rows: Array, start: int, plan: Any) -> Array:
    """A vector of every head, (R, W)."""
    return rows[:, start : start + plan.width]


@part
def strength_of(row: Array, plan: Any) -> Any:
    return row[plan.strength] if plan.key_strength else row.dtype.type(1)


@part
def activate(rows: Array, plan: Any) -> None:
    """Bound all heads' parameters, in place. All fields but gate and strength are vectors."""
    one = rows.dtype.type(1)
    for r in range(plan.heads):
        row = rows[r]
        gate, strength = sigmoid(row[plan.gate]), one + softplus(row[plan.strength])
        for j in range(plan.stride):
            row[j] = tanh(row[j])
        row[plan.gate] = gate
        if plan.key_strength:
            row[plan.strength] = strength


@part
def activate_backward(rows: Array, gradient: Array, plan: Any) -> None:
    """From the gradient of `activate`'s results to that of its arguments, in place; ``rows`` are the results."""
    one = rows.dtype.type(1)
    for r in range(plan.heads):
        row, grad = rows[r], gradient[r]
        gate_grad = grad[plan.gate] * row[plan.gate] * (one - row[plan.gate])
        strength_grad = grad[plan.strength] * softplus_derivative(row[plan.strength] - one)
        for j in range(plan.stride):
            grad[j] *= one - row[j] * row[j]
        grad[plan.gate] = gate_grad
        if plan.key_strength:
            grad[plan.strength] = strength_grad


@part
def before(used: Any, other: Any) -> bool:
    """Whether a usage comes before another; NaN comes last."""
    return used < other or (used == used and other != other)


@part
def least_used(usage: Array, least: Array, rank: Array) -> None:
    """The least used slots, the least used first; with the same usage the lower index first. Also `Saved.rank` (N,)."""
    count = len(least)
    for n in range(len(usage)):
        used, place = usage[n], min(n, count)
        while place and before(used, usage[least[place - 1]]):
            place -= 1
            if place + 1 < count:
                least[place + 1] = least[place]
        if place < count:
            least[place] = n
    rank[:] = 0
    for j in range(count):
        rank[least[j]] = j + 1


@part
def ranked(rank: Array, least: Array) -> None:
    """The least used slots, from `Saved.rank` (N,)."""
    for n in range(len(rank)):
        if rank[n]:
            least[np.int64(rank[n]) - 1] = n


@part
def address(rows: Array, plan: Any, last: Array, least: Array, weighting: Array) -> None:
    """The write weightings (R, N): back to the last place, or to least used slots."""
    one = rows.dtype.type(1)
    for r in range(plan.heads):
        gate = rows[r, plan.gate]
        for n in range(weighting.shape[1]):
            weighting[r, n] = gate * last[r, n]
        for j in range(plan.heads):
            if j == r or not plan.own_slots:
                weighting[r, least[j]] += one - gate


@part
def address_backward(rows: Array, plan: Any, last: Array, least: Array, grad: Array, rows_grad: Array) -> None:
    """The gradient of `address`, from that of its result, which becomes that of ``last``; adds to the gates'."""
    for r in range(plan.heads):
        gate_grad = dot(grad[r], last[r])
        for j in range(plan.heads):
            if j == r or not plan.own_slots:
                gate_grad -= grad[r, least[j]]
        rows_grad[r, plan.gate] += gate_grad
        for n in range(grad.shape[1]):
            grad[r, n] *= rows[r, plan.gate]


@part
def clear(memory: Array, least: Array) -> None:
    """Set slots to zero, as a product, which keeps a NaN; also the gradient of that."""
    for slot in least:
        for v in range(len(memory)):
            memory[v, slot] *= memory.dtype.type(0)


@part
def late_write(rows: Array, plan: Any, written: Array, memory: Array) -> None:
    """Add to the slots that were written in the step before, in place."""
    if plan.late_write:
        add_product(vectors_of(rows, plan.late, plan).T, written, memory, memory.shape[1])


@part
def write(rows: Array, plan: Any, weighting: Array, least: Array, memory: Array) -> None:
    """Clear the least used slots, then add, in place."""
    clear(memory, least)
    add_product(vectors_of(rows, plan.add, plan).T, weighting, memory, memory.shape[1])


@part
def added_backward(
    memory_grad: Array, vectors: Array, weighting: Array, weighting_grad: Array, vectors_grad: Array, sums: Array
) -> None:
    """The gradient of an addition to the memory; adds to those of vectors (R, W) and weightings (R, N)."""
    add_product(vectors, memory_grad, weighting_grad, weighting.shape[1])
    for r in range(len(vectors)):
        weighted_rows(memory_grad, weighting[r], sums)
        accumulate(sums, vectors_grad[r])


# The step


class ForwardScratch(NamedTuple):
    """Buffers of `step`."""

    keys: Any  # (R, V)
    inverse: Any  # (N,), inverse norms of the slots
    sums: Any  # (V,)
    least: Any  # (R,), indices of slots


class BackwardScratch(NamedTuple):
    """Buffers of `replay` and `step_backward`."""

    outer_vectors: Any  # (2R, V): gradients of the reads, scaled keys; they meet the next in the memory's gradient
    outer_weightings: Any  # (2R, N): read weightings, gradients of the products of scaled keys and slots
    cosine: Any  # (R, N)
    inverse: Any  # (N,), inverse norms of the slots
    norm_grad: Any  # (N,), what comes through them
    sums: Any  # (V,)
    least: Any  # (R,), indices of slots


@section
def forward_scratch(plan: Any, state: Any) -> ForwardScratch:
    _, depth, slots = state.memory.shape
    dtype = state.memory.dtype
    return ForwardScratch(
        np.empty((plan.heads, depth), dtype),
        np.empty(slots, dtype),
        np.empty(depth, dtype),
        np.empty(plan.heads, np.int64),
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
    keys, inverse, sums, least = scratch
    width, decay = plan.width, sums.dtype.type(plan.usage_decay)
    for b in range(first, end):
        memory, usage, rows = state.memory[b], state.usage[b], parameters[b].reshape(plan.heads, plan.stride)
        reading, writing = state.read_weighting[b], state.write_weighting[b]
        activate(rows, plan)
        least_used(usage, least, saved.rank[kept, b])
        late_write(rows, plan, writing, memory)
        address(rows, plan, writing if plan.to_written else reading, least, writing)
        for to_read in (plan.read_first, not plan.read_first):
            if to_read:
                for r in range(plan.heads):
                    scale(vectors_of(rows, plan.key, plan)[r], keys[r])
                cosines_of(memory, keys, inverse, reading)
                for r in range(plan.heads):
                    look_up(reading[r], strength_of(rows[r], plan))
                    weighted_rows(memory, reading[r], sums)
                    copy(sums[:width], reads[b, r * width : (r + 1) * width])
            else:
                write(rows, plan, writing, least, memory)
        for n in range(len(usage)):
            usage[n] *= decay
        for r in range(plan.heads):
            accumulate(reading[r], usage)
            accumulate(writing[r], usage)
        copy(usage, series.usage[shown, b])
        copy(reading.reshape(-1), series.read_weighting[shown, b].reshape(-1))
        copy(writing.reshape(-1), series.write_weighting[shown, b].reshape(-1))


@section
def backward_scratch(plan: Any, state: Any, buffer: Array) -> BackwardScratch:
    _, depth, slots = state.memory.shape
    outer, dtype = 2 * plan.heads, state.memory.dtype
    return BackwardScratch(
        np.zeros((outer, depth), dtype),
        np.empty((outer, slots), dtype),
        np.empty((plan.heads, slots), dtype),
        np.empty(slots, dtype),
        np.empty(slots, dtype),
        np.empty(depth, dtype),
        np.empty(plan.heads, np.int64),
    )


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
    rows = parameters.reshape(plan.heads, plan.stride)
    copy(before.reshape(-1), after.reshape(-1))
    ranked(saved.rank[t, b], scratch.least)
    late_write(rows, plan, series.write_weighting[t - 1, b] if t else initial.write_weighting[b], after)
    write(rows, plan, series.write_weighting[t, b], scratch.least, after)


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
    outer_vectors, outer_weightings, cosine, inverse, norm_grad, sums, least = scratch
    heads, width, decay, one = plan.heads, plan.width, sums.dtype.type(plan.usage_decay), sums.dtype.type(1)
    read_grads, keys, product_grads = outer_vectors[:heads], outer_vectors[heads:], outer_weightings[heads:]
    for b in range(first, end):
        memory, rows = memories[b - first], parameters[b].reshape(heads, plan.stride)
        memory_grad, rows_grad = state.memory[b], parameter_grads[b - first].reshape(heads, plan.stride)
        usage_grad, reading_grad, writing_grad = state.usage[b], state.read_weighting[b], state.write_weighting[b]
        reading, writing = series.read_weighting[t, b], series.write_weighting[t, b]
        read_before = series.read_weighting[t - 1, b] if t else initial.read_weighting[b]
        written_before = series.write_weighting[t - 1, b] if t else initial.write_weighting[b]
        if len(upstream.usage):
            accumulate(upstream.usage[t, b], usage_grad)
        if len(upstream.read_weighting):
            accumulate(upstream.read_weighting[t, b].reshape(-1), reading_grad.reshape(-1))
        if len(upstream.write_weighting):
            accumulate(upstream.write_weighting[t, b].reshape(-1), writing_grad.reshape(-1))
        for r in range(heads):
            accumulate(usage_grad, reading_grad[r])
            accumulate(usage_grad, writing_grad[r])
        for n in range(len(usage_grad)):
            usage_grad[n] *= decay

        # The memory becomes that which was read
        ranked(saved.rank[t, b], least)
        late_write(rows, plan, written_before, memory)
        if not plan.read_first:
            write(rows, plan, writing, least, memory)

        for was_read in (not plan.read_first, plan.read_first):
            if was_read:
                for r in range(heads):
                    copy(reads[b, r * width : (r + 1) * width], read_grads[r])
                    copy(reading[r], outer_weightings[r])
                    scale(vectors_of(rows, plan.key, plan)[r], keys[r])
                add_product(read_grads, memory, reading_grad, len(norm_grad))
                cosines_of(memory, keys, inverse, cosine)
                norm_grad[:] = 0
                for r in range(heads):
                    strength_grad = look_up_backward(
                        reading[r],
                        cosine[r],
                        inverse,
                        strength_of(rows[r], plan),
                        one,
                        dot(reading[r], reading_grad[r]),
                        reading_grad[r],
                        product_grads[r],
                        norm_grad,
                    )
                    if plan.key_strength:
                        rows_grad[r, plan.strength] += strength_grad
                add_product(outer_vectors.T, outer_weightings, memory_grad, len(norm_grad))
                add_scaled(memory, norm_grad, memory_grad)
                for r in range(heads):
                    weighted_rows(memory, product_grads[r], sums)
                    key, key_grad = vectors_of(rows, plan.key, plan)[r], vectors_of(rows_grad, plan.key, plan)[r]
                    scale_backward(key, keys[r], sums, key_grad)
            else:
                added, added_grad = vectors_of(rows, plan.add, plan), vectors_of(rows_grad, plan.add, plan)
                added_backward(memory_grad, added, writing, writing_grad, added_grad, sums)
                clear(memory_grad, least)

        reading_grad[:] = 0
        if plan.to_written:
            address_backward(rows, plan, written_before, least, writing_grad, rows_grad)
        else:
            address_backward(rows, plan, read_before, least, writing_grad, rows_grad)
            for r in range(heads):
                copy(writing_grad[r], reading_grad[r])
            writing_grad[:] = 0
        if plan.late_write:
            late, late_grad = vectors_of(rows, plan.late, plan), vectors_of(rows_grad, plan.late, plan)
            added_backward(memory_grad, late, written_before, writing_grad, late_grad, sums)
        activate_backward(rows, rows_grad, plan)


KERNELS = compiled("mann", forward_scratch, step, backward_scratch, replay, step_backward)
