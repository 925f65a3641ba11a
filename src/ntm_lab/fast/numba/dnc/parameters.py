"""The parameters of a DNC's heads: where each field is, the bounds, and their gradients."""

from typing import Any

from ntm_lab.fast.numba.compiling import Array, part
from ntm_lab.fast.numba.elementary import (
    open_gates,
    open_gates_backward,
    sigmoid,
    soften,
    soften_backward,
    softplus,
    softplus_derivative,
    squash,
    squash_backward,
)


@part
def vector_at(parameters: Array, plan: Any, start: int) -> Array:
    """The vector (W,) that starts there."""
    return parameters[start : start + plan.width]


@part
def place(plan: Any, k: int, read: int, write: int) -> int:
    """Where a field of head k starts, from that of the first read head and that of the write head."""
    return read + k * plan.stride if k < plan.read_heads else write


@part
def key_of(parameters: Array, plan: Any, k: int) -> Array:
    """The key (W,) of head k."""
    return vector_at(parameters, plan, place(plan, k, plan.read_key, plan.write_key))


@part
def mask_of(parameters: Array, plan: Any, k: int) -> Array:
    """The mask (W,) of head k, as it is emitted."""
    return vector_at(parameters, plan, place(plan, k, plan.read_mask, plan.write_mask))


@part
def mode_of(parameters: Array, plan: Any, r: int) -> Array:
    """The read mode (3,): backward, content, forward."""
    start = plan.read_mode + r * plan.stride
    return parameters[start : start + 3]


@part
def activate(parameters: Array, plan: Any) -> None:
    """Bound all heads' parameters (P,), in place."""
    one = parameters.dtype.type(1)
    for k in range(plan.read_heads + 1):
        squash(key_of(parameters, plan, k), plan.bounded)
        strength = place(plan, k, plan.read_strength, plan.write_strength)
        parameters[strength] = one + softplus(parameters[strength])
        if plan.masking:
            open_gates(mask_of(parameters, plan, k))
    for r in range(plan.read_heads):
        at = r * plan.stride
        parameters[at + plan.free_gate] = sigmoid(parameters[at + plan.free_gate])
        if plan.links:
            soften(mode_of(parameters, plan, r))
        if plan.link_sharpness:
            for sharpness in (plan.backward_sharpness, plan.forward_sharpness):
                parameters[at + sharpness] = one + softplus(parameters[at + sharpness])
    parameters[plan.allocation_gate] = sigmoid(parameters[plan.allocation_gate])
    parameters[plan.write_gate] = sigmoid(parameters[plan.write_gate])
    open_gates(vector_at(parameters, plan, plan.erase))
    squash(vector_at(parameters, plan, plan.add), plan.bounded)


@part
def activate_backward(parameters: Array, gradient: Array, plan: Any) -> None:
    """From the gradient of `activate`'s results to that of its arguments, in place; parameters are the results."""
    one = parameters.dtype.type(1)
    for k in range(plan.read_heads + 1):
        squash_backward(key_of(parameters, plan, k), key_of(gradient, plan, k), plan.bounded)
        strength = place(plan, k, plan.read_strength, plan.write_strength)
        gradient[strength] *= softplus_derivative(parameters[strength] - one)
        if plan.masking:
            open_gates_backward(mask_of(parameters, plan, k), mask_of(gradient, plan, k))
    for r in range(plan.read_heads):
        at = r * plan.stride
        gate = parameters[at + plan.free_gate]
        gradient[at + plan.free_gate] *= gate * (one - gate)
        if plan.links:
            soften_backward(mode_of(parameters, plan, r), mode_of(gradient, plan, r))
        if plan.link_sharpness:
            for sharpness in (plan.backward_sharpness, plan.forward_sharpness):
                gradient[at + sharpness] *= softplus_derivative(parameters[at + sharpness] - one)
    for place_of_gate in (plan.allocation_gate, plan.write_gate):
        gate = parameters[place_of_gate]
        gradient[place_of_gate] *= gate * (one - gate)
    open_gates_backward(vector_at(parameters, plan, plan.erase), vector_at(gradient, plan, plan.erase))
    squash_backward(vector_at(parameters, plan, plan.add), vector_at(gradient, plan, plan.add), plan.bounded)
