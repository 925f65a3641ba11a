"""The parameters of a MANN's heads: their bounds, and the gradients of these."""

from typing import Any

import triton
import triton.language as tl

from ntm_lab.fast.triton.elementary import load, sigmoid, softplus, tanh


def largest_field(plan: Any) -> int:
    """How many numbers the largest field has that is not as wide as the memory."""
    return 1


@triton.jit
def bound_vector(emitted: "Any", bounded: "Any", place: "Any", exists: "Any", memory: "Any") -> None:
    tl.store(bounded + place, tanh(load(emitted + place, exists, memory)), mask=exists)


@triton.jit
def bound(plan: "Any", sizes: "Any", memory: "Any", emitted: "Any", bounded: "Any") -> None:
    """Bound the parameters of all heads."""
    column = tl.arange(0, sizes.block_width)
    for r in range(plan.heads):
        head = r * plan.stride
        bound_vector(emitted, bounded, head + plan.key + column, column < plan.width, memory)
        if plan.add != plan.key:
            bound_vector(emitted, bounded, head + plan.add + column, column < plan.width, memory)
        if plan.late_write:
            bound_vector(emitted, bounded, head + plan.late + column, column < plan.width, memory)
        if plan.key_strength:
            tl.store(bounded + head + plan.strength, 1 + softplus(tl.load(emitted + head + plan.strength)))
        tl.store(bounded + head + plan.gate, sigmoid(tl.load(emitted + head + plan.gate)))


@triton.jit
def vector_of(plan: "Any", sizes: "Any", parameters: "Any", field: tl.constexpr, r: "Any", memory: "Any") -> "Any":
    """A vector (W,) of a head."""
    column = tl.arange(0, sizes.block_width)
    return load(parameters + r * plan.stride + field + column, column < plan.width, memory)


@triton.jit
def strength_of(plan: "Any", parameters: "Any", r: "Any", memory: "Any") -> "Any":
    if plan.key_strength:
        return tl.load(parameters + r * plan.stride + plan.strength).to(memory.dtype)
    return tl.full((), 1.0, memory.dtype)


@triton.jit
def store_vector_grad(
    plan: "Any",
    grad: "Any",
    place: "Any",
    exists: "Any",
    bounded: "Any",
    upstream: "Any",
    emitted: "Any",
    first: tl.constexpr,
    last: tl.constexpr,
) -> None:
    """The gradient of a vector before its bound. Of two parts of a step that use the same vector, the ``first`` leaves
    what it has to the ``last``."""
    if first:
        grad += load(upstream + place, exists, grad)
    else:
        grad += load(emitted + place, exists, grad)
    if last:
        vector = load(bounded + place, exists, grad)
        grad *= 1 - vector * vector
    tl.store(emitted + place, grad, mask=exists)
