"""Addressing by content: the softmax of cosines, and its gradient. The memory (N, W) is in registers.

``squares`` (W,) are those of the mask through which key and slots are compared, 1 without one. The slots' inverse norms
are seen through it too.
"""

from typing import Any

import triton
import triton.language as tl

from ntm_lab.fast.triton.elementary import inverse_norm, softmax


@triton.jit
def look_up(memory: "Any", inverse: "Any", key: "Any", strength: "Any", exists: "Any", squares: "Any" = 1.0) -> "Any":
    """The content weighting (N,) of a key (W,), from the slots' inverse norms (N,)."""
    masked = key * squares
    direction = masked * (strength * inverse_norm(tl.sum(masked * key, 0)))
    return softmax(tl.sum(memory * direction[None, :], 1) * inverse, exists)


@triton.jit
def look_up_backward(
    memory: "Any",
    memory_grad: "Any",
    inverse: "Any",
    norm_grad: "Any",
    key: "Any",
    strength: "Any",
    content: "Any",
    gate: "Any",
    grad: "Any",
    squares: "Any" = 1.0,
) -> "Any":
    """The gradient of `look_up`, from ``gate`` times ``grad`` (N,), that of the content weighting.

    Returns ``memory_grad`` with all added but what comes through the norms, ``norm_grad`` (N,) with that, which is to
    be multiplied by −memory and the squares, and the gradients of key, strength and squares.
    """
    key_inverse = inverse_norm(tl.sum(key * squares * key, 0))
    direction = key * squares * key_inverse
    similarity = tl.sum(memory * direction[None, :], 1) * inverse
    through = gate * content * (grad - tl.sum(grad * content, 0))
    strength_grad = tl.sum(through * similarity, 0)
    own_norm_grad = through * strength * similarity * inverse * inverse
    through *= strength * inverse
    memory_grad += through[:, None] * direction[None, :]
    direction_grad = tl.sum(memory * through[:, None], 0)
    along = key_inverse * tl.sum(direction_grad * direction, 0)
    key_grad = key_inverse * squares * (direction_grad - along * key)
    squares_grad = key_inverse * key * (direction_grad - 0.5 * along * key)
    squares_grad -= 0.5 * tl.sum(memory * memory * own_norm_grad[:, None], 0)
    return memory_grad, norm_grad + own_norm_grad, key_grad, strength_grad, squares_grad
