"""What a DNC frees and writes in a step, and the memory after it, recomputed."""

from typing import Any

from ntm_lab.fast.numba.compiling import Array, part, section
from ntm_lab.fast.numba.dnc.parameters import vector_at
from ntm_lab.fast.numba.memory import erase_and_add, pad
from ntm_lab.fast.numba.products import copy, dot


@part
def retain(parameters: Array, plan: Any, reading: Array, left_out: int, kept: Array) -> None:
    """Multiply by the share of each slot (N,) that the free gates of all heads but one (−1: none) keep."""
    one = kept.dtype.type(1)
    for r in range(plan.read_heads):
        if r != left_out:
            free, weighting = parameters[plan.free_gate + r * plan.stride], reading[r]
            for n in range(len(kept)):
                kept[n] *= one - free * weighting[n]


@part
def retain_backward(
    parameters: Array, plan: Any, reading: Array, grad: Array, reading_grad: Array, parameter_grad: Array, rest: Array
) -> None:
    """The gradient of `retain` of all heads on 1; adds to those of the read weightings and the free gates."""
    for r in range(plan.read_heads):
        gate = plan.free_gate + r * plan.stride
        copy(grad, rest)
        retain(parameters, plan, reading, r, rest)
        weighting, weighting_grad, free = reading[r], reading_grad[r], parameters[gate]
        for n in range(len(rest)):
            weighting_grad[n] -= free * rest[n]
        parameter_grad[gate] -= dot(weighting, rest)


@part
def clear(before: Array, kept: Array, memory: Array) -> None:
    """memory(v, n) = kept(n) before(v, n)."""
    for v in range(len(memory)):
        row, source = memory[v], before[v]
        for n in range(len(kept)):
            row[n] = kept[n] * source[n]


@part
def rewrite(
    before: Array, parameters: Array, plan: Any, reading: Array, written: Array, after: Array, scratch: Any
) -> None:
    """The memory after a write from that before it and the read weightings before; `kept` and `cleared` are set."""
    kept, vectors = scratch.kept, scratch.vectors
    kept[:] = 1
    retain(parameters, plan, reading, -1, kept)
    source = before
    if plan.deallocation:
        clear(before, kept, scratch.cleared)
        source = scratch.cleared
    pad(vector_at(parameters, plan, plan.erase), vectors[0])
    pad(vector_at(parameters, plan, plan.add), vectors[1])
    erase_and_add(source, written, vectors[0], vectors[1], after)


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
    scratch: Any,
) -> None:
    reading = series.read_weighting[t - 1, b] if t else initial.read_weighting[b]
    rewrite(before, parameters, plan, reading, series.write_weighting[t, b, 0], after, scratch)
