"""The controller: LSTM and tanh layers for the rows of a tile, and their gradients."""

from typing import Any

from ntm_lab.fast.numba.compiling import Array, part, section
from ntm_lab.fast.numba.elementary import sigmoid, tanh
from ntm_lab.fast.numba.products import accumulate, add_product, copy, set_dots


@part
def lstm_cell(gates: Array, cell: Array, hidden: Array) -> None:
    """From the sums of the gates input, forget, candidate, output (4 size,), bounded in place, to cell and hidden."""
    size = len(cell)
    for j in range(size):
        i, f = sigmoid(gates[j]), sigmoid(gates[size + j])
        g, o = tanh(gates[2 * size + j]), sigmoid(gates[3 * size + j])
        gates[j], gates[size + j], gates[2 * size + j], gates[3 * size + j] = i, f, g, o
        cell[j] = f * cell[j] + i * g
        hidden[j] = o * tanh(cell[j])


@part
def lstm_cell_backward(
    gates: Array, cell: Array, before: Array, hidden_grad: Array, cell_grad: Array, sums: Array
) -> None:
    """From the gradients of hidden and cell to those of the sums (4 size,) and, in place, of the cell before."""
    size, one = len(cell), cell.dtype.type(1)
    for j in range(size):
        i, f, g, o = gates[j], gates[size + j], gates[2 * size + j], gates[3 * size + j]
        bounded = tanh(cell[j])
        grad = cell_grad[j] + hidden_grad[j] * o * (one - bounded * bounded)
        sums[j] = grad * g * i * (one - i)
        sums[size + j] = grad * before[j] * f * (one - f)
        sums[2 * size + j] = grad * i * (one - g * g)
        sums[3 * size + j] = hidden_grad[j] * bounded * o * (one - o)
        cell_grad[j] = grad * f


@section
def layers_forward(
    plan: Any, first: int, end: int, inputs: Array, weights: Array, state: Any, tape: Any, kept: int
) -> None:
    """One step of all layers for some sequences: inputs (B, I), weights (L, D, G·C); the tape's row is ``kept``."""
    size = plan.size
    for layer in range(plan.layers):
        joined, gates = tape.joined[layer, kept], tape.gates[layer, kept]
        for b in range(first, end):
            row = joined[b]
            if layer:
                at = size
                copy(state.hidden[layer - 1, b], row)
            else:
                at = plan.inputs + plan.reads
                copy(inputs[b], row)
                copy(state.reads[b], row[plan.inputs :])
            if plan.recurrent:
                copy(state.hidden[layer, b], row[at:])
                at += size
            row[at] = 1
            row[at + 1 :] = 0
            gates[b] = 0
        add_product(joined[first:end], weights[layer], gates[first:end], gates.shape[1])
        for b in range(first, end):
            hidden = state.hidden[layer, b]
            if plan.gated:
                lstm_cell(gates[b], state.cell[layer, b], hidden)
                copy(state.cell[layer, b], tape.cells[layer, kept, b])
            else:
                for j in range(size):
                    gates[b, j] = tanh(gates[b, j])
                    hidden[j] = gates[b, j]


@section
def layers_backward(
    plan: Any,
    first: int,
    end: int,
    t: int,
    weights: Array,
    initial: Any,
    tape: Any,
    state: Any,
    inputs: Array,
    scratch: Any,
    rows: int,
    joined: Array,
) -> None:
    """The gradient of `layers_forward` at step t: ``state`` goes from the gradient after the step to that before it.

    ``inputs`` (T, B, I) receives the gradient of the inputs, if it is wanted. What the
    gradients of the weights are made of goes into ``scratch`` from ``rows`` on.
    """
    size, one = plan.size, joined.dtype.type(1)
    for layer in range(plan.layers - 1, -1, -1):
        sums = scratch.sums[layer, rows : rows + end - first]
        for b in range(first, end):
            copy(tape.joined[layer, t, b], scratch.joined[layer, rows + b - first])
            hidden_grad, gates = state.hidden[layer, b], tape.gates[layer, t, b]
            if plan.gated:
                before = tape.cells[layer, t - 1, b] if t else initial.cell[layer, b]
                cell, cell_grad = tape.cells[layer, t, b], state.cell[layer, b]
                lstm_cell_backward(gates, cell, before, hidden_grad, cell_grad, sums[b - first])
            else:
                for j in range(size):
                    sums[b - first, j] = hidden_grad[j] * (one - gates[j] * gates[j])
        below = size if layer else plan.inputs + plan.reads
        stop = below + (size if plan.recurrent else 0)
        set_dots(sums, weights[layer], joined)
        for b in range(first, end):
            row = joined[b - first]
            state.hidden[layer, b] = 0
            copy(row[below:stop], state.hidden[layer, b])
            if layer:
                accumulate(row[:below], state.hidden[layer - 1, b])
            else:
                copy(row[plan.inputs : below], state.reads[b])
                if len(inputs):
                    copy(row[: plan.inputs], inputs[t, b])
