"""Writing to a memory (N, W) in registers, by the erase and add vectors of a step on the tape, and reading it.

``plan`` is an access's own with its write heads: their number and the places of their vectors.
"""

from typing import Any

import triton
import triton.language as tl

from ntm_lab.fast.triton.elementary import load


@triton.jit
def erased(
    plan: "Any", sizes: "Any", memory: "Any", but: "Any", slot: "Any", weightings: "Any", parameters: "Any"
) -> "Any":
    """The share of the memory that all write heads but one (−1: but none) leave."""
    column = tl.arange(0, sizes.block_width)
    for h in range(plan.write_heads):
        weighting = load(weightings + h * sizes.slots + slot, slot < sizes.slots, memory)
        erase = load(parameters + plan.erase + plan.write_stride * h + column, column < plan.width, memory)
        memory *= 1 - tl.where(h == but, 0.0, weighting)[:, None] * erase[None, :]
    return memory


@triton.jit
def added(plan: "Any", sizes: "Any", memory: "Any", slot: "Any", weightings: "Any", parameters: "Any") -> "Any":
    """The memory with what all write heads add."""
    column = tl.arange(0, sizes.block_width)
    for h in range(plan.write_heads):
        weighting = load(weightings + h * sizes.slots + slot, slot < sizes.slots, memory)
        add = load(parameters + plan.add + plan.write_stride * h + column, column < plan.width, memory)
        memory += weighting[:, None] * add[None, :]
    return memory


@triton.jit
def read_grad(plan: "Any", sizes: "Any", memory: "Any", k: "Any", reads: "Any", outputs: "Any", column: "Any") -> "Any":
    """The gradient of what a head read (W,): that from the next step and the upstream gradient."""
    grad = load(reads + k * plan.width + column, column < plan.width, memory)
    if sizes.upstream_outputs:
        grad += load(outputs + k * plan.width + column, column < plan.width, memory)
    return grad
