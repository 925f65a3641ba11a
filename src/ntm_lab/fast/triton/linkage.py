"""In which order slots were written: `ntm_lab.equations.linkage`, and its gradients.

The links (N, N) of a sequence are in global memory. A pass over them takes some rows at once.
"""

from typing import Any

import triton
import triton.language as tl

from ntm_lab.equations import linkage
from ntm_lab.fast.triton.elementary import load, softmax

SHARPNESS_GUARD = tl.constexpr(linkage.SHARPNESS_GUARD)


@triton.jit
def rows_from(sizes: "Any", first: "Any") -> "Any":
    """Some rows of the links: their numbers, and the places of their entries and which of these there are."""
    row, column = first + tl.arange(0, sizes.block_links), tl.arange(0, sizes.block_slots)
    exists = (row < sizes.slots)[:, None] & (column < sizes.slots)[None, :]
    return row, row[:, None] * sizes.slots + column[None, :], exists


@triton.jit
def off_diagonal(sizes: "Any", rows: "Any", row: "Any") -> "Any":
    """Rows with 0 on the diagonal, as a product, which keeps a NaN."""
    column = tl.arange(0, sizes.block_slots)
    return rows * tl.where(row[:, None] == column[None, :], 0.0, 1.0).to(rows.dtype)


@triton.jit
def left(row_written: "Any", written: "Any") -> "Any":
    """The share of the links that a write leaves."""
    return 1 - row_written[:, None] - written[None, :]


@triton.jit
def linked(sizes: "Any", links: "Any", row: "Any", row_written: "Any", written: "Any", preceding: "Any") -> "Any":
    """Rows of the links after a write."""
    after = left(row_written, written) * links + row_written[:, None] * preceding[None, :]
    return off_diagonal(sizes, after, row)


@triton.jit
def copy_links(sizes: "Any", source: "Any", target: "Any", like: "Any") -> None:
    for first in range(0, sizes.slots, sizes.block_links):
        _, place, exists = rows_from(sizes, first)
        tl.store(target + place, load(source + place, exists, like), mask=exists)


@triton.jit
def link(sizes: "Any", source: "Any", target: "Any", writing: "Any", precedences: "Any", like: "Any") -> None:
    """Store the links after a write at ``target``, which may be the ``source``."""
    slot = tl.arange(0, sizes.block_slots)
    written = load(writing + slot, slot < sizes.slots, like)
    preceding = load(precedences + slot, slot < sizes.slots, like)
    for first in range(0, sizes.slots, sizes.block_links):
        row, place, exists = rows_from(sizes, first)
        row_written = load(writing + row, row < sizes.slots, like)
        after = linked(sizes, load(source + place, exists, like), row, row_written, written, preceding)
        tl.debug_barrier()
        tl.store(target + place, after, mask=exists)


@triton.jit
def follow(sizes: "Any", links: "Any", reading: "Any", forward: "Any", like: "Any") -> "Any":
    """Follow the links from a read weighting: store the forward weighting, return the backward weighting (N,)."""
    slot = tl.arange(0, sizes.block_slots)
    weighting = load(reading + slot, slot < sizes.slots, like)
    backward = tl.zeros((sizes.block_slots,), like.dtype)
    for first in range(0, sizes.slots, sizes.block_links):
        row, place, exists = rows_from(sizes, first)
        rows = load(links + place, exists, like)
        tl.store(forward + row, tl.sum(rows * weighting[None, :], 1), mask=row < sizes.slots)
        backward += tl.sum(rows * load(reading + row, row < sizes.slots, like)[:, None], 0)
    return backward


@triton.jit
def follow_backward(
    sizes: "Any",
    before: "Any",
    writing: "Any",
    precedences: "Any",
    forward_grads: "Any",
    backward_grads: "Any",
    in_rows: "Any",
    like: "Any",
) -> "Any":
    """The gradient of `follow`, on the links ``before`` the write, with respect to the read weighting, in two parts.

    That by way of the backward weighting is stored at ``in_rows``, the other (N,) is returned.
    """
    slot = tl.arange(0, sizes.block_slots)
    written = load(writing + slot, slot < sizes.slots, like)
    preceding = load(precedences + slot, slot < sizes.slots, like)
    backward_grad = load(backward_grads + slot, slot < sizes.slots, like)
    grad = tl.zeros((sizes.block_slots,), like.dtype)
    for first in range(0, sizes.slots, sizes.block_links):
        row, place, exists = rows_from(sizes, first)
        at_row = row < sizes.slots
        row_written = load(writing + row, at_row, like)
        rows = linked(sizes, load(before + place, exists, like), row, row_written, written, preceding)
        tl.store(in_rows + row, tl.sum(rows * backward_grad[None, :], 1), mask=at_row)
        grad += tl.sum(rows * load(forward_grads + row, at_row, like)[:, None], 0)
    return grad


@triton.jit
def link_backward(
    plan: "Any",
    sizes: "Any",
    before: "Any",
    writing: "Any",
    precedences: "Any",
    reading: "Any",
    forward_grads: "Any",
    backward_grads: "Any",
    links_grads: "Any",
    in_rows: "Any",
    like: "Any",
) -> "Any":
    """The gradient of `link`, from those of the links after the write and of all heads' `follow`.

    ``links_grads`` become those of the links before. Part of the write weighting's gradient is stored at ``in_rows``;
    the rest of it (N,) and the gradient of the precedence before (N,) are returned.
    """
    slot = tl.arange(0, sizes.block_slots)
    at_slots = slot < sizes.slots
    written, preceding = load(writing + slot, at_slots, like), load(precedences + slot, at_slots, like)
    written_grad = tl.zeros((sizes.block_slots,), like.dtype)
    preceding_grad = tl.zeros((sizes.block_slots,), like.dtype)
    for first in range(0, sizes.slots, sizes.block_links):
        row, place, exists = rows_from(sizes, first)
        at_row = row < sizes.slots
        grad = load(links_grads + place, exists, like)
        for r in range(plan.read_heads):
            own = r * sizes.slots
            forward_grad = load(forward_grads + own + row, at_row, like)
            backward_grad = load(backward_grads + own + slot, at_slots, like)
            grad += forward_grad[:, None] * load(reading + own + slot, at_slots, like)[None, :]
            grad += load(reading + own + row, at_row, like)[:, None] * backward_grad[None, :]
        grad = off_diagonal(sizes, grad, row)
        links, row_written = load(before + place, exists, like), load(writing + row, at_row, like)
        tl.store(in_rows + row, tl.sum(grad * (preceding[None, :] - links), 1), mask=at_row)
        written_grad -= tl.sum(grad * links, 0)
        preceding_grad += tl.sum(grad * row_written[:, None], 0)
        tl.debug_barrier()
        tl.store(links_grads + place, left(row_written, written) * grad, mask=exists)
    return written_grad, preceding_grad


@triton.jit
def sharpen(followed: "Any", sharpness: "Any", exists: "Any") -> "Any":
    """softmax(sharpness · log(followed + ε)), (N,)."""
    return softmax(sharpness * tl.log(followed + SHARPNESS_GUARD), exists)


@triton.jit
def sharpen_backward(followed: "Any", sharpness: "Any", weighting: "Any", grad: "Any") -> "Any":
    """The gradients of `sharpen`, whose result is ``weighting``: of what was followed, and of the sharpness."""
    through = weighting * (grad - tl.sum(weighting * grad, 0))
    guarded = followed + SHARPNESS_GUARD
    return sharpness * through / guarded, tl.sum(through * tl.log(guarded), 0)
