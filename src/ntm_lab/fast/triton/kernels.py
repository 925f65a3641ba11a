"""The recurrence of an NTM, forward and backward, as two GPU kernels: one program per sequence, which takes all steps.

What they compute is what `ntm_lab.nn.ntm` says, in the arrays that `ntm_lab.fast.sequence` describes, with the
derivatives written by hand. They have run in Triton's interpreter and been compiled for NVIDIA GPUs, but never ran on
one.

The memory stays in registers from the first step to the last. Everything else that a step hands to the next, or one
thread to another, goes through global memory: `State`, `ForwardWork` and `BackwardWork`, one row per sequence, in the
type of the arithmetic. One rule keeps that right: between two barriers no place is both written and read. It holds for
a vector that is replaced element by element too, since several threads hold copies of a short vector, and a slow one
would read what a fast one has already replaced.

T steps, B sequences, L layers of the controller of size C, R read and H write heads, K = R + H, P head parameters, N
slots of width W, S shifts.
"""

from typing import Any, NamedTuple

import triton
import triton.language as tl

from ntm_lab.equations import content, location
from ntm_lab.fast.sequence import Given, Plan, Slopes, State, Tape, Weights

NORM_GUARD = tl.constexpr(content.NORM_GUARD)
LOG_GUARD = tl.constexpr(location.LOG_GUARD)
SOFTPLUS_LINEAR = tl.constexpr(20.0)  # beyond it PyTorch's softplus is the identity
EXP_LIMIT = tl.constexpr(80.0)  # e^80 is finite in float32
TANH_LIMIT = tl.constexpr(20.0)  # where tanh is 1, in float64 as well


class Sizes(NamedTuple):
    """What is fixed when a kernel is compiled, beside the plan. Blocks are powers of two."""

    slots: int  # N
    heads: int  # K
    columns: int  # D, of a layer's weights
    layer_stride: int  # from one row of a layer's weights to the next, a multiple of 16 for wide loads
    head_stride: int  # likewise, of the heads' weights
    parameters: int  # P

    # where they are among a head's parameters, which begin with the key, and how many it has
    strength: int
    gate: int
    shift: int
    sharpness: int
    head: int

    block_slots: int
    block_width: int
    block_shifts: int
    block_rows: int  # of a matrix
    block_columns: int

    given_outputs: bool = False  # whether there is a derivative of the outputs
    given_weightings: bool = False
    wanted_inputs: bool = False  # whether one of the inputs is asked for


class ForwardWork(NamedTuple):
    """Where the threads of a program meet on the way forward."""

    joined: Any  # (B, D), what meets the weights of a layer
    emitted: Any  # (B, P), head parameters before their bounds
    bounded: Any  # (B, P)
    gated: Any  # (B, K, N), weightings before the shift


class BackwardWork(NamedTuple):
    """Where the threads of a program meet on the way back: derivatives, but for the memories."""

    memories: Any  # (B, every, N, W), those that the steps of a stretch began with
    shifted: Any  # (B, K, N), of the weightings after the shift
    emitted: Any  # (B, P), of the head parameters before their bounds
    hidden: Any  # (B, C), of a layer's output, by way of what it fed in the same step
    sums: Any  # (B, G·C), of the sums before a layer's gates


@triton.jit
def load(place: "Any", exists: "Any", like: "Any") -> "Any":
    """Numbers as they are stored, in the type of the arithmetic; 0 where there is none."""
    return tl.load(place, mask=exists, other=0.0).to(like.dtype)


@triton.jit
def store_both(first: "Any", second: "Any", value: "Any", exists: "Any") -> None:
    tl.store(first, value, mask=exists)
    tl.store(second, value, mask=exists)


# Elementary functions. All let NaN through, which tl.minimum and tl.maximum would not.


@triton.jit
def sigmoid(x: "Any") -> "Any":
    return 1 / (1 + tl.exp(tl.where(x < -EXP_LIMIT, EXP_LIMIT, -x)))


@triton.jit
def exp_minus_one(x: "Any") -> "Any":
    """e^x − 1 of −40 ≤ x ≤ 0 without cancellation near 0: the error of e^x is in both of (e^x − 1) / ln e^x."""
    power = tl.exp(x)
    tiny = power == 1
    return tl.where(tiny, x, (power - 1) * x / tl.log(tl.where(tiny, 0.5, power)))


@triton.jit
def tanh(x: "Any") -> "Any":
    size = tl.where(tl.abs(x) > TANH_LIMIT, TANH_LIMIT, tl.abs(x))
    less = exp_minus_one(-2 * size)
    return tl.where(x < 0, less, -less) / (2 + less)


@triton.jit
def softplus(x: "Any") -> "Any":
    """ln(1 + e^x); what is lost where 1 + e^x is rounded is given back as in `exp_minus_one`."""
    linear = x > SOFTPLUS_LINEAR
    power = tl.exp(tl.where(linear, 0.0, tl.where(x < -EXP_LIMIT, -EXP_LIMIT, x)))
    more = 1 + power
    tiny = more == 1
    return tl.where(linear, x, tl.where(tiny, power, tl.log(more) * (power / tl.where(tiny, 1.0, more - 1))))


@triton.jit
def softplus_slope(y: "Any") -> "Any":
    """The derivative of softplus where its value is y."""
    linear = y > SOFTPLUS_LINEAR
    return tl.where(linear, 1.0, -exp_minus_one(tl.where(linear, 0.0, -y)))


@triton.jit
def softmax(x: "Any", exists: "Any") -> "Any":
    """Over the elements that exist; 0 elsewhere."""
    x = tl.where(exists, x, -float("inf"))
    power = tl.exp(x - tl.max(x, 0))
    return power / tl.sum(power, 0)


@triton.jit
def inverse_norm(square: "Any") -> "Any":
    """From a sum of squares; tl.rsqrt is no more than an approximation in float64."""
    return 1 / tl.sqrt(square + NORM_GUARD)


# Products of a matrix and a vector, both in global memory.


@triton.jit
def along_rows(
    matrix: "Any", vector: "Any", row: "Any", exists: "Any", columns: "Any", stride: "Any", block: tl.constexpr
) -> "Any":
    """Σ_c matrix(row, c) vector(c) for some rows."""
    total = tl.zeros((row.shape[0], block), vector.dtype.element_ty)
    for first in range(0, columns, block):
        column = first + tl.arange(0, block)
        inside = column < columns
        weights = load(matrix + row[:, None] * stride + column[None, :], exists[:, None] & inside[None, :], total)
        total += weights * load(vector + column, inside, total)[None, :]
    return tl.sum(total, 1)


@triton.jit
def along_columns(
    matrix: "Any", vector: "Any", column: "Any", exists: "Any", rows: "Any", stride: "Any", block: tl.constexpr
) -> "Any":
    """Σ_r vector(r) matrix(r, column) for some columns."""
    total = tl.zeros((block, column.shape[0]), vector.dtype.element_ty)
    for first in range(0, rows, block):
        row = first + tl.arange(0, block)
        inside = row < rows
        weights = load(matrix + row[:, None] * stride + column[None, :], inside[:, None] & exists[None, :], total)
        total += weights * load(vector + row, inside, total)[:, None]
    return tl.sum(total, 0)


# The controller: one layer, one step.


@triton.jit
def join(plan: Plan, lowest: tl.constexpr, inputs: "Any", below: "Any", own: "Any", column: "Any") -> "Any":
    """Some columns of [inputs | reads | own hidden | 1] or, above the lowest layer, [hidden below | own hidden | 1]."""
    at = plan.inputs + plan.read_heads * plan.width if lowest else plan.size
    if lowest:
        joined = tl.load(below + column - plan.inputs, mask=(column >= plan.inputs) & (column < at), other=0.0)
        joined += load(inputs + column, column < plan.inputs, joined)
    else:
        joined = tl.load(below + column, mask=column < at, other=0.0)
    if plan.recurrent:
        joined += load(own + column - at, (column >= at) & (column < at + plan.size), joined)
        at += plan.size
    return tl.where(column == at, 1.0, joined)


@triton.jit
def layer_forward(
    plan: Plan,
    sizes: Sizes,
    lowest: tl.constexpr,
    layer: "Any",
    b: "Any",
    batch: "Any",
    kept: "Any",
    inputs: "Any",
    weights: Weights,
    state: State,
    tape: Tape,
    work: ForwardWork,
) -> None:
    """``kept`` is the layer's row on the tape, ``inputs`` are those of the step."""
    own = state.hidden + (layer * batch + b) * plan.size
    below = state.reads + b * (plan.read_heads * plan.width) if lowest else own - batch * plan.size
    joined = work.joined + b * sizes.columns
    for first in range(0, sizes.columns, sizes.block_columns):
        column = first + tl.arange(0, sizes.block_columns)
        value = join(plan, lowest, inputs, below, own, column)
        store_both(joined + column, tape.joined + kept * sizes.columns + column, value, column < sizes.columns)
    tl.debug_barrier()

    columns, stride = sizes.columns, sizes.layer_stride
    for first in range(0, plan.size, sizes.block_rows):
        unit = first + tl.arange(0, sizes.block_rows)
        exists = unit < plan.size
        if plan.gated:
            matrix = weights.layers + layer * (4 * plan.size * stride)
            gates, next_gate = tape.gates + kept * (4 * plan.size) + unit, plan.size * stride
            i = sigmoid(along_rows(matrix, joined, unit, exists, columns, stride, sizes.block_columns))
            f = sigmoid(along_rows(matrix + next_gate, joined, unit, exists, columns, stride, sizes.block_columns))
            g = tanh(along_rows(matrix + 2 * next_gate, joined, unit, exists, columns, stride, sizes.block_columns))
            o = sigmoid(along_rows(matrix + 3 * next_gate, joined, unit, exists, columns, stride, sizes.block_columns))
            tl.store(gates, i, mask=exists)
            tl.store(gates + plan.size, f, mask=exists)
            tl.store(gates + 2 * plan.size, g, mask=exists)
            tl.store(gates + 3 * plan.size, o, mask=exists)
            place = state.cell + (layer * batch + b) * plan.size + unit
            cell = f * load(place, exists, f) + i * g
            hidden = o * tanh(cell)
            tl.debug_barrier()
            store_both(place, tape.cells + kept * plan.size + unit, cell, exists)
        else:
            matrix = weights.layers + layer * (plan.size * stride)
            hidden = tanh(along_rows(matrix, joined, unit, exists, columns, stride, sizes.block_columns))
            tl.store(tape.gates + kept * plan.size + unit, hidden, mask=exists)
        tl.store(own + unit, hidden, mask=exists)
    tl.debug_barrier()


@triton.jit
def layer_backward(
    plan: Plan,
    sizes: Sizes,
    lowest: tl.constexpr,
    layer: "Any",
    b: "Any",
    batch: "Any",
    row: "Any",
    steps: "Any",
    weights: Weights,
    initial: State,
    tape: Tape,
    slopes: Slopes,
    state: State,
    work: BackwardWork,
) -> None:
    """``row`` is the step's in (T, B, ·). ``work.hidden`` goes from the layer's output to that of the layer below."""
    gates = 4 * plan.size if plan.gated else plan.size
    own = (layer * batch + b) * plan.size
    kept = layer * steps * batch + row
    for first in range(0, plan.size, sizes.block_rows):
        unit = first + tl.arange(0, sizes.block_rows)
        exists = unit < plan.size
        slope = tl.load(state.hidden + own + unit, mask=exists, other=0.0)
        slope += load(work.hidden + b * plan.size + unit, exists, slope)
        gate = tape.gates + kept * gates + unit
        sums, kept_sums = work.sums + b * gates + unit, slopes.layers + kept * gates + unit
        if plan.gated:
            before = tape.cells + (kept - batch) * plan.size
            if row < batch:  # the first step
                before = initial.cell + own
            cell_before = load(before + unit, exists, slope)
            bounded = tanh(load(tape.cells + kept * plan.size + unit, exists, slope))
            i = load(gate, exists, slope)
            f = load(gate + plan.size, exists, slope)
            g = load(gate + 2 * plan.size, exists, slope)
            o = load(gate + 3 * plan.size, exists, slope)
            place = state.cell + own + unit
            cell = load(place, exists, slope) + slope * o * (1 - bounded * bounded)
            store_both(sums, kept_sums, cell * g * i * (1 - i), exists)
            store_both(sums + plan.size, kept_sums + plan.size, cell * cell_before * f * (1 - f), exists)
            store_both(sums + 2 * plan.size, kept_sums + 2 * plan.size, cell * i * (1 - g * g), exists)
            store_both(sums + 3 * plan.size, kept_sums + 3 * plan.size, slope * bounded * o * (1 - o), exists)
            tl.debug_barrier()
            tl.store(place, cell * f, mask=exists)
        else:
            output = load(gate, exists, slope)
            store_both(sums, kept_sums, slope * (1 - output * output), exists)
    tl.debug_barrier()

    at_below = plan.inputs if lowest else 0
    at_own = at_below + (plan.read_heads * plan.width if lowest else plan.size)
    columns = at_own + (plan.size if plan.recurrent else 0)
    matrix, vector = weights.layers + layer * (gates * sizes.layer_stride), work.sums + b * gates
    below = state.reads + b * (plan.read_heads * plan.width) if lowest else work.hidden + b * plan.size
    for first in range(0 if sizes.wanted_inputs else at_below, columns, sizes.block_columns):
        column = first + tl.arange(0, sizes.block_columns)
        exists = column < columns
        slope = along_columns(matrix, vector, column, exists, gates, sizes.layer_stride, sizes.block_rows)
        tl.store(below + column - at_below, slope, mask=(column >= at_below) & (column < at_own))
        if plan.recurrent:
            tl.store(state.hidden + own + column - at_own, slope, mask=exists & (column >= at_own))
        if lowest and sizes.wanted_inputs:
            tl.store(slopes.inputs + row * plan.inputs + column, slope, mask=column < plan.inputs)
    if not plan.recurrent:
        for first in range(0, plan.size, sizes.block_rows):
            unit = first + tl.arange(0, sizes.block_rows)
            tl.store(state.hidden + own + unit, tl.zeros((sizes.block_rows,), tl.float32), mask=unit < plan.size)
    tl.debug_barrier()


# One head. Its parameters are key (W), strength, gate, shift (S) and sharpness.


@triton.jit
def neighbour(sizes: Sizes, slot: "Any", offset: "Any") -> "Any":
    """The slots at an offset, on the circle."""
    other = slot + offset
    return tl.where(other < 0, other + sizes.slots, tl.where(other < sizes.slots, other, other - sizes.slots))


@triton.jit
def content_weighting(
    plan: Plan, sizes: Sizes, memory: "Any", inverse: "Any", slot: "Any", emitted: "Any", bounded: "Any"
) -> "Any":
    """The gate and the content weighting (N,) of a head, whose parameters are bounded on the way."""
    column, offset = tl.arange(0, sizes.block_width), tl.arange(0, sizes.block_shifts)
    at_width, at_shift = column < plan.width, offset < plan.shifts
    key = load(emitted + column, at_width, memory)
    if plan.bounded:
        key = tanh(key)
    strength = softplus(tl.load(emitted + sizes.strength))
    gate = sigmoid(tl.load(emitted + sizes.gate))
    tl.store(bounded + column, key, mask=at_width)
    tl.store(bounded + sizes.strength, strength)
    tl.store(bounded + sizes.gate, gate)
    shift = softmax(load(emitted + sizes.shift + offset, at_shift, memory), at_shift)
    tl.store(bounded + sizes.shift + offset, shift, mask=at_shift)
    tl.store(bounded + sizes.sharpness, 1 + softplus(tl.load(emitted + sizes.sharpness)))
    direction = key * (strength * inverse_norm(tl.sum(key * key, 0)))
    return gate, softmax(tl.sum(memory * direction[None, :], 1) * inverse, slot < sizes.slots)


@triton.jit
def shift_and_sharpen(plan: Plan, sizes: Sizes, memory: "Any", slot: "Any", bounded: "Any", gated: "Any") -> "Any":
    """From the interpolated weighting of a head to the new one."""
    shifted = tl.full((sizes.block_slots,), LOG_GUARD, memory.dtype)
    for j in range(plan.shifts):
        source = neighbour(sizes, slot, plan.shifts // 2 - j)
        shifted += tl.load(bounded + sizes.shift + j) * load(gated + source, slot < sizes.slots, memory)
    return softmax(tl.load(bounded + sizes.sharpness) * tl.log(shifted), slot < sizes.slots)


@triton.jit
def gated_at(source: "Any", exists: "Any", gate: "Any", content: "Any", previous: "Any") -> "Any":
    """The interpolated weighting of a step on the tape, at some slots."""
    before = load(previous + source, exists, gate)
    return before + gate * (load(content + source, exists, gate) - before)


@triton.jit
def shift_and_sharpen_backward(
    plan: Plan,
    sizes: Sizes,
    slope: "Any",
    slot: "Any",
    bounded: "Any",
    given: "Any",
    weighting: "Any",
    content: "Any",
    previous: "Any",
    emitted: "Any",
    shifted_slope: "Any",
) -> None:
    """From ``slope`` (N,), of the new weighting, to the derivatives of the shifted one, and of shift and sharpness
    before their bounds; ``given`` are those of the bounded parameters that come from above."""
    at_slots, offset = slot < sizes.slots, tl.arange(0, sizes.block_shifts)
    gate = tl.load(bounded + sizes.gate).to(slope.dtype)
    shifted = tl.full((sizes.block_slots,), LOG_GUARD, slope.dtype)
    for j in range(plan.shifts):
        source = neighbour(sizes, slot, plan.shifts // 2 - j)
        shift = tl.load(bounded + sizes.shift + j).to(slope.dtype)
        shifted += shift * gated_at(source, at_slots, gate, content, previous)

    sharpness = tl.load(bounded + sizes.sharpness).to(slope.dtype)
    through = weighting * (slope - tl.sum(weighting * slope, 0))
    sharpness_slope = tl.sum(through * tl.log(shifted), 0) + tl.load(given + sizes.sharpness).to(slope.dtype)
    tl.store(emitted + sizes.sharpness, sharpness_slope * softplus_slope(sharpness - 1))
    slope = sharpness * through / shifted
    tl.store(shifted_slope + slot, slope, mask=at_slots)

    shift_slope = load(given + sizes.shift + offset, offset < plan.shifts, slope)
    for j in range(plan.shifts):
        source = neighbour(sizes, slot, plan.shifts // 2 - j)
        part = tl.sum(slope * gated_at(source, at_slots, gate, content, previous), 0)
        shift_slope += tl.where(offset == j, part, 0.0)
    shifts = load(bounded + sizes.shift + offset, offset < plan.shifts, slope)
    shift_slope = shifts * (shift_slope - tl.sum(shifts * shift_slope, 0))
    tl.store(emitted + sizes.shift + offset, shift_slope, mask=offset < plan.shifts)


@triton.jit
def content_weighting_backward(
    plan: Plan,
    sizes: Sizes,
    memory: "Any",
    memory_slope: "Any",
    inverse: "Any",
    norm_slope: "Any",
    slot: "Any",
    bounded: "Any",
    given: "Any",
    content: "Any",
    previous: "Any",
    emitted: "Any",
    shifted_slope: "Any",
    weighting_slope: "Any",
) -> "Any":
    """From the derivative of the shifted weighting to those of the previous one, and of key, strength and gate before
    their bounds.

    Returns ``memory_slope`` with all added but what comes through the norms, and ``norm_slope`` (N,), which is to be
    multiplied by −memory, with that.
    """
    at_slots, column = slot < sizes.slots, tl.arange(0, sizes.block_width)
    slope = tl.zeros((sizes.block_slots,), memory.dtype)
    for j in range(plan.shifts):
        source = neighbour(sizes, slot, j - plan.shifts // 2)
        slope += tl.load(bounded + sizes.shift + j).to(memory.dtype) * load(shifted_slope + source, at_slots, memory)

    strength = tl.load(bounded + sizes.strength).to(memory.dtype)
    gate = tl.load(bounded + sizes.gate).to(memory.dtype)
    chosen = load(content + slot, at_slots, memory)
    before = load(previous + slot, at_slots, memory)
    gate_slope = tl.sum(slope * (chosen - before), 0) + tl.load(given + sizes.gate).to(memory.dtype)
    tl.store(emitted + sizes.gate, gate_slope * gate * (1 - gate))
    tl.store(weighting_slope + slot, slope * (1 - gate), mask=at_slots)

    key = load(bounded + column, column < plan.width, memory)
    key_inverse = inverse_norm(tl.sum(key * key, 0))
    direction = key * key_inverse
    similarity = tl.sum(memory * direction[None, :], 1) * inverse
    through = gate * chosen * (slope - tl.sum(slope * chosen, 0))
    strength_slope = tl.sum(through * similarity, 0) + tl.load(given + sizes.strength).to(memory.dtype)
    tl.store(emitted + sizes.strength, strength_slope * softplus_slope(strength))
    norm_slope += through * strength * similarity * inverse * inverse
    through *= strength * inverse
    memory_slope += through[:, None] * direction[None, :]
    direction_slope = tl.sum(memory * through[:, None], 0)
    key_slope = key_inverse * (direction_slope - tl.sum(direction_slope * direction, 0) * direction)
    key_slope += load(given + column, column < plan.width, memory)
    if plan.bounded:
        key_slope *= 1 - key * key
    tl.store(emitted + column, key_slope, mask=column < plan.width)
    return memory_slope, norm_slope


# All heads. After the parameters of each come those of each write head: erase (W) and add (W).


@triton.jit
def heads_forward(
    plan: Plan,
    sizes: Sizes,
    memory: "Any",
    b: "Any",
    row: "Any",
    kept: "Any",
    shown: "Any",
    state: State,
    tape: Tape,
    work: ForwardWork,
) -> "Any":
    """Address all heads, read, and return the memory after the write heads. ``row``, ``kept`` and ``shown`` are the
    step's among the outputs, the contents, and the weightings and parameters."""
    slot, column = tl.arange(0, sizes.block_slots), tl.arange(0, sizes.block_width)
    at_slots, at_width = slot < sizes.slots, column < plan.width
    all_slots, reading = sizes.heads * sizes.slots, plan.read_heads * plan.width
    emitted, bounded = work.emitted + b * sizes.parameters, work.bounded + b * sizes.parameters
    weightings, gated = state.weighting + b * all_slots, work.gated + b * all_slots

    inverse = inverse_norm(tl.sum(memory * memory, 1))
    for k in range(sizes.heads):
        own, head = k * sizes.slots + slot, k * sizes.head
        gate, content = content_weighting(plan, sizes, memory, inverse, slot, emitted + head, bounded + head)
        previous = load(weightings + own, at_slots, memory)
        tl.store(gated + own, previous + gate * (content - previous), mask=at_slots)
        tl.store(tape.content + kept * all_slots + own, content, mask=at_slots)
    for h in range(plan.write_heads):
        vectors = sizes.heads * sizes.head + 2 * plan.width * h + column
        tl.store(bounded + vectors, sigmoid(load(emitted + vectors, at_width, memory)), mask=at_width)
        add = load(emitted + vectors + plan.width, at_width, memory)
        if plan.bounded:
            add = tanh(add)
        tl.store(bounded + vectors + plan.width, add, mask=at_width)
    tl.debug_barrier()

    for first in range(0, sizes.parameters, sizes.block_columns):
        number = first + tl.arange(0, sizes.block_columns)
        value = load(bounded + number, number < sizes.parameters, memory)
        tl.store(tape.parameters + shown * sizes.parameters + number, value, mask=number < sizes.parameters)
    added = tl.zeros((sizes.block_slots, sizes.block_width), memory.dtype)
    for k in range(sizes.heads):  # the read heads come first
        own = k * sizes.slots + slot
        weighting = shift_and_sharpen(plan, sizes, memory, slot, bounded + k * sizes.head, gated + k * sizes.slots)
        store_both(weightings + own, tape.weightings + shown * all_slots + own, weighting, at_slots)
        if k < plan.read_heads:
            place = k * plan.width + column
            outputs = tape.outputs + row * (plan.size + reading) + plan.size
            store_both(
                state.reads + b * reading + place, outputs + place, tl.sum(memory * weighting[:, None], 0), at_width
            )
        else:
            vectors = bounded + sizes.heads * sizes.head + 2 * plan.width * (k - plan.read_heads) + column
            memory *= 1 - weighting[:, None] * load(vectors, at_width, memory)[None, :]
            added += weighting[:, None] * load(vectors + plan.width, at_width, memory)[None, :]
    return memory + added  # all erasures come before all additions


@triton.jit
def erased(
    plan: Plan, sizes: Sizes, memory: "Any", but: "Any", slot: "Any", weightings: "Any", vectors: "Any"
) -> "Any":
    """What is left of the memory by all write heads but one (−1: but none) of a step on the tape."""
    column = tl.arange(0, sizes.block_width)
    for h in range(plan.write_heads):
        weighting = load(weightings + h * sizes.slots + slot, slot < sizes.slots, memory)
        erase = load(vectors + 2 * plan.width * h + column, column < plan.width, memory)
        memory *= 1 - tl.where(h == but, 0.0, weighting)[:, None] * erase[None, :]
    return memory


@triton.jit
def added(plan: Plan, sizes: Sizes, memory: "Any", slot: "Any", weightings: "Any", vectors: "Any") -> "Any":
    """The memory with what all write heads of a step on the tape add."""
    column = tl.arange(0, sizes.block_width)
    for h in range(plan.write_heads):
        weighting = load(weightings + h * sizes.slots + slot, slot < sizes.slots, memory)
        add = load(vectors + 2 * plan.width * h + plan.width + column, column < plan.width, memory)
        memory += weighting[:, None] * add[None, :]
    return memory


@triton.jit
def read_slope(
    plan: Plan, sizes: Sizes, memory: "Any", k: "Any", b: "Any", row: "Any", given: Given, state: State
) -> "Any":
    """The derivative of what a head read (W,): from the next step, and from above."""
    column, reading = tl.arange(0, sizes.block_width), plan.read_heads * plan.width
    place = k * plan.width + column
    slope = load(state.reads + b * reading + place, column < plan.width, memory)
    if sizes.given_outputs:
        above = given.outputs + row * (plan.size + reading) + plan.size + place
        slope += load(above, column < plan.width, memory)
    return slope


@triton.jit
def heads_backward(
    plan: Plan,
    sizes: Sizes,
    memory: "Any",
    memory_slope: "Any",
    b: "Any",
    batch: "Any",
    row: "Any",
    initial: State,
    tape: Tape,
    given: Given,
    slopes: Slopes,
    state: State,
    work: BackwardWork,
) -> "Any":
    """The derivative of `heads_forward` on the memory before the step; returns that with respect to this memory."""
    slot, column = tl.arange(0, sizes.block_slots), tl.arange(0, sizes.block_width)
    at_slots, at_width = slot < sizes.slots, column < plan.width
    all_slots, writing = sizes.heads * sizes.slots, sizes.heads * sizes.head
    bounded, emitted = tape.parameters + row * sizes.parameters, work.emitted + b * sizes.parameters
    given_parameters, shifted = slopes.parameters + row * sizes.parameters, work.shifted + b * all_slots
    weightings, content = tape.weightings + row * all_slots, tape.content + row * all_slots
    previous = tape.weightings + (row - batch) * all_slots
    if row < batch:  # the first step
        previous = initial.weighting + b * all_slots
    write_weightings = weightings + plan.read_heads * sizes.slots

    for k in range(sizes.heads):
        own, head = k * sizes.slots, k * sizes.head
        weighting = load(weightings + own + slot, at_slots, memory)
        slope = load(state.weighting + b * all_slots + own + slot, at_slots, memory)
        if sizes.given_weightings:
            slope += load(given.weightings + row * all_slots + own + slot, at_slots, memory)
        if k < plan.read_heads:
            slope += tl.sum(memory * read_slope(plan, sizes, memory, k, b, row, given, state)[None, :], 1)
        else:
            h = k - plan.read_heads
            at_erase = writing + 2 * plan.width * h + column
            at_add = at_erase + plan.width
            erase, add = load(bounded + at_erase, at_width, memory), load(bounded + at_add, at_width, memory)
            left = memory
            if plan.write_heads > 1:
                left = erased(plan, sizes, memory, h, slot, write_weightings, bounded + writing)
            slope += tl.sum(memory_slope * (add[None, :] - left * erase[None, :]), 1)
            erase_slope = load(given_parameters + at_erase, at_width, memory)
            erase_slope -= tl.sum(memory_slope * left * weighting[:, None], 0)
            add_slope = load(given_parameters + at_add, at_width, memory)
            add_slope += tl.sum(memory_slope * weighting[:, None], 0)
            if plan.bounded:
                add_slope *= 1 - add * add
            tl.store(emitted + at_erase, erase_slope * erase * (1 - erase), mask=at_width)
            tl.store(emitted + at_add, add_slope, mask=at_width)
        shift_and_sharpen_backward(
            plan,
            sizes,
            slope,
            slot,
            bounded + head,
            given_parameters + head,
            weighting,
            content + own,
            previous + own,
            emitted + head,
            shifted + own,
        )
    tl.debug_barrier()

    memory_slope = erased(plan, sizes, memory_slope, -1, slot, write_weightings, bounded + writing)
    for k in range(plan.read_heads):
        weighting = load(weightings + k * sizes.slots + slot, at_slots, memory)
        memory_slope += weighting[:, None] * read_slope(plan, sizes, memory, k, b, row, given, state)[None, :]
    inverse = inverse_norm(tl.sum(memory * memory, 1))
    norm_slope = tl.zeros((sizes.block_slots,), memory.dtype)
    for k in range(sizes.heads):
        own, head = k * sizes.slots, k * sizes.head
        memory_slope, norm_slope = content_weighting_backward(
            plan,
            sizes,
            memory,
            memory_slope,
            inverse,
            norm_slope,
            slot,
            bounded + head,
            given_parameters + head,
            content + own,
            previous + own,
            emitted + head,
            shifted + own,
            state.weighting + b * all_slots + own,
        )
    tl.debug_barrier()
    return memory_slope - norm_slope[:, None] * memory


# The two kernels.


@triton.jit(
    do_not_specialize=["batch", "kept_steps", "shown_steps", "snapshots"],
    do_not_specialize_on_alignment=["inputs", "tape"],  # parts of larger buffers: it would change with every T and B
)
def forward(
    plan: Plan,
    sizes: Sizes,
    batch: "Any",
    kept_steps: "Any",
    shown_steps: "Any",
    snapshots: "Any",
    lengths: "Any",
    inputs: "Any",
    weights: Weights,
    state: State,
    tape: Tape,
    work: ForwardWork,
) -> None:
    """``state`` goes from initial to final, ``tape`` is filled; the counts are those of its three kinds of arrays."""
    b = tl.program_id(0).to(tl.int64)  # so that what is computed from it may exceed 32 bits
    slot, column = tl.arange(0, sizes.block_slots), tl.arange(0, sizes.block_width)
    entry, exists = slot[:, None] * plan.width + column[None, :], (slot < sizes.slots)[:, None] & (column < plan.width)
    memory_size = sizes.slots * plan.width
    top = state.hidden + ((plan.layers - 1) * batch + b) * plan.size
    memory = tl.load(state.memory + b * memory_size + entry, mask=exists, other=0.0)

    for t in range(tl.load(lengths + b).to(tl.int32)):
        row = t * batch + b
        kept = tl.minimum(t, kept_steps - 1) * batch + b  # without a way back there is room for one step only
        shown = tl.minimum(t, shown_steps - 1) * batch + b
        stretch = t // plan.every
        if (t == stretch * plan.every) & (stretch < snapshots):
            tl.store(tape.snapshots + (stretch * batch + b) * memory_size + entry, memory, mask=exists)

        present = inputs + row * plan.inputs
        layer_forward(plan, sizes, True, 0, b, batch, kept, present, weights, state, tape, work)
        for layer in range(1, plan.layers):
            above = kept + layer * kept_steps * batch
            layer_forward(plan, sizes, False, layer, b, batch, above, present, weights, state, tape, work)

        for first in range(0, sizes.parameters, sizes.block_rows):
            number = first + tl.arange(0, sizes.block_rows)
            inside = number < sizes.parameters
            value = along_rows(weights.heads, top, number, inside, plan.size, sizes.head_stride, sizes.block_columns)
            value += load(weights.bias + number, inside, memory)
            tl.store(work.emitted + b * sizes.parameters + number, value, mask=inside)
        for first in range(0, plan.size, sizes.block_columns):
            unit = first + tl.arange(0, sizes.block_columns)
            outputs = tape.outputs + row * (plan.size + plan.read_heads * plan.width)
            tl.store(outputs + unit, load(top + unit, unit < plan.size, memory), mask=unit < plan.size)
        tl.debug_barrier()
        memory = heads_forward(plan, sizes, memory, b, row, kept, shown, state, tape, work)
        tl.debug_barrier()
    tl.store(state.memory + b * memory_size + entry, memory, mask=exists)


@triton.jit(
    do_not_specialize=["batch", "steps", "room"],
    do_not_specialize_on_alignment=["initial", "tape", "given", "slopes"],
)
def backward(
    plan: Plan,
    sizes: Sizes,
    batch: "Any",
    steps: "Any",
    room: "Any",
    lengths: "Any",
    weights: Weights,
    initial: State,
    tape: Tape,
    given: Given,
    slopes: Slopes,
    state: State,
    work: BackwardWork,
) -> None:
    """``state`` goes from the derivative of the final state to that of the initial one, ``slopes`` are filled; there is
    ``room`` for so many memories of a stretch."""
    b = tl.program_id(0).to(tl.int64)
    slot, column = tl.arange(0, sizes.block_slots), tl.arange(0, sizes.block_width)
    entry, exists = slot[:, None] * plan.width + column[None, :], (slot < sizes.slots)[:, None] & (column < plan.width)
    memory_size = sizes.slots * plan.width
    memories, emitted = work.memories + b * room * memory_size + entry, work.emitted + b * sizes.parameters
    memory_slope = tl.load(state.memory + b * memory_size + entry, mask=exists, other=0.0)

    length = tl.load(lengths + b).to(tl.int32)
    stretches = (length + plan.every - 1) // plan.every
    for later_stretches in range(stretches):
        stretch = stretches - 1 - later_stretches
        start = stretch * plan.every
        count = tl.minimum(plan.every, length - start)
        # The memories that the steps of this stretch began with, from the one that was kept
        memory = load(tape.snapshots + (stretch * batch + b) * memory_size + entry, exists, memory_slope)
        tl.store(memories, memory, mask=exists)
        for number in range(1, count):
            row = (start + number - 1) * batch + b
            weightings = tape.weightings + (row * sizes.heads + plan.read_heads) * sizes.slots
            vectors = tape.parameters + row * sizes.parameters + sizes.heads * sizes.head
            memory = erased(plan, sizes, memory, -1, slot, weightings, vectors)
            memory = added(plan, sizes, memory, slot, weightings, vectors)
            tl.store(memories + number * memory_size, memory, mask=exists)
        tl.debug_barrier()

        for later_steps in range(count):
            number = count - 1 - later_steps
            row = (start + number) * batch + b
            memory = load(memories + number * memory_size, exists, memory_slope)
            memory_slope = heads_backward(
                plan, sizes, memory, memory_slope, b, batch, row, initial, tape, given, slopes, state, work
            )

            for first in range(0, sizes.parameters, sizes.block_columns):
                parameter = first + tl.arange(0, sizes.block_columns)
                inside = parameter < sizes.parameters
                slope = load(emitted + parameter, inside, memory)
                tl.store(slopes.parameters + row * sizes.parameters + parameter, slope, mask=inside)
            for first in range(0, plan.size, sizes.block_columns):
                unit = first + tl.arange(0, sizes.block_columns)
                inside = unit < plan.size
                stride, parameters = sizes.head_stride, sizes.parameters
                slope = along_columns(weights.heads, emitted, unit, inside, parameters, stride, sizes.block_rows)
                if sizes.given_outputs:
                    above = given.outputs + row * (plan.size + plan.read_heads * plan.width)
                    slope += load(above + unit, inside, memory)
                tl.store(work.hidden + b * plan.size + unit, slope, mask=inside)
            tl.debug_barrier()
            for lower in range(1, plan.layers):
                layer = plan.layers - lower
                layer_backward(
                    plan, sizes, False, layer, b, batch, row, steps, weights, initial, tape, slopes, state, work
                )
            layer_backward(plan, sizes, True, 0, b, batch, row, steps, weights, initial, tape, slopes, state, work)
    tl.store(state.memory + b * memory_size + entry, memory_slope, mask=exists)
