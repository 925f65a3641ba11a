"""The recurrence of an NTM, forward and backward, as two compiled functions of a tile of sequences and all steps.

Compiled with numba, cached on disk, and free of the interpreter's lock, so that tiles run on all cores at once. What
they compute is what `ntm_lab.nn.ntm` says, in the arrays that `ntm_lab.fast.sequence` describes; the derivatives are
written by hand. Everything that numba compiles is in this one file: its cache does not see a change in another.

T steps, B sequences, L layers of the controller, R read and H write heads, K = R + H. A memory is held as (V, N), slots
innermost, which is the direction of the long loops; V is W rounded up to a multiple of 4, and the rows added stay 0.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

from ntm_lab.equations.content import NORM_GUARD
from ntm_lab.equations.location import LOG_GUARD

Array = np.ndarray[Any, Any]

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
WIDE = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reordered, as wide loops need; NaN and infinity stay
entry = njit(**OPTIONS, fastmath=WIDE, cache=True)
# Always compiled into what calls it: the process that compiles would otherwise call a version with other roundings than
# the cache has, so that the first run on a machine could not be repeated.
part = njit(**OPTIONS, fastmath=WIDE, forceinline=True)
exact = njit(**OPTIONS, fastmath={"contract"}, forceinline=True)  # keeps the order of operations

SOFTPLUS_LINEAR = 20.0  # beyond it PyTorch's softplus is the identity


# Elementary functions that the compiler can vectorise, which it cannot do with those of the C library.


@intrinsic
def float_of_bits(context: Any, bits: Any) -> Any:
    """The float with these bits: int32 -> float32, int64 -> float64."""
    result = {types.int32: types.float32, types.int64: types.float64}[bits]
    return result(bits), lambda ctx, builder, _, args: builder.bitcast(args[0], ctx.get_value_type(result))


@intrinsic
def bits_of_float(context: Any, value: Any) -> Any:
    """The bits of a float: float32 -> int32, float64 -> int64."""
    result = {types.float32: types.int32, types.float64: types.int64}[value]
    return result(value), lambda ctx, builder, _, args: builder.bitcast(args[0], ctx.get_value_type(result))


@intrinsic
def larger(context: Any, a: Any, b: Any) -> Any:
    """The larger of two floats, in the one form whose reduction the compiler vectorises; b where a is NaN."""

    def generate(ctx: Any, builder: Any, _: Any, args: Any) -> Any:
        kind = args[0].type
        function = builder.module.declare_intrinsic("llvm.maxnum", [kind], ir.FunctionType(kind, [kind, kind]))
        return builder.call(function, args, fastmath=("nnan", "nsz"))

    return a(a, a), generate


@exact
def exp_parts_single(x: Any) -> Any:
    """2^n and e^r − 1, where x = n ln 2 + r and |r| ≤ ln 2 / 2; x is bounded so that 2^n is neither 0 nor infinite."""
    one = np.float32(1)
    x = np.float32(-87) if x < np.float32(-87) else x
    x = np.float32(88) if x > np.float32(88) else x
    n = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    # ln 2 in two parts, so that the first product is exact
    r = x - n * np.float32(0.693359375) - n * np.float32(-2.12194440e-4)
    series = np.float32(1 / 720) + r * np.float32(1 / 5040)
    series = np.float32(1 / 6) + r * (np.float32(1 / 24) + r * (np.float32(1 / 120) + r * series))
    series = r * (one + r * (np.float32(1 / 2) + r * series))
    return float_of_bits(np.int32((np.int32(n) + 127) << 23)), series  # numba's integer arithmetic is in 64 bits


@exact
def exp_parts_double(x: Any) -> Any:
    """As `exp_parts_single`."""
    x = -708.0 if x < -708.0 else x
    x = 709.0 if x > 709.0 else x
    n = np.floor(x * 1.4426950408889634 + 0.5)
    r = x - n * 6.93145751953125e-1 - n * 1.42860682030941723212e-6
    series = 1 / 479001600 + r * (1 / 6227020800)
    series = 1 / 362880 + r * (1 / 3628800 + r * (1 / 39916800 + r * series))
    series = 1 / 720 + r * (1 / 5040 + r * (1 / 40320 + r * series))
    series = 1 / 6 + r * (1 / 24 + r * (1 / 120 + r * series))
    return float_of_bits((np.int64(n) + 1023) << 52), r * (1.0 + r * (0.5 + r * series))


@exact
def log_single(x: Any) -> Any:
    """ln x of a normal positive number: x = 2^n m with m in [√½, √2), ln m = 2 artanh((m − 1) / (m + 1))."""
    bits = np.int32(bits_of_float(x) - 0x3F3504F3)  # the bits of √½
    n = np.int32(bits >> 23)
    m = float_of_bits(np.int32((bits & 0x7FFFFF) + 0x3F3504F3))
    s = (m - np.float32(1)) / (m + np.float32(1))
    z = s * s
    series = np.float32(1 / 5) + z * (np.float32(1 / 7) + z * np.float32(1 / 9))
    series = np.float32(2) * s * (np.float32(1) + z * (np.float32(1 / 3) + z * series))
    return np.float32(n) * np.float32(0.69314718) + series + (x - x)  # the last term keeps a NaN


@exact
def log_double(x: Any) -> Any:
    """As `log_single`."""
    bits = bits_of_float(x) - 0x3FE6A09E667F3BCD
    n = bits >> 52
    m = float_of_bits((bits & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD)
    s = (m - 1) / (m + 1)
    z = s * s
    series = 1 / 15 + z * (1 / 17 + z * (1 / 19 + z * (1 / 21 + z / 23)))
    series = 1 / 7 + z * (1 / 9 + z * (1 / 11 + z * (1 / 13 + z * series)))
    return n * 0.6931471805599453 + 2 * s * (1 + z * (1 / 3 + z * (1 / 5 + z * series))) + (x - x)


def exp_parts(x: Any) -> Any:
    """2^n and e^r − 1 of a float of either size."""
    raise NotImplementedError("compiled code only")


def log(x: Any) -> Any:
    """ln x of a float of either size."""
    raise NotImplementedError("compiled code only")


@overload(exp_parts, jit_options=OPTIONS)
def choose_exp_parts(x):  # type: ignore[no-untyped-def]
    return (lambda x: exp_parts_single(x)) if x == types.float32 else (lambda x: exp_parts_double(x))


@overload(log, jit_options=OPTIONS)
def choose_log(x):  # type: ignore[no-untyped-def]
    return (lambda x: log_single(x)) if x == types.float32 else (lambda x: log_double(x))


@exact
def exp(x: Any) -> Any:
    scale, series = exp_parts(x)
    return scale + scale * series


@exact
def sigmoid(x: Any) -> Any:
    scale, series = exp_parts(-x)
    one = type(x)(1)
    return one / (one + scale + scale * series)


@exact
def tanh(x: Any) -> Any:
    """(e^2x − 1) / (e^2x + 1), without the cancellation near 0."""
    scale, series = exp_parts(x + x)
    one = type(x)(1)
    numerator = scale * series + (scale - one)
    return numerator / (numerator + one + one)


# Products of skinny matrices, in blocks of 4 rows and 4 terms along whole rows of the right factor.


@part
def add_product(left: Array, right: Array, total: Array, columns: int) -> None:
    """total += left @ right in the first columns; left (n, k), right (k, ·), total (n, ·)."""
    rows, terms = left.shape
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


# One memory (V, N) and the vectors that meet it.


@part
def copy(source: Array, target: Array) -> None:
    """target = source, for vectors; numba's own assignment first looks whether they overlap, which costs more."""
    for n in range(len(source)):
        target[n] = source[n]


@part
def add(source: Array, target: Array) -> None:
    """target += source, for vectors."""
    for n in range(len(source)):
        target[n] += source[n]


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
def products_backward(memory: Array, vectors: Array, slopes: Array, squares_slope: Array, memory_slope: Array) -> None:
    """memory_slope(v, n) += Σ_j vectors(j, v) slopes(j, n) + squares_slope(n) memory(v, n), for three vectors or more.

    The first three share one pass over the memory with the squares.
    """
    x, y, z, p, q, r = vectors[0], vectors[1], vectors[2], slopes[0], slopes[1], slopes[2]
    for v in range(len(memory)):
        x0, y0, z0, row, row_slope = x[v], y[v], z[v], memory[v], memory_slope[v]
        for n in range(len(squares_slope)):
            row_slope[n] += x0 * p[n] + y0 * q[n] + z0 * r[n] + squares_slope[n] * row[n]
    for j in range(3, len(vectors)):
        add_outer(memory_slope, vectors[j], slopes[j])


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
def soften(x: Array) -> None:
    """x = softmax(x), in place."""
    highest, total = x[0], x.dtype.type(0)
    for n in range(len(x)):
        highest = larger(x[n], highest)
    for n in range(len(x)):
        x[n] = exp(x[n] - highest)
        total += x[n]
    scale = x.dtype.type(1) / total
    for n in range(len(x)):
        x[n] *= scale


@part
def dot(a: Array, b: Array) -> Any:
    total = a.dtype.type(0)
    for n in range(len(a)):
        total += a[n] * b[n]
    return total


@part
def wrap(x: Array, reach: int, wrapped: Array) -> None:
    """wrapped (N + 2 reach,): x with its ends repeated on the other side."""
    n = len(x)
    copy(x, wrapped[reach:])
    for j in range(reach):
        wrapped[j] = x[n - reach + j]
        wrapped[reach + n + j] = x[j]


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
    memory_slope: Array,
    weighting_slope: Array,
    erase_slope: Array,
    add_slope: Array,
) -> None:
    """The derivative of `erase_and_add` on the memory before it; ``memory_slope`` becomes that of the memory before,
    ``erase_slope`` and ``add_slope`` (V,) are set, ``weighting_slope`` is added to."""
    zero = memory.dtype.type(0)
    for v in range(0, len(memory), 2):
        e0, e1, a0, a1 = erase[v], erase[v + 1], add[v], add[v + 1]
        m0, m1, s0, s1 = memory[v], memory[v + 1], memory_slope[v], memory_slope[v + 1]
        erase0, erase1, add0, add1 = zero, zero, zero, zero
        for n in range(len(weighting)):
            w, d0, d1 = weighting[n], s0[n], s1[n]
            x0, x1 = d0 * m0[n], d1 * m1[n]
            weighting_slope[n] += d0 * a0 + d1 * a1 - (x0 * e0 + x1 * e1)
            erase0 += x0 * w
            erase1 += x1 * w
            add0 += d0 * w
            add1 += d1 * w
            s0[n] = d0 - d0 * w * e0
            s1[n] = d1 - d1 * w * e1
        erase_slope[v], erase_slope[v + 1], add_slope[v], add_slope[v + 1] = -erase0, -erase1, add0, add1


@part
def write(before: Any, weightings: Array, vectors: Array, memory: Array, room: Array) -> None:
    """All erasures, then all additions; weightings (H, N), vectors (H · 2 W) with each head's erase and add.

    ``memory`` becomes that after ``before``, which is None if it is the memory itself. The last head does both in one
    pass, between the erasures and the additions of the others.
    """
    heads = len(weightings)
    width = len(vectors) // (2 * heads)
    erase, add, nothing = room[0], room[1], room[2]
    nothing[:] = 0
    for h in range(heads - 1):
        pad(vectors[2 * width * h : 2 * width * h + width], erase)
        if h:
            erase_and_add(None, weightings[h], erase, nothing, memory)
        else:
            erase_and_add(before, weightings[h], erase, nothing, memory)
    pad(vectors[-2 * width : -width], erase)
    pad(vectors[-width:], add)
    if heads > 1:
        erase_and_add(None, weightings[heads - 1], erase, add, memory)
    else:
        erase_and_add(before, weightings[heads - 1], erase, add, memory)
    for h in range(heads - 1):
        pad(vectors[2 * width * h + width : 2 * width * (h + 1)], add)
        add_outer(memory, add, weightings[h])


@part
def write_backward(
    memory: Array,
    weightings: Array,
    vectors: Array,
    memory_slope: Array,
    weighting_slopes: Array,
    vector_slopes: Array,
    stages: Array,
    room: Array,
) -> None:
    """The derivative of `write` on the memory before it; ``memory_slope`` (V, N) becomes that of the memory before.

    ``stages`` (H − 1, V, N) is room for the memory between two erasures.
    """
    heads = len(weightings)
    width = len(vectors) // (2 * heads)
    erase, add, nothing = room[0], room[1], room[2]
    erase_slope, add_slope = room[3], room[4]
    nothing[:] = 0
    for h in range(heads - 1):
        pad(vectors[2 * width * h : 2 * width * h + width], erase)
        erase_and_add(stages[h - 1] if h else memory, weightings[h], erase, nothing, stages[h])
        pad(vectors[2 * width * h + width : 2 * width * (h + 1)], add)
        add_rows(memory_slope, add, weighting_slopes[h])
        weighted_rows(memory_slope, weightings[h], add_slope)
        for v in range(width):
            vector_slopes[2 * width * h + width + v] += add_slope[v]
    for h in range(heads - 1, -1, -1):
        at = 2 * width * h
        pad(vectors[at : at + width], erase)
        pad(vectors[at + width : at + 2 * width], add)
        before = stages[h - 1] if h else memory
        last = h == heads - 1  # the others' additions are done
        erase_and_add_backward(
            before,
            weightings[h],
            erase,
            add if last else nothing,
            memory_slope,
            weighting_slopes[h],
            erase_slope,
            add_slope,
        )
        for v in range(width):
            vector_slopes[at + v] += erase_slope[v]
            if last:
                vector_slopes[at + width + v] += add_slope[v]


# What the heads emit: a row of parameters (P,), first those of all heads' addressing, then each erase and add.


@part
def head_of(parameters: Array, plan: Any, k: int) -> Array:
    """One head's parameters: key (W), strength, gate, shift (S), sharpness."""
    per_head = plan.width + 3 + plan.shifts
    return parameters[k * per_head : (k + 1) * per_head]


@part
def scaled_key(head: Array, width: int, key: Array) -> Any:
    """The key over its guarded norm, padded to (V,) with zeros; returns the inverse norm."""
    key[:] = 0
    square = dot(head[:width], head[:width]) + head.dtype.type(NORM_GUARD)
    inverse = head.dtype.type(1) / np.sqrt(square)
    for v in range(width):
        key[v] = head[v] * inverse
    return inverse


@part
def softplus(x: Any) -> Any:
    return x if x > SOFTPLUS_LINEAR else type(x)(math.log1p(math.exp(x)))


@part
def softplus_slope(y: Any) -> Any:
    """The derivative of softplus where its value is y."""
    return type(y)(1) if y > SOFTPLUS_LINEAR else type(y)(-math.expm1(-y))


@part
def activate(parameters: Array, plan: Any) -> None:
    """The bounds of all heads' parameters (P,), in place."""
    width, one = plan.width, parameters.dtype.type(1)
    per_head = width + 3 + plan.shifts
    heads = plan.read_heads + plan.write_heads
    for k in range(heads):
        head = head_of(parameters, plan, k)
        if plan.bounded:
            for v in range(width):
                head[v] = tanh(head[v])
        head[width] = softplus(head[width])
        head[width + 1] = sigmoid(head[width + 1])
        soften(head[width + 2 : width + 2 + plan.shifts])
        head[width + 2 + plan.shifts] = one + softplus(head[width + 2 + plan.shifts])
    for h in range(plan.write_heads):
        writing = parameters[heads * per_head + 2 * width * h : heads * per_head + 2 * width * (h + 1)]
        for v in range(width):
            writing[v] = sigmoid(writing[v])
        if plan.bounded:
            for v in range(width, 2 * width):
                writing[v] = tanh(writing[v])


@part
def activate_backward(parameters: Array, gradient: Array, plan: Any) -> None:
    """From the gradient of `activate`'s results to that of its arguments, in place; parameters are the results."""
    width, one = plan.width, parameters.dtype.type(1)
    per_head = width + 3 + plan.shifts
    heads = plan.read_heads + plan.write_heads
    for k in range(heads):
        head, slope = head_of(parameters, plan, k), head_of(gradient, plan, k)
        if plan.bounded:
            for v in range(width):
                slope[v] *= one - head[v] * head[v]
        slope[width] *= softplus_slope(head[width])
        slope[width + 1] *= head[width + 1] * (one - head[width + 1])
        shift, shift_slope = head[width + 2 : width + 2 + plan.shifts], slope[width + 2 : width + 2 + plan.shifts]
        mean = dot(shift, shift_slope)
        for j in range(plan.shifts):
            shift_slope[j] = shift[j] * (shift_slope[j] - mean)
        slope[width + 2 + plan.shifts] *= softplus_slope(head[width + 2 + plan.shifts] - one)
    for h in range(plan.write_heads):
        start = heads * per_head + 2 * width * h
        for v in range(start, start + width):
            gradient[v] *= parameters[v] * (one - parameters[v])
        if plan.bounded:
            for v in range(start + width, start + 2 * width):
                gradient[v] *= one - parameters[v] * parameters[v]


# Addressing.


@part
def cosines(memory: Array, parameters: Array, plan: Any, inverse: Array, keys: Array, result: Array) -> None:
    """The cosine of every head's key with every slot, (K, N); also slots' inverse norms (N,), scaled keys (K, V)."""
    for k in range(len(keys)):
        scaled_key(head_of(parameters, plan, k), plan.width, keys[k])
    products(memory, keys, result, inverse)
    guard, one = memory.dtype.type(NORM_GUARD), memory.dtype.type(1)
    for n in range(len(inverse)):
        inverse[n] = one / np.sqrt(inverse[n] + guard)
    for k in range(len(keys)):
        row = result[k]
        for n in range(len(inverse)):
            row[n] *= inverse[n]


@part
def shifted(weighting: Array, shift: Array, room: Array, result: Array) -> None:
    """The circular convolution, guarded for the logarithm; ``room`` keeps the weighting with its ends wrapped."""
    reach, slots = len(shift) // 2, len(weighting)
    wrap(weighting, reach, room)
    result[:] = weighting.dtype.type(LOG_GUARD)
    for j in range(len(shift)):
        s, moved = shift[j], room[2 * reach - j : 2 * reach - j + slots]
        for n in range(slots):
            result[n] += s * moved[n]


@part
def address(head: Array, plan: Any, content: Array, weighting: Array, room: Array) -> None:
    """One head: the new weighting (N,) replaces the last one, the content weighting replaces the cosines."""
    width = plan.width
    strength, gate, sharpness = head[width], head[width + 1], head[width + 2 + plan.shifts]
    for n in range(len(content)):
        content[n] *= strength
    soften(content)
    for n in range(len(content)):
        weighting[n] += gate * (content[n] - weighting[n])
    shifted(weighting, head[width + 2 : width + 2 + plan.shifts], room, weighting)
    for n in range(len(weighting)):
        weighting[n] = sharpness * log(weighting[n])
    soften(weighting)


@part
def address_backward(
    head: Array,
    plan: Any,
    cosine: Array,
    inverse: Array,
    content: Array,
    weighting: Array,
    previous: Array,
    slope: Array,
    head_slope: Array,
    key_slope: Array,
    norm_slope: Array,
    rooms: Array,
) -> None:
    """The derivative of `address`, from that of its result in ``slope`` (N,), which becomes that of ``previous``.

    Adds to ``head_slope`` for all but the key, whose product with each slot gets the derivative ``key_slope`` (N,), and
    to ``norm_slope`` (N,) what comes through the slots' norms, to be multiplied by the memory.
    """
    width, reach, slots = plan.width, plan.shifts // 2, len(weighting)
    strength, gate, sharpness = head[width], head[width + 1], head[width + 2 + plan.shifts]
    shift, shift_slope = head[width + 2 : width + 2 + plan.shifts], head_slope[width + 2 : width + 2 + plan.shifts]
    zero, one = head.dtype.type(0), head.dtype.type(1)
    room, gated = rooms[0], rooms[1, :slots]

    # sharpening
    for n in range(slots):
        gated[n] = previous[n] + gate * (content[n] - previous[n])
    shifted(gated, shift, room, gated)
    mean, sharpness_slope = dot(weighting, slope), zero
    for n in range(slots):
        through = weighting[n] * (slope[n] - mean)
        sharpness_slope += through * log(gated[n])
        slope[n] = sharpness * through / gated[n]
    head_slope[width + 2 + plan.shifts] += sharpness_slope

    # shift
    for j in range(plan.shifts):
        shift_slope[j] += dot(slope, room[2 * reach - j : 2 * reach - j + slots])
    wrap(slope, reach, room)
    slope[:] = zero
    for j in range(plan.shifts):
        s, moved = shift[j], room[j : j + slots]
        for n in range(slots):
            slope[n] += s * moved[n]

    # interpolation
    gate_slope, mean = zero, zero
    for n in range(slots):
        gate_slope += slope[n] * (content[n] - previous[n])
        mean += slope[n] * content[n]
    head_slope[width + 1] += gate_slope

    # content
    strength_slope = zero
    for n in range(slots):
        similar = gate * content[n] * (slope[n] - mean)
        strength_slope += similar * cosine[n]
        key_slope[n] = similar * strength * inverse[n]
        norm_slope[n] -= key_slope[n] * cosine[n] * inverse[n]
        slope[n] *= one - gate
    head_slope[width] += strength_slope


@part
def key_backward(head: Array, plan: Any, key: Array, key_slope: Array, head_slope: Array) -> None:
    """From the derivative of the key over its norm (V,) to that of the key."""
    inverse = scaled_key(head, plan.width, key)
    along = dot(key_slope, key)
    for v in range(plan.width):
        head_slope[v] += inverse * (key_slope[v] - along * key[v])


# The controller: one layer, rows of a tile.


@part
def lstm_cell(gates: Array, cell: Array, hidden: Array) -> None:
    """From the sums of the gates input, forget, candidate, output (4 size,), bounded in place, to cell and hidden."""
    size = len(cell)
    for j in range(size):
        i, f = sigmoid(gates[j]), sigmoid(gates[size + j])
        g, o = tanh(gates[2 * size + j]), sigmoid(gates[3 * size + j])
        gates[j], gates[size + j], gates[2 * size + j], gates[3 * size + j] = i, f, g, o
        cell[j] = f * cell[j] + i * g
        hidden[j] = o * tanh(cell[j])


@part
def lstm_cell_backward(
    gates: Array, cell: Array, before: Array, hidden_slope: Array, cell_slope: Array, sums: Array
) -> None:
    """From the slopes of hidden and cell to that of the sums (4 size,); the cell's becomes that of the cell before."""
    size, one = len(cell), cell.dtype.type(1)
    for j in range(size):
        i, f, g, o = gates[j], gates[size + j], gates[2 * size + j], gates[3 * size + j]
        bounded = tanh(cell[j])
        slope = cell_slope[j] + hidden_slope[j] * o * (one - bounded * bounded)
        sums[j] = slope * g * i * (one - i)
        sums[size + j] = slope * before[j] * f * (one - f)
        sums[2 * size + j] = slope * i * (one - g * g)
        sums[3 * size + j] = hidden_slope[j] * bounded * o * (one - o)
        cell_slope[j] = slope * f


# The two functions of a tile.


class Room(NamedTuple):
    """Where a thread keeps what belongs to a stretch of steps, from one kept memory to the next, S at most."""

    memories: Any  # (S, tile, V, N), before each step
    joined: Any  # (L, S · tile, D), rows of the tape's that exist, one after the other
    sums: Any  # (L, S · tile, G·C), derivatives of the sums before the gates, in the same order
    hidden: Any  # (S · tile, C), of the last layer
    emitted: Any  # (S · tile, P), derivatives of what the heads emit before the bounds


@part
def running(first: int, last: int, lengths: Array, step: int) -> int:
    """The end of the tile's sequences that have this step; lengths descend."""
    while last > first and lengths[last - 1] <= step:
        last -= 1
    return last


@entry
def forward(
    first: int, last: int, plan: Any, lengths: Array, inputs: Array, weights: Any, state: Any, tape: Any
) -> None:
    """Run sequences first … last − 1: ``state`` goes from initial to final, ``tape`` is filled.

    The matrices of ``weights`` are the other way round than in `ntm_lab.fast.sequence.Weights`: (L, D, G·C) and (C, P).
    """
    steps, size, memory = inputs.shape[0], plan.size, state.memory
    slots, heads, width = memory.shape[2], plan.read_heads + plan.write_heads, plan.width
    reading, writing = plan.read_heads * width, heads * (width + 3 + plan.shifts)
    keys, vectors = np.empty((heads, memory.shape[1]), memory.dtype), np.empty((3, memory.shape[1]), memory.dtype)
    inverse = np.empty(slots, memory.dtype)
    room = np.empty(slots + plan.shifts, memory.dtype)

    for t in range(steps):
        end = running(first, last, lengths, t)
        if end == first:
            break
        kept = min(t, tape.joined.shape[1] - 1)  # without a way back there is room for one step only
        shown = min(t, tape.weightings.shape[0] - 1)
        if t % plan.every == 0 and t // plan.every < len(tape.snapshots):
            for b in range(first, end):
                copy(memory[b].reshape(-1), tape.snapshots[t // plan.every, b].reshape(-1))

        for layer in range(plan.layers):
            joined, gates = tape.joined[layer, kept], tape.gates[layer, kept]
            for b in range(first, end):
                row = joined[b]
                if layer:
                    at = size
                    copy(state.hidden[layer - 1, b], row)
                else:
                    at = inputs.shape[2] + reading
                    copy(inputs[t, b], row)
                    copy(state.reads[b], row[inputs.shape[2] :])
                if plan.recurrent:
                    copy(state.hidden[layer, b], row[at:])
                    at += size
                row[at] = 1
                row[at + 1 :] = 0
                gates[b] = 0
            add_product(joined[first:end], weights.layers[layer], gates[first:end], gates.shape[1])
            for b in range(first, end):
                hidden = state.hidden[layer, b]
                if plan.gated:
                    lstm_cell(gates[b], state.cell[layer, b], hidden)
                    copy(state.cell[layer, b], tape.cells[layer, kept, b])
                else:
                    for j in range(size):
                        gates[b, j] = tanh(gates[b, j])
                        hidden[j] = gates[b, j]

        top = state.hidden[plan.layers - 1]
        for b in range(first, end):
            copy(weights.bias, tape.parameters[shown, b])
        add_product(top[first:end], weights.heads, tape.parameters[shown, first:end], len(weights.bias))

        for b in range(first, end):
            parameters = tape.parameters[shown, b]
            activate(parameters, plan)
            cosines(memory[b], parameters, plan, inverse, keys, tape.content[kept, b])
            for k in range(heads):
                head = head_of(parameters, plan, k)
                address(head, plan, tape.content[kept, b, k], state.weighting[b, k], room)
            copy(state.weighting[b].reshape(-1), tape.weightings[shown, b].reshape(-1))
            for r in range(plan.read_heads):
                weighted_rows(memory[b], state.weighting[b, r], vectors[0])
                copy(vectors[0, :width], state.reads[b, r * width : (r + 1) * width])
            write(None, state.weighting[b, plan.read_heads :], parameters[writing:], memory[b], vectors)
            copy(top[b], tape.outputs[t, b])
            copy(state.reads[b], tape.outputs[t, b, size:])


@entry
def backward(
    first: int,
    last: int,
    plan: Any,
    lengths: Array,
    weights: Any,
    initial: Any,
    tape: Any,
    given: Any,
    inputs: Array,
    state: Any,
    slopes: Any,
    room: Room,
) -> None:
    """The derivative of `forward`: ``state`` goes from that of the final state to that of the initial one.

    ``given`` holds the derivatives of outputs, weightings and bounded parameters (empty: none), ``inputs`` receives
    those of the inputs (empty: not wanted). Those of the weights are added to ``slopes``, whose matrices are as those
    of `forward`.
    """
    steps, size, every, dtype = len(tape.outputs), plan.size, plan.every, state.memory.dtype
    depth, slots = state.memory.shape[1:]
    one = dtype.type(1)
    heads, width = plan.read_heads + plan.write_heads, plan.width
    reading, writing = plan.read_heads * width, heads * (width + 3 + plan.shifts)
    memories = room.memories
    stages = np.empty((plan.write_heads - 1, depth, slots), dtype)
    inverse, norm_slope = np.empty(slots, dtype), np.empty(slots, dtype)
    rooms, vectors = np.empty((2, slots + plan.shifts), dtype), np.empty((5, depth), dtype)
    cosine = np.empty((heads, slots), dtype)
    # what meets in the memory's derivative: derivatives of reads with weightings, keys with their derivatives
    outer_vectors = np.zeros((plan.read_heads + heads, depth), dtype)
    outer_weightings = np.empty((plan.read_heads + heads, slots), dtype)
    read_slopes, keys = outer_vectors[: plan.read_heads], outer_vectors[plan.read_heads :]
    key_slopes = outer_weightings[plan.read_heads :]
    joined = np.empty((last - first, weights.layers.shape[2]), dtype)

    for start in range((steps - 1) // every * every, -1, -every):
        # The memories that the steps of this stretch began with, from the one that was kept
        for b in range(first, running(first, last, lengths, start)):
            copy(tape.snapshots[start // every, b].reshape(-1), memories[0, b - first].reshape(-1))
            for t in range(start + 1, min(start + every, steps, lengths[b])):
                write(
                    memories[t - start - 1, b - first],
                    tape.weightings[t - 1, b, plan.read_heads :],
                    tape.parameters[t - 1, b, writing:],
                    memories[t - start, b - first],
                    vectors,
                )

        rows = 0  # of the room that are taken
        for t in range(min(start + every, steps) - 1, start - 1, -1):
            end = running(first, last, lengths, t)
            emitted = room.emitted[rows : rows + end - first]
            for b in range(first, end):
                memory, memory_slope = memories[t - start, b - first], state.memory[b]
                parameters, parameter_slope = tape.parameters[t, b], emitted[b - first]
                weighting, weighting_slope = tape.weightings[t, b], state.weighting[b]
                previous = tape.weightings[t - 1, b] if t else initial.weighting[b]
                if len(given.parameters):
                    copy(given.parameters[t, b], parameter_slope)
                else:
                    parameter_slope[:] = 0
                if len(given.weightings):
                    add(given.weightings[t, b].reshape(-1), weighting_slope.reshape(-1))
                for r in range(plan.read_heads):
                    copy(state.reads[b, r * width : (r + 1) * width], read_slopes[r])
                    if len(given.outputs):
                        add(given.outputs[t, b, size + r * width : size + (r + 1) * width], read_slopes[r])
                    copy(weighting[r], outer_weightings[r])
                    add_rows(memory, read_slopes[r], weighting_slope[r])

                write_backward(
                    memory,
                    weighting[plan.read_heads :],
                    parameters[writing:],
                    memory_slope,
                    weighting_slope[plan.read_heads :],
                    parameter_slope[writing:],
                    stages,
                    vectors,
                )
                cosines(memory, parameters, plan, inverse, keys, cosine)
                norm_slope[:] = 0
                for k in range(heads):
                    address_backward(
                        head_of(parameters, plan, k),
                        plan,
                        cosine[k],
                        inverse,
                        tape.content[t, b, k],
                        weighting[k],
                        previous[k],
                        weighting_slope[k],
                        head_of(parameter_slope, plan, k),
                        key_slopes[k],
                        norm_slope,
                        rooms,
                    )
                products_backward(memory, outer_vectors, outer_weightings, norm_slope, memory_slope)
                for k in range(heads):
                    weighted_rows(memory, key_slopes[k], vectors[0])
                    key_backward(
                        head_of(parameters, plan, k), plan, keys[k], vectors[0], head_of(parameter_slope, plan, k)
                    )
                activate_backward(parameters, parameter_slope, plan)

            top = state.hidden[plan.layers - 1, first:end]
            if len(given.outputs):
                for b in range(first, end):
                    add(given.outputs[t, b, :size], state.hidden[plan.layers - 1, b])
            add_product(emitted, weights.heads, top, size)

            for layer in range(plan.layers - 1, -1, -1):
                sums = room.sums[layer, rows : rows + end - first]
                for b in range(first, end):
                    copy(tape.joined[layer, t, b], room.joined[layer, rows + b - first])
                    hidden_slope, gates = state.hidden[layer, b], tape.gates[layer, t, b]
                    if plan.gated:
                        before = tape.cells[layer, t - 1, b] if t else initial.cell[layer, b]
                        cell, cell_slope = tape.cells[layer, t, b], state.cell[layer, b]
                        lstm_cell_backward(gates, cell, before, hidden_slope, cell_slope, sums[b - first])
                    else:
                        for j in range(size):
                            sums[b - first, j] = hidden_slope[j] * (one - gates[j] * gates[j])
                below = size if layer else plan.inputs + reading
                stop = below + (size if plan.recurrent else 0)
                joined[:] = 0
                add_product(sums, weights.layers[layer], joined, stop)
                for b in range(first, end):
                    row = joined[b - first]
                    state.hidden[layer, b] = 0
                    copy(row[below:stop], state.hidden[layer, b])
                    if layer:
                        add(row[:below], state.hidden[layer - 1, b])
                    else:
                        copy(row[plan.inputs : below], state.reads[b])
                        if len(inputs):
                            copy(row[: plan.inputs], inputs[t, b])

            for b in range(first, end):
                copy(tape.outputs[t, b, :size], room.hidden[rows + b - first])
                add(emitted[b - first], slopes.bias)
            rows += end - first

        # Many steps at once, so that a row of the sum goes through the cache seldom
        for layer in range(plan.layers):
            joined_rows, sums = room.joined[layer, :rows], room.sums[layer, :rows]
            add_product(joined_rows.T, sums, slopes.layers[layer], sums.shape[1])
        add_product(room.hidden[:rows].T, room.emitted[:rows], slopes.heads, len(slopes.bias))
