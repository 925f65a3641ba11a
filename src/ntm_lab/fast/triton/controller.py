"""The controller: one layer, one step."""

from typing import Any

import triton
import triton.language as tl

from ntm_lab.fast.triton.elementary import load, sigmoid, store_both, tanh
from ntm_lab.fast.triton.products import along_columns, along_rows


@triton.jit
def join(plan: "Any", lowest: tl.constexpr, inputs: "Any", below: "Any", own: "Any", column: "Any") -> "Any":
    """Some columns of [inputs | reads | own hidden | 1] or, above the lowest layer, [hidden below | own hidden | 1]."""
    at = plan.inputs + plan.reads if lowest else plan.size
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
    plan: "Any",
    sizes: "Any",
    lowest: tl.constexpr,
    layer: "Any",
    b: "Any",
    batch: "Any",
    kept: "Any",
    inputs: "Any",
    weights: "Any",
    state: "Any",
    tape: "Any",
    work: "Any",
) -> None:
    """``kept`` is the layer's row on the tape, ``inputs`` are those of the step."""
    own = state.hidden + (layer * batch + b) * plan.size
    below = state.reads + b * plan.reads if lowest else own - batch * plan.size
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
    plan: "Any",
    sizes: "Any",
    lowest: tl.constexpr,
    layer: "Any",
    b: "Any",
    batch: "Any",
    row: "Any",
    steps: "Any",
    weights: "Any",
    initial: "Any",
    tape: "Any",
    grads: "Any",
    state: "Any",
    work: "Any",
) -> None:
    """``row`` is the step's in (T, B, ·). ``work.hidden`` goes from the layer's output to that of the layer below."""
    gates = 4 * plan.size if plan.gated else plan.size
    own = (layer * batch + b) * plan.size
    kept = layer * steps * batch + row
    for first in range(0, plan.size, sizes.block_rows):
        unit = first + tl.arange(0, sizes.block_rows)
        exists = unit < plan.size
        grad = tl.load(state.hidden + own + unit, mask=exists, other=0.0)
        grad += load(work.hidden + b * plan.size + unit, exists, grad)
        gate = tape.gates + kept * gates + unit
        sums, kept_sums = work.sums + b * gates + unit, grads.layers + kept * gates + unit
        if plan.gated:
            before = tape.cells + (kept - batch) * plan.size
            if row < batch:  # the first step
                before = initial.cell + own
            cell_before = load(before + unit, exists, grad)
            bounded = tanh(load(tape.cells + kept * plan.size + unit, exists, grad))
            i = load(gate, exists, grad)
            f = load(gate + plan.size, exists, grad)
            g = load(gate + 2 * plan.size, exists, grad)
            o = load(gate + 3 * plan.size, exists, grad)
            place = state.cell + own + unit
            cell = load(place, exists, grad) + grad * o * (1 - bounded * bounded)
            store_both(sums, kept_sums, cell * g * i * (1 - i), exists)
            store_both(sums + plan.size, kept_sums + plan.size, cell * cell_before * f * (1 - f), exists)
            store_both(sums + 2 * plan.size, kept_sums + 2 * plan.size, cell * i * (1 - g * g), exists)
            store_both(sums + 3 * plan.size, kept_sums + 3 * plan.size, grad * bounded * o * (1 - o), exists)
            tl.debug_barrier()
            tl.store(place, cell * f, mask=exists)
        else:
            output = load(gate, exists, grad)
            store_both(sums, kept_sums, grad * (1 - output * output), exists)
    tl.debug_barrier()

    at_below = plan.inputs if lowest else 0
    at_own = at_below + (plan.reads if lowest else plan.size)
    columns = at_own + (plan.size if plan.recurrent else 0)
    matrix, vector = weights.layers + layer * (gates * sizes.layer_stride), work.sums + b * gates
    below = state.reads + b * plan.reads if lowest else work.hidden + b * plan.size
    for first in range(0 if sizes.wanted_inputs else at_below, columns, sizes.block_columns):
        column = first + tl.arange(0, sizes.block_columns)
        exists = column < columns
        grad = along_columns(matrix, vector, column, exists, gates, sizes.layer_stride, sizes.block_rows)
        tl.store(below + column - at_below, grad, mask=(column >= at_below) & (column < at_own))
        if plan.recurrent:
            tl.store(state.hidden + own + column - at_own, grad, mask=exists & (column >= at_own))
        if lowest and sizes.wanted_inputs:
            tl.store(grads.inputs + row * plan.inputs + column, grad, mask=column < plan.inputs)
    if not plan.recurrent:
        for first in range(0, plan.size, sizes.block_rows):
            unit = first + tl.arange(0, sizes.block_rows)
            tl.store(state.hidden + own + unit, tl.zeros((sizes.block_rows,), tl.float32), mask=unit < plan.size)
    tl.debug_barrier()
