"""The content weighting of a DNC's head, seen through its mask, and its gradient.

``key``, ``strength`` and ``mask`` are the places of a head's.
"""

from typing import Any

import triton
import triton.language as tl

from ntm_lab.equations import content
from ntm_lab.fast.triton.content import look_up, look_up_backward
from ntm_lab.fast.triton.dnc.parameters import number_at, strength_backward, vector_at, vector_backward
from ntm_lab.fast.triton.elementary import inverse_norm

MASK_FLOOR = tl.constexpr(content.MASK_FLOOR)


@triton.jit
def through_mask(plan: "Any", sizes: "Any", parameters: "Any", mask: "Any", like: "Any") -> "Any":
    """The parts of a slot that a mask (W,) lets through; all without masks."""
    if plan.masking:
        return MASK_FLOOR + (1 - MASK_FLOOR) * vector_at(plan, sizes, parameters, mask, like)
    return tl.full((sizes.block_width,), 1.0, like.dtype)


@triton.jit
def match(
    plan: "Any", sizes: "Any", memory: "Any", parameters: "Any", key: "Any", strength: "Any", mask: "Any"
) -> "Any":
    """The content weighting (N,) of a head."""
    through = through_mask(plan, sizes, parameters, mask, memory)
    squares = through * through
    inverse = inverse_norm(tl.sum(memory * memory * squares[None, :], 1))
    exists = tl.arange(0, sizes.block_slots) < sizes.slots
    key_vector = vector_at(plan, sizes, parameters, key, memory)
    return look_up(memory, inverse, key_vector, number_at(parameters, strength, memory), exists, squares)


@triton.jit
def match_backward(
    plan: "Any",
    sizes: "Any",
    memory: "Any",
    memory_grad: "Any",
    content: "Any",
    gate: "Any",
    grad: "Any",
    bounded: "Any",
    upstream: "Any",
    emitted: "Any",
    key: "Any",
    strength: "Any",
    mask: "Any",
) -> "Any":
    """The gradient of `match`, from ``gate`` times ``grad`` (N,): returns that of the memory, added to."""
    through = through_mask(plan, sizes, bounded, mask, memory)
    squares = through * through
    inverse = inverse_norm(tl.sum(memory * memory * squares[None, :], 1))
    key_vector, number = vector_at(plan, sizes, bounded, key, memory), number_at(bounded, strength, memory)
    norm_grad = tl.zeros((sizes.block_slots,), memory.dtype)
    memory_grad, norm_grad, key_grad, strength_grad, squares_grad = look_up_backward(
        memory, memory_grad, inverse, norm_grad, key_vector, number, content, gate, grad, squares
    )
    vector_backward(plan, sizes, key_grad, bounded, upstream, emitted, key, False)
    strength_backward(strength_grad, bounded, upstream, emitted, strength)
    if plan.masking:
        mask_grad = 2 * (1 - MASK_FLOOR) * through * squares_grad
        vector_backward(plan, sizes, mask_grad, bounded, upstream, emitted, mask, True)
    return memory_grad - norm_grad[:, None] * squares[None, :] * memory
