"""One memory and the vectors that meet it: reads, writes, and their gradients.

A memory is held as (V, N), slots innermost, which is the direction of the long loops; V is W rounded up to a multiple
of 4, and the rows added stay 0.
"""

from typing import Any

from ntm_lab.fast.numba.compiling import Array, part
from ntm_lab.fast.numba.products import accumulate, copy


@part
def add_rows(memory: Array, vector: Array, total: Array) -> None:
    """total(n) += Σ_v vector(v) memory(v, n)."""
    for v in range(0, len(memory), 4):
        x0, x1, x2, x3 = vector[v], vector[v + 1], vector[v + 2], vector[v + 3]
        r0, r1, r2, r3 = memory[v], memory[v + 1], memory[v + 2], memory[v + 3]
        for n in range(len(total)):
            total[n] += x0 * r0[n] + x1 * r1[n] + x2 * r2[n] + x3 * r3[n]


@part
def add_outer(memory: Array, vector: Array, weighting: Array) -> None:
    """memory(v, n) += vector(v) weighting(n)."""
    for v in range(0, len(memory), 4):
        x0, x1, x2, x3 = vector[v], vector[v + 1], vector[v + 2], vector[v + 3]
        r0, r1, r2, r3 = memory[v], memory[v + 1], memory[v + 2], memory[v + 3]
        for n in range(len(weighting)):
            w = weighting[n]
            r0[n] += x0 * w
            r1[n] += x1 * w
            r2[n] += x2 * w
            r3[n] += x3 * w


@part
def products(memory: Array, vectors: Array, results: Array, squares: Array) -> None:
    """results(j, n) = Σ_v vectors(j, v) memory(v, n) and squares(n) = Σ_v memory(v, n)²; there are two vectors or more.

    The first two share one pass over the memory with the squares.
    """
    squares[:] = 0
    for j in range(len(vectors)):
        results[j] = 0
    x, y, p, q = vectors[0], vectors[1], results[0], results[1]
    for v in range(0, len(memory), 4):
        x0, x1, x2, x3, y0, y1, y2, y3 = x[v], x[v + 1], x[v + 2], x[v + 3], y[v], y[v + 1], y[v + 2], y[v + 3]
        r0, r1, r2, r3 = memory[v], memory[v + 1], memory[v + 2], memory[v + 3]
        for n in range(len(squares)):
            m0, m1, m2, m3 = r0[n], r1[n], r2[n], r3[n]
            p[n] += x0 * m0 + x1 * m1 + x2 * m2 + x3 * m3
            q[n] += y0 * m0 + y1 * m1 + y2 * m2 + y3 * m3
            squares[n] += m0 * m0 + m1 * m1 + m2 * m2 + m3 * m3
    for j in range(2, len(vectors)):
        add_rows(memory, vectors[j], results[j])


@part
def squares(memory: Array, total: Array) -> None:
    """total(n) = Σ_v memory(v, n)²."""
    total[:] = 0
    for v in range(0, len(memory), 4):
        r0, r1, r2, r3 = memory[v], memory[v + 1], memory[v + 2], memory[v + 3]
        for n in range(len(total)):
            total[n] += r0[n] * r0[n] + r1[n] * r1[n] + r2[n] * r2[n] + r3[n] * r3[n]


@part
def add_scaled(memory: Array, weighting: Array, total: Array) -> None:
    """total(v, n) += weighting(n) memory(v, n)."""
    for v in range(len(memory)):
        row, total_row = memory[v], total[v]
        for n in range(len(weighting)):
            total_row[n] += weighting[n] * row[n]


@part
def products_backward(memory: Array, vectors: Array, grads: Array, squares_grad: Array, memory_grad: Array) -> None:
    """memory_grad(v, n) += Σ_j vectors(j, v) grads(j, n) + squares_grad(n) memory(v, n), for three vectors or more.

    The first three share one pass over the memory with the squares.
    """
    x, y, z, p, q, r = vectors[0], vectors[1], vectors[2], grads[0], grads[1], grads[2]
    for v in range(len(memory)):
        x0, y0, z0, row, row_grad = x[v], y[v], z[v], memory[v], memory_grad[v]
        for n in range(len(squares_grad)):
            row_grad[n] += x0 * p[n] + y0 * q[n] + z0 * r[n] + squares_grad[n] * row[n]
    for j in range(3, len(vectors)):
        add_outer(memory_grad, vectors[j], grads[j])


@part
def weighted_rows(memory: Array, weighting: Array, total: Array) -> None:
    """total (V,) = Σ_n weighting(n) memory(·, n)."""
    zero = memory.dtype.type(0)
    for v in range(0, len(memory), 4):
        r0, r1, r2, r3 = memory[v], memory[v + 1], memory[v + 2], memory[v + 3]
        t0, t1, t2, t3 = zero, zero, zero, zero
        for n in range(len(weighting)):
            w = weighting[n]
            t0 += r0[n] * w
            t1 += r1[n] * w
            t2 += r2[n] * w
            t3 += r3[n] * w
        total[v], total[v + 1], total[v + 2], total[v + 3] = t0, t1, t2, t3


@part
def pad(vector: Array, padded: Array) -> None:
    """The vector (W,), and zeros up to (V,)."""
    copy(vector, padded)
    padded[len(vector) :] = 0


@part
def erase_and_add(before: Any, weighting: Array, erase: Array, add: Array, memory: Array) -> None:
    """memory(v, n) = before(v, n) (1 − weighting(n) erase(v)) + weighting(n) add(v).

    ``before`` is None if it is the memory itself, which the compiler has to know for vectors to be used.
    """
    source = memory if before is None else before
    for v in range(0, len(memory), 4):
        e0, e1, e2, e3 = erase[v], erase[v + 1], erase[v + 2], erase[v + 3]
        a0, a1, a2, a3 = add[v], add[v + 1], add[v + 2], add[v + 3]
        b0, b1, b2, b3 = source[v], source[v + 1], source[v + 2], source[v + 3]
        m0, m1, m2, m3 = memory[v], memory[v + 1], memory[v + 2], memory[v + 3]
        for n in range(len(weighting)):
            w = weighting[n]
            m0[n] = b0[n] + w * (a0 - e0 * b0[n])
            m1[n] = b1[n] + w * (a1 - e1 * b1[n])
            m2[n] = b2[n] + w * (a2 - e2 * b2[n])
            m3[n] = b3[n] + w * (a3 - e3 * b3[n])


@part
def erase_and_add_backward(
    memory: Array,
    weighting: Array,
    erase: Array,
    add: Array,
    memory_grad: Array,
    weighting_grad: Array,
    erase_grad: Array,
    add_grad: Array,
) -> None:
    """The gradient of `erase_and_add` on the memory before it; ``memory_grad`` becomes that of the memory before,
    ``erase_grad`` and ``add_grad`` (V,) are set, ``weighting_grad`` is added to."""
    zero = memory.dtype.type(0)
    for v in range(0, len(memory), 2):
        e0, e1, a0, a1 = erase[v], erase[v + 1], add[v], add[v + 1]
        m0, m1, s0, s1 = memory[v], memory[v + 1], memory_grad[v], memory_grad[v + 1]
        erase0, erase1, add0, add1 = zero, zero, zero, zero
        for n in range(len(weighting)):
            w, d0, d1 = weighting[n], s0[n], s1[n]
            x0, x1 = d0 * m0[n], d1 * m1[n]
            weighting_grad[n] += d0 * a0 + d1 * a1 - (x0 * e0 + x1 * e1)
            erase0 += x0 * w
            erase1 += x1 * w
            add0 += d0 * w
            add1 += d1 * w
            s0[n] = d0 - d0 * w * e0
            s1[n] = d1 - d1 * w * e1
        erase_grad[v], erase_grad[v + 1], add_grad[v], add_grad[v + 1] = -erase0, -erase1, add0, add1


@part
def vector_of(parameters: Array, start: int, plan: Any, h: int) -> Array:
    """The erase or add vector (W,) of a write head, which begins at ``start`` among the first one's parameters."""
    start += h * plan.write_stride
    return parameters[start : start + plan.width]


@part
def write(before: Any, weightings: Array, parameters: Array, plan: Any, memory: Array, scratch: Array) -> None:
    """All erasures, then all additions; weightings (H, N), parameters (P,) with each head's erase and add.

    ``memory`` becomes that after ``before``, which is None if it is the memory itself. The last head does both in one
    pass, between the erasures and the additions of the others.
    """
    heads = len(weightings)
    erase, add, nothing = scratch[0], scratch[1], scratch[2]
    nothing[:] = 0
    for h in range(heads - 1):
        pad(vector_of(parameters, plan.erase, plan, h), erase)
        if h:
            erase_and_add(None, weightings[h], erase, nothing, memory)
        else:
            erase_and_add(before, weightings[h], erase, nothing, memory)
    pad(vector_of(parameters, plan.erase, plan, heads - 1), erase)
    pad(vector_of(parameters, plan.add, plan, heads - 1), add)
    if heads > 1:
        erase_and_add(None, weightings[heads - 1], erase, add, memory)
    else:
        erase_and_add(before, weightings[heads - 1], erase, add, memory)
    for h in range(heads - 1):
        pad(vector_of(parameters, plan.add, plan, h), add)
        add_outer(memory, add, weightings[h])


@part
def write_backward(
    memory: Array,
    weightings: Array,
    parameters: Array,
    plan: Any,
    memory_grad: Array,
    weighting_grads: Array,
    parameter_grad: Array,
    stages: Array,
    scratch: Array,
) -> None:
    """The gradient of `write` on the memory before it; ``memory_grad`` (V, N) becomes that of the memory before.

    ``stages`` (H − 1, V, N) holds the memory between two erasures.
    """
    heads = len(weightings)
    erase, add, nothing = scratch[0], scratch[1], scratch[2]
    erase_grad, add_grad = scratch[3], scratch[4]
    nothing[:] = 0
    for h in range(heads - 1):
        pad(vector_of(parameters, plan.erase, plan, h), erase)
        erase_and_add(stages[h - 1] if h else memory, weightings[h], erase, nothing, stages[h])
        pad(vector_of(parameters, plan.add, plan, h), add)
        add_rows(memory_grad, add, weighting_grads[h])
        weighted_rows(memory_grad, weightings[h], add_grad)
        accumulate(add_grad, vector_of(parameter_grad, plan.add, plan, h))
    for h in range(heads - 1, -1, -1):
        pad(vector_of(parameters, plan.erase, plan, h), erase)
        pad(vector_of(parameters, plan.add, plan, h), add)
        before = stages[h - 1] if h else memory
        last = h == heads - 1  # the others' additions are done
        erase_and_add_backward(
            before,
            weightings[h],
            erase,
            add if last else nothing,
            memory_grad,
            weighting_grads[h],
            erase_grad,
            add_grad,
        )
        accumulate(erase_grad, vector_of(parameter_grad, plan.erase, plan, h))
        if last:
            accumulate(add_grad, vector_of(parameter_grad, plan.add, plan, h))
