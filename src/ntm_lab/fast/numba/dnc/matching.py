"""The content weighting of a DNC's head, seen through its mask, and its gradient."""

from typing import Any, NamedTuple

import numpy as np

from ntm_lab.equations.content import MASK_FLOOR
from ntm_lab.fast.numba.compiling import Array, part, section
from ntm_lab.fast.numba.content import (
    compare,
    compare_backward,
    direction,
    direction_backward,
    look_up,
    look_up_backward,
)
from ntm_lab.fast.numba.dnc.parameters import key_of, mask_of, place
from ntm_lab.fast.numba.products import copy, dot


class Matched(NamedTuple):
    """The values of a head's look-up that its gradient needs."""

    squares: Any  # (V,), of the mask, 1 without masks
    scaled: Any  # (V,), the key
    inverse: Any  # (N,), inverse norms of the slots
    cosine: Any  # (N,)
    content: Any  # (N,), the content weighting


@section
def matched(depth: int, slots: int, like: Array) -> Matched:
    """Such buffers."""
    return Matched(
        np.ones(depth, like.dtype),
        np.empty(depth, like.dtype),
        np.empty(slots, like.dtype),
        np.empty(slots, like.dtype),
        np.empty(slots, like.dtype),
    )


@part
def match(memory: Array, parameters: Array, plan: Any, k: int, result: Matched) -> None:
    """The content weighting of head k."""
    squares, scaled, inverse, cosine, content = result
    if plan.masking:
        mask, floor, one = mask_of(parameters, plan, k), memory.dtype.type(MASK_FLOOR), memory.dtype.type(1)
        for v in range(len(mask)):
            through = floor + (one - floor) * mask[v]
            squares[v] = through * through
    direction(key_of(parameters, plan, k), squares, scaled)
    compare(memory, scaled, squares, inverse, cosine)
    copy(cosine, content)
    look_up(content, parameters[place(plan, k, plan.read_strength, plan.write_strength)])


@part
def match_backward(
    memory: Array,
    parameters: Array,
    plan: Any,
    k: int,
    found: Matched,
    gate: Any,
    grad: Array,
    memory_grad: Array,
    parameter_grad: Array,
    weightings: Array,
    vectors: Array,
) -> Any:
    """The gradient of `match`, from ``gate`` times ``grad`` (N,), whose mean under the content weighting is returned.

    Adds to those of the memory and of the parameters.
    """
    squares, scaled, inverse, cosine, content = found
    product_grad, norm_grad, scaled_grad, squares_grad = weightings[0], weightings[1], vectors[0], vectors[1]
    mean, strength = dot(content, grad), place(plan, k, plan.read_strength, plan.write_strength)
    norm_grad[:] = 0
    parameter_grad[strength] += look_up_backward(
        content, cosine, inverse, parameters[strength], gate, mean, grad, product_grad, norm_grad
    )
    compare_backward(memory, scaled, squares, product_grad, norm_grad, memory_grad, scaled_grad, squares_grad)
    key, key_grad = key_of(parameters, plan, k), key_of(parameter_grad, plan, k)
    direction_backward(key, squares, scaled, scaled_grad, key_grad, squares_grad)
    if plan.masking:
        mask, mask_grad = mask_of(parameters, plan, k), mask_of(parameter_grad, plan, k)
        floor, one = memory.dtype.type(MASK_FLOOR), memory.dtype.type(1)
        for v in range(len(mask)):
            through = floor + (one - floor) * mask[v]
            mask_grad[v] += (through + through) * (one - floor) * squares_grad[v]
    return mean
