"""The parameters of a DNC's heads: their bounds, and the gradients of these.

``emitted`` and ``bounded`` are the parameters before and after their bounds, ``upstream`` the upstream gradients of the
latter. In the backward pass the gradients of the former are stored at ``emitted``.
"""

from typing import Any

import triton
import triton.language as tl

from ntm_lab.fast.triton.elementary import load, sigmoid, softmax, softplus, softplus_derivative, tanh


def largest_field(plan: Any) -> int:
    """How many numbers the largest field has that is not as wide as the memory."""
    return 3  # the read mode


@triton.jit
def number_at(parameters: "Any", place: "Any", like: "Any") -> "Any":
    return tl.load(parameters + place).to(like.dtype)


@triton.jit
def vector_at(plan: "Any", sizes: "Any", parameters: "Any", start: "Any", like: "Any") -> "Any":
    """The vector (W,) that starts there."""
    column = tl.arange(0, sizes.block_width)
    return load(parameters + start + column, column < plan.width, like)


@triton.jit
def bound_gate(emitted: "Any", bounded: "Any", place: "Any") -> None:
    tl.store(bounded + place, sigmoid(tl.load(emitted + place)))


@triton.jit
def bound_strength(emitted: "Any", bounded: "Any", place: "Any") -> None:
    tl.store(bounded + place, 1 + softplus(tl.load(emitted + place)))


@triton.jit
def bound_vector(
    plan: "Any", sizes: "Any", emitted: "Any", bounded: "Any", start: "Any", gates: tl.constexpr, like: "Any"
) -> None:
    """A vector of gates, or one that is bounded if the plan says so."""
    column = tl.arange(0, sizes.block_width)
    value = vector_at(plan, sizes, emitted, start, like)
    if gates:
        value = sigmoid(value)
    elif plan.bounded:
        value = tanh(value)
    tl.store(bounded + start + column, value, mask=column < plan.width)


@triton.jit
def bound(plan: "Any", sizes: "Any", emitted: "Any", bounded: "Any", like: "Any") -> None:
    """Bound the parameters of all heads."""
    mode = tl.arange(0, sizes.block_field)
    for r in range(plan.read_heads):
        at = r * plan.stride
        bound_vector(plan, sizes, emitted, bounded, at + plan.read_key, False, like)
        bound_strength(emitted, bounded, at + plan.read_strength)
        bound_gate(emitted, bounded, at + plan.free_gate)
        if plan.masking:
            bound_vector(plan, sizes, emitted, bounded, at + plan.read_mask, True, like)
        if plan.links:
            place = at + plan.read_mode + mode
            modes = softmax(load(emitted + place, mode < 3, like), mode < 3)
            tl.store(bounded + place, modes, mask=mode < 3)
        if plan.link_sharpness:
            bound_strength(emitted, bounded, at + plan.backward_sharpness)
            bound_strength(emitted, bounded, at + plan.forward_sharpness)
    bound_vector(plan, sizes, emitted, bounded, plan.write_key, False, like)
    bound_strength(emitted, bounded, plan.write_strength)
    if plan.masking:
        bound_vector(plan, sizes, emitted, bounded, plan.write_mask, True, like)
    bound_gate(emitted, bounded, plan.allocation_gate)
    bound_gate(emitted, bounded, plan.write_gate)
    bound_vector(plan, sizes, emitted, bounded, plan.erase, True, like)
    bound_vector(plan, sizes, emitted, bounded, plan.add, False, like)


@triton.jit
def gate_backward(grad: "Any", bounded: "Any", upstream: "Any", emitted: "Any", place: "Any") -> None:
    gate = number_at(bounded, place, grad)
    grad += number_at(upstream, place, grad)
    tl.store(emitted + place, grad * gate * (1 - gate))


@triton.jit
def strength_backward(grad: "Any", bounded: "Any", upstream: "Any", emitted: "Any", place: "Any") -> None:
    grad += number_at(upstream, place, grad)
    tl.store(emitted + place, grad * softplus_derivative(number_at(bounded, place, grad) - 1))


@triton.jit
def vector_backward(
    plan: "Any",
    sizes: "Any",
    grad: "Any",
    bounded: "Any",
    upstream: "Any",
    emitted: "Any",
    start: "Any",
    gates: tl.constexpr,
) -> None:
    column = tl.arange(0, sizes.block_width)
    value = vector_at(plan, sizes, bounded, start, grad)
    grad += vector_at(plan, sizes, upstream, start, grad)
    if gates:
        grad *= value * (1 - value)
    elif plan.bounded:
        grad *= 1 - value * value
    tl.store(emitted + start + column, grad, mask=column < plan.width)


@triton.jit
def mode_backward(
    backward: "Any", content: "Any", forward: "Any", bounded: "Any", upstream: "Any", emitted: "Any", start: "Any"
) -> None:
    """From the gradients of a read mode's three numbers."""
    first, second = number_at(bounded, start, backward), number_at(bounded, start + 1, backward)
    third = number_at(bounded, start + 2, backward)
    backward += number_at(upstream, start, backward)
    content += number_at(upstream, start + 1, backward)
    forward += number_at(upstream, start + 2, backward)
    mean = first * backward + second * content + third * forward
    tl.store(emitted + start, first * (backward - mean))
    tl.store(emitted + start + 1, second * (content - mean))
    tl.store(emitted + start + 2, third * (forward - mean))
