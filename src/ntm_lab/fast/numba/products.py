"""Vectors, and products of skinny matrices."""

from typing import Any

from ntm_lab.fast.numba.compiling import Array, part


@part
def copy(source: Array, target: Array) -> None:
    """target = source, for vectors; numba's own assignment first looks whether they overlap, which costs more."""
    for n in range(len(source)):
        target[n] = source[n]


@part
def accumulate(source: Array, target: Array) -> None:
    """target += source, for vectors; the source may be longer."""
    for n in range(len(target)):
        target[n] += source[n]


@part
def dot(a: Array, b: Array) -> Any:
    total = a.dtype.type(0)
    for n in range(len(a)):
        total += a[n] * b[n]
    return total


@part
def add_product(left: Array, right: Array, total: Array, columns: int) -> None:
    """total += left @ right in the first columns; left (n, k or more), right (k, ·), total (n, ·).

    Goes in blocks of 4 rows and 4 terms along whole rows of the right factor.
    """
    rows, terms = len(left), len(right)
    row_blocks, term_blocks = rows // 4 * 4, terms // 4 * 4
    for i in range(0, row_blocks, 4):
        t0, t1, t2, t3 = total[i], total[i + 1], total[i + 2], total[i + 3]
        for k in range(0, term_blocks, 4):
            r0, r1, r2, r3 = right[k], right[k + 1], right[k + 2], right[k + 3]
            a00, a01, a02, a03 = left[i, k], left[i, k + 1], left[i, k + 2], left[i, k + 3]
            a10, a11, a12, a13 = left[i + 1, k], left[i + 1, k + 1], left[i + 1, k + 2], left[i + 1, k + 3]
            a20, a21, a22, a23 = left[i + 2, k], left[i + 2, k + 1], left[i + 2, k + 2], left[i + 2, k + 3]
            a30, a31, a32, a33 = left[i + 3, k], left[i + 3, k + 1], left[i + 3, k + 2], left[i + 3, k + 3]
            for j in range(columns):
                b0, b1, b2, b3 = r0[j], r1[j], r2[j], r3[j]
                t0[j] += a00 * b0 + a01 * b1 + a02 * b2 + a03 * b3
                t1[j] += a10 * b0 + a11 * b1 + a12 * b2 + a13 * b3
                t2[j] += a20 * b0 + a21 * b1 + a22 * b2 + a23 * b3
                t3[j] += a30 * b0 + a31 * b1 + a32 * b2 + a33 * b3
        for k in range(term_blocks, terms):
            r0, a00, a10, a20, a30 = right[k], left[i, k], left[i + 1, k], left[i + 2, k], left[i + 3, k]
            for j in range(columns):
                b0 = r0[j]
                t0[j] += a00 * b0
                t1[j] += a10 * b0
                t2[j] += a20 * b0
                t3[j] += a30 * b0
    for i in range(row_blocks, rows):
        t0 = total[i]
        for k in range(0, term_blocks, 4):
            r0, r1, r2, r3 = right[k], right[k + 1], right[k + 2], right[k + 3]
            a00, a01, a02, a03 = left[i, k], left[i, k + 1], left[i, k + 2], left[i, k + 3]
            for j in range(columns):
                t0[j] += a00 * r0[j] + a01 * r1[j] + a02 * r2[j] + a03 * r3[j]
        for k in range(term_blocks, terms):
            r0, a00 = right[k], left[i, k]
            for j in range(columns):
                t0[j] += a00 * r0[j]


@part
def set_dots(left: Array, right: Array, total: Array) -> None:
    """total = left @ right.T; left (n, k), right (m, k), total (n, m or more), where m is a multiple of 4.

    Goes in blocks of 4 by 4 dot products.
    """
    rows, zero = len(left), left.dtype.type(0)
    blocks = rows // 4 * 4
    for j in range(0, len(right), 4):
        r0, r1, r2, r3 = right[j], right[j + 1], right[j + 2], right[j + 3]
        for i in range(0, blocks, 4):
            a, b, c, d = left[i], left[i + 1], left[i + 2], left[i + 3]
            a0, a1, a2, a3, b0, b1, b2, b3 = zero, zero, zero, zero, zero, zero, zero, zero
            c0, c1, c2, c3, d0, d1, d2, d3 = zero, zero, zero, zero, zero, zero, zero, zero
            for k in range(len(r0)):
                x0, x1, x2, x3 = r0[k], r1[k], r2[k], r3[k]
                a0, a1, a2, a3 = a0 + a[k] * x0, a1 + a[k] * x1, a2 + a[k] * x2, a3 + a[k] * x3
                b0, b1, b2, b3 = b0 + b[k] * x0, b1 + b[k] * x1, b2 + b[k] * x2, b3 + b[k] * x3
                c0, c1, c2, c3 = c0 + c[k] * x0, c1 + c[k] * x1, c2 + c[k] * x2, c3 + c[k] * x3
                d0, d1, d2, d3 = d0 + d[k] * x0, d1 + d[k] * x1, d2 + d[k] * x2, d3 + d[k] * x3
            t0, t1, t2, t3 = total[i], total[i + 1], total[i + 2], total[i + 3]
            t0[j], t0[j + 1], t0[j + 2], t0[j + 3] = a0, a1, a2, a3
            t1[j], t1[j + 1], t1[j + 2], t1[j + 3] = b0, b1, b2, b3
            t2[j], t2[j + 1], t2[j + 2], t2[j + 3] = c0, c1, c2, c3
            t3[j], t3[j + 1], t3[j + 2], t3[j + 3] = d0, d1, d2, d3
        for i in range(blocks, rows):
            a, t0 = left[i], total[i]
            a0, a1, a2, a3 = zero, zero, zero, zero
            for k in range(len(r0)):
                a0, a1, a2, a3 = a0 + a[k] * r0[k], a1 + a[k] * r1[k], a2 + a[k] * r2[k], a3 + a[k] * r3[k]
            t0[j], t0[j + 1], t0[j + 2], t0[j + 3] = a0, a1, a2, a3
