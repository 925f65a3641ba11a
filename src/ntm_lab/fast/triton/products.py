"""Products of a matrix and a vector, both in global memory."""

from typing import Any

import triton
import triton.language as tl

from ntm_lab.fast.triton.elementary import load


@triton.jit
def along_rows(
    matrix: "Any", vector: "Any", row: "Any", exists: "Any", columns: "Any", stride: "Any", block: tl.constexpr
) -> "Any":
    """Σ_c matrix(row, c) vector(c) for some rows."""
    total = tl.zeros((row.shape[0], block), vector.dtype.element_ty)
    for first in range(0, columns, block):
        column = first + tl.arange(0, block)
        inside = column < columns
        weights = load(matrix + row[:, None] * stride + column[None, :], exists[:, None] & inside[None, :], total)
        total += weights * load(vector + column, inside, total)[None, :]
    return tl.sum(total, 1)


@triton.jit
def along_columns(
    matrix: "Any", vector: "Any", column: "Any", exists: "Any", rows: "Any", stride: "Any", block: tl.constexpr
) -> "Any":
    """Σ_r vector(r) matrix(r, column) for some columns."""
    total = tl.zeros((block, column.shape[0]), vector.dtype.element_ty)
    for first in range(0, rows, block):
        row = first + tl.arange(0, block)
        inside = row < rows
        weights = load(matrix + row[:, None] * stride + column[None, :], inside[:, None] & exists[None, :], total)
        total += weights * load(vector + row, inside, total)[:, None]
    return tl.sum(total, 0)
