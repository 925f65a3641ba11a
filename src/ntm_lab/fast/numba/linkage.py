"""In which order slots were written: `ntm_lab.equations.linkage`, and its gradients.

The links (N, N) of a sequence are the largest part of a DNC's state. So a step goes through them once, by four rows at
a time, which it updates and follows in both directions while they are in the nearest cache; and so does its gradient.
"""

from typing import Any

from ntm_lab.equations.linkage import SHARPNESS_GUARD
from ntm_lab.fast.numba.compiling import Array, part
from ntm_lab.fast.numba.elementary import log, soften
from ntm_lab.fast.numba.products import dot


@part
def precede(preceding: Array, written: Array) -> None:
    """The precedence (N,) after a write, in place."""
    total = written.dtype.type(0)
    for n in range(len(preceding)):
        total += written[n]
    rest = written.dtype.type(1) - total
    for n in range(len(preceding)):
        preceding[n] = rest * preceding[n] + written[n]


@part
def precede_backward(preceding: Array, written: Array, grad: Array, written_grad: Array) -> None:
    """The gradient of `precede` on the precedence before it, in place; adds to that of the write weighting."""
    total = written.dtype.type(0)
    for n in range(len(preceding)):
        total += written[n]
    rest, through = written.dtype.type(1) - total, dot(preceding, grad)
    for n in range(len(preceding)):
        written_grad[n] += grad[n] - through
        grad[n] *= rest


@part
def link_row(before: Any, w: Any, written: Array, preceding: Array, row: Array) -> None:
    """The links to the slots written before one that is written with w; ``before`` is None if it is the row itself."""
    source = row if before is None else before
    rest = row.dtype.type(1) - w
    for j in range(len(row)):
        row[j] = (rest - written[j]) * source[j] + w * preceding[j]


@part
def link(before: Array, written: Array, preceding: Array, after: Array) -> None:
    """The links (N, N) after a write."""
    for i in range(len(written)):
        link_row(before[i], written[i], written, preceding, after[i])
        after[i, i] *= 0  # which keeps a NaN


@part
def follow_rows(
    r0: Array, r1: Array, r2: Array, r3: Array, z0: Any, z1: Any, z2: Any, z3: Any, reading: Array, backward: Array
) -> tuple[Any, Any, Any, Any]:
    """Follow four rows of the links from a weighting, whose entries there are z: returns what they lead to, and adds
    what leads to them."""
    zero = r0.dtype.type(0)
    t0, t1, t2, t3 = zero, zero, zero, zero
    for j in range(len(backward)):
        l0, l1, l2, l3, w = r0[j], r1[j], r2[j], r3[j], reading[j]
        t0 += l0 * w
        t1 += l1 * w
        t2 += l2 * w
        t3 += l3 * w
        backward[j] += z0 * l0 + z1 * l1 + z2 * l2 + z3 * l3
    return t0, t1, t2, t3


@part
def row_of(matrix: Array, i: int, spare: Array) -> Array:
    """A row, or a spare one past the end."""
    return matrix[i] if i < len(matrix) else spare


@part
def entry(vector: Array, i: int) -> Any:
    """An entry, or 0 past the end."""
    return vector[i] if i < len(vector) else vector.dtype.type(0)


@part
def add_entries(t0: Any, t1: Any, t2: Any, t3: Any, vector: Array, i: int) -> None:
    """Add to the entries from i on, as far as there are any."""
    vector[i] += t0
    if i + 1 < len(vector):
        vector[i + 1] += t1
    if i + 2 < len(vector):
        vector[i + 2] += t2
    if i + 3 < len(vector):
        vector[i + 3] += t3


@part
def link_and_follow(
    links: Array, written: Array, preceding: Array, reading: Array, forward: Array, backward: Array, spare: Array
) -> None:
    """Update the links in place, and follow them from the read weightings (R, N): forward and backward (R, N) are set.

    ``spare`` (N,) is 0.
    """
    slots = len(written)
    for r in range(len(reading)):
        forward[r], backward[r] = 0, 0
    for i in range(0, slots, 4):
        for k in range(i, min(i + 4, slots)):
            link_row(None, written[k], written, preceding, links[k])
            links[k, k] *= 0  # which keeps a NaN
        r0, r1, r2, r3 = links[i], row_of(links, i + 1, spare), row_of(links, i + 2, spare), row_of(links, i + 3, spare)
        for r in range(len(reading)):
            weighting = reading[r]
            z0, z1, z2, z3 = weighting[i], entry(weighting, i + 1), entry(weighting, i + 2), entry(weighting, i + 3)
            t0, t1, t2, t3 = follow_rows(r0, r1, r2, r3, z0, z1, z2, z3, weighting, backward[r])
            add_entries(t0, t1, t2, t3, forward[r], i)


@part
def follow_rows_backward(
    r0: Array,
    r1: Array,
    r2: Array,
    r3: Array,
    g0: Array,
    g1: Array,
    g2: Array,
    g3: Array,
    z0: Any,
    z1: Any,
    z2: Any,
    z3: Any,
    f0: Any,
    f1: Any,
    f2: Any,
    f3: Any,
    reading: Array,
    backward_grad: Array,
    reading_grad: Array,
) -> tuple[Any, Any, Any, Any]:
    """The gradient of `follow_rows`: adds to those of the rows and of the weighting, and returns those of z."""
    zero = r0.dtype.type(0)
    t0, t1, t2, t3 = zero, zero, zero, zero
    for j in range(len(reading)):
        w, d = reading[j], backward_grad[j]
        l0, l1, l2, l3 = r0[j], r1[j], r2[j], r3[j]
        g0[j] += f0 * w + z0 * d
        g1[j] += f1 * w + z1 * d
        g2[j] += f2 * w + z2 * d
        g3[j] += f3 * w + z3 * d
        t0 += l0 * d
        t1 += l1 * d
        t2 += l2 * d
        t3 += l3 * d
        reading_grad[j] += f0 * l0 + f1 * l1 + f2 * l2 + f3 * l3
    return t0, t1, t2, t3


@part
def link_rows_backward(
    l0: Array,
    l1: Array,
    l2: Array,
    l3: Array,
    g0: Array,
    g1: Array,
    g2: Array,
    g3: Array,
    x0: Any,
    x1: Any,
    x2: Any,
    x3: Any,
    written: Array,
    preceding: Array,
    written_grad: Array,
    preceding_grad: Array,
) -> tuple[Any, Any, Any, Any]:
    """The gradient of `link_row` for four rows, in place; adds to the others, and returns those of x, the rows' w."""
    zero, one = l0.dtype.type(0), l0.dtype.type(1)
    y0, y1, y2, y3 = one - x0, one - x1, one - x2, one - x3
    t0, t1, t2, t3 = zero, zero, zero, zero
    for j in range(len(written)):
        w, p = written[j], preceding[j]
        d0, d1, d2, d3, b0, b1, b2, b3 = g0[j], g1[j], g2[j], g3[j], l0[j], l1[j], l2[j], l3[j]
        t0 += d0 * (p - b0)
        t1 += d1 * (p - b1)
        t2 += d2 * (p - b2)
        t3 += d3 * (p - b3)
        written_grad[j] -= d0 * b0 + d1 * b1 + d2 * b2 + d3 * b3
        preceding_grad[j] += d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3
        g0[j] = (y0 - w) * d0
        g1[j] = (y1 - w) * d1
        g2[j] = (y2 - w) * d2
        g3[j] = (y3 - w) * d3
    return t0, t1, t2, t3


@part
def link_and_follow_backward(
    before: Array,
    written: Array,
    preceding: Array,
    reading: Array,
    forward_grad: Array,
    backward_grad: Array,
    links_grad: Array,
    written_grad: Array,
    preceding_grad: Array,
    reading_grad: Array,
    rows: Array,
    spare: Array,
) -> None:
    """The gradient of `link_and_follow` on the links before it.

    ``links_grad`` becomes the gradient of the links before, the others are added to. ``rows`` (4, N) takes links after
    the step; ``spare`` (4, N) is 0.
    """
    slots = len(written)
    for i in range(0, slots, 4):
        for k in range(4):
            if i + k < slots:
                link_row(before[i + k], written[i + k], written, preceding, rows[k])
                rows[k, i + k] *= 0
            else:
                rows[k] = 0
        g0, l0 = links_grad[i], before[i]
        g1, l1 = row_of(links_grad, i + 1, spare[0]), row_of(before, i + 1, spare[3])
        g2, l2 = row_of(links_grad, i + 2, spare[1]), row_of(before, i + 2, spare[3])
        g3, l3 = row_of(links_grad, i + 3, spare[2]), row_of(before, i + 3, spare[3])
        for r in range(len(reading)):
            z, f = reading[r], forward_grad[r]
            t0, t1, t2, t3 = follow_rows_backward(
                rows[0],
                rows[1],
                rows[2],
                rows[3],
                g0,
                g1,
                g2,
                g3,
                z[i],
                entry(z, i + 1),
                entry(z, i + 2),
                entry(z, i + 3),
                f[i],
                entry(f, i + 1),
                entry(f, i + 2),
                entry(f, i + 3),
                z,
                backward_grad[r],
                reading_grad[r],
            )
            add_entries(t0, t1, t2, t3, reading_grad[r], i)
        for k in range(i, min(i + 4, slots)):
            links_grad[k, k] *= 0
        t0, t1, t2, t3 = link_rows_backward(
            l0,
            l1,
            l2,
            l3,
            g0,
            g1,
            g2,
            g3,
            written[i],
            entry(written, i + 1),
            entry(written, i + 2),
            entry(written, i + 3),
            written,
            preceding,
            written_grad,
            preceding_grad,
        )
        add_entries(t0, t1, t2, t3, written_grad, i)


@part
def sharpen(followed: Array, sharpness: Any, weighting: Array) -> None:
    """weighting (N,) = softmax(sharpness · log(followed + ε))."""
    guard = followed.dtype.type(SHARPNESS_GUARD)
    for n in range(len(followed)):
        weighting[n] = sharpness * log(followed[n] + guard)
    soften(weighting)


@part
def sharpen_backward(followed: Array, sharpness: Any, weighting: Array, grad: Array) -> Any:
    """The gradient of `sharpen`, in place; returns that of the sharpness."""
    guard, total, mean = followed.dtype.type(SHARPNESS_GUARD), followed.dtype.type(0), dot(weighting, grad)
    for n in range(len(followed)):
        through = weighting[n] * (grad[n] - mean)
        total += through * log(followed[n] + guard)
        grad[n] = sharpness * through / (followed[n] + guard)
    return total
