"""Addressing by content: cosines, their softmax, and the gradients of both."""

from typing import Any

import numpy as np

from ntm_lab.equations.content import NORM_GUARD
from ntm_lab.fast.numba.compiling import Array, part
from ntm_lab.fast.numba.elementary import soften
from ntm_lab.fast.numba.memory import products, squares
from ntm_lab.fast.numba.products import add_product, dot


@part
def scale(key: Array, scaled: Array) -> Any:
    """The key (W,) over its guarded norm, padded to (V,) with zeros; returns the inverse norm."""
    scaled[:] = 0
    square = dot(key, key) + key.dtype.type(NORM_GUARD)
    inverse = key.dtype.type(1) / np.sqrt(square)
    for v in range(len(key)):
        scaled[v] = key[v] * inverse
    return inverse


@part
def scale_backward(key: Array, scaled: Array, scaled_grad: Array, key_grad: Array) -> None:
    """From the gradient of the scaled key (V,) to that of the key (W,), which is added to; ``scaled`` is set."""
    inverse = scale(key, scaled)
    along = dot(scaled_grad, scaled)
    for v in range(len(key)):
        key_grad[v] += inverse * (scaled_grad[v] - along * scaled[v])


@part
def cosines(memory: Array, keys: Array, inverse: Array, result: Array) -> None:
    """The cosine of every scaled key (K, V) with every slot, (K, N); also the slots' inverse norms (N,)."""
    products(memory, keys, result, inverse)
    normalise(inverse, result)


@part
def cosines_of(memory: Array, keys: Array, inverse: Array, result: Array) -> None:
    """As `cosines`, of any number of keys."""
    squares(memory, inverse)
    for k in range(len(keys)):
        result[k] = 0
    add_product(keys, memory, result, len(inverse))
    normalise(inverse, result)


@part
def normalise(inverse: Array, result: Array) -> None:
    """From the slots' sums of squares to their inverse norms (N,), and from products (K, N) to cosines."""
    guard, one = inverse.dtype.type(NORM_GUARD), inverse.dtype.type(1)
    for n in range(len(inverse)):
        inverse[n] = one / np.sqrt(inverse[n] + guard)
    for k in range(len(result)):
        row = result[k]
        for n in range(len(inverse)):
            row[n] *= inverse[n]


@part
def look_up(cosine: Array, strength: Any) -> None:
    """The content weighting (N,) replaces the cosines."""
    for n in range(len(cosine)):
        cosine[n] *= strength
    soften(cosine)


@part
def look_up_backward(
    content: Array,
    cosine: Array,
    inverse: Array,
    strength: Any,
    gate: Any,
    mean: Any,
    grad: Array,
    product_grad: Array,
    norm_grad: Array,
) -> Any:
    """The gradient of `look_up`, from ``gate`` times ``grad`` (N,), whose mean under the content weighting is ``mean``.

    Returns the gradient of the strength and sets ``product_grad`` (N,), that of the products of scaled key and slots.
    Adds to ``norm_grad`` (N,) what comes through the slots' norms, to be multiplied by the memory.
    """
    strength_grad = content.dtype.type(0)
    for n in range(len(content)):
        similar = gate * content[n] * (grad[n] - mean)
        strength_grad += similar * cosine[n]
        product_grad[n] = similar * strength * inverse[n]
        norm_grad[n] -= product_grad[n] * cosine[n] * inverse[n]
    return strength_grad


# Cosines as seen through a mask m (Csordás, Schmidhuber 2019), in which a slot's norm depends on the key that it meets


@part
def direction(key: Array, squares: Array, scaled: Array) -> Any:
    """m² ∘ key over the guarded norm of m ∘ key, (V,), from the key (W,) and m² (V,); returns the inverse norm."""
    width = len(key)
    square = key.dtype.type(NORM_GUARD)
    for v in range(width):
        square += key[v] * key[v] * squares[v]
    inverse = key.dtype.type(1) / np.sqrt(square)
    for v in range(width):
        scaled[v] = key[v] * squares[v] * inverse
    scaled[width:] = 0
    return inverse


@part
def direction_backward(
    key: Array, squares: Array, scaled: Array, scaled_grad: Array, key_grad: Array, squares_grad: Array
) -> None:
    """The gradient of `direction`: adds to those of the key (W,) and of m² (V,); ``scaled`` is set."""
    inverse = direction(key, squares, scaled)
    along, half = inverse * dot(scaled_grad, scaled), key.dtype.type(0.5)
    for v in range(len(key)):
        key_grad[v] += inverse * squares[v] * (scaled_grad[v] - along * key[v])
        squares_grad[v] += inverse * key[v] * (scaled_grad[v] - half * along * key[v])


@part
def compare_rows(
    r0: Array, r1: Array, r2: Array, r3: Array, x: Array, s: Array, v: int, result: Array, norm: Array
) -> None:
    """`compare` of the memory's rows from v on."""
    x0, x1, x2, x3, s0, s1, s2, s3 = x[v], x[v + 1], x[v + 2], x[v + 3], s[v], s[v + 1], s[v + 2], s[v + 3]
    for n in range(len(result)):
        m0, m1, m2, m3 = r0[n], r1[n], r2[n], r3[n]
        result[n] += x0 * m0 + x1 * m1 + x2 * m2 + x3 * m3
        norm[n] += s0 * m0 * m0 + s1 * m1 * m1 + s2 * m2 * m2 + s3 * m3 * m3


@part
def compare(memory: Array, scaled: Array, squares: Array, inverse: Array, cosine: Array) -> None:
    """The cosine (N,) of a key that `direction` has scaled with every slot, and the slots' inverse norms (N,)."""
    guard, one = memory.dtype.type(NORM_GUARD), memory.dtype.type(1)
    cosine[:], inverse[:] = 0, guard
    for v in range(0, len(memory), 4):
        compare_rows(memory[v], memory[v + 1], memory[v + 2], memory[v + 3], scaled, squares, v, cosine, inverse)
    for n in range(len(cosine)):
        inverse[n] = one / np.sqrt(inverse[n])
        cosine[n] *= inverse[n]


@part
def compare_rows_backward(
    r0: Array,
    r1: Array,
    g0: Array,
    g1: Array,
    x0: Any,
    x1: Any,
    s0: Any,
    s1: Any,
    product_grad: Array,
    norm_grad: Array,
) -> tuple[Any, Any, Any, Any]:
    """`compare_backward` of two rows of the memory; returns the gradients of x and twice those of s."""
    zero = r0.dtype.type(0)
    a0, a1, b0, b1 = zero, zero, zero, zero
    for n in range(len(product_grad)):
        p, q, m0, m1 = product_grad[n], norm_grad[n], r0[n], r1[n]
        a0 += p * m0
        a1 += p * m1
        b0 += q * m0 * m0
        b1 += q * m1 * m1
        g0[n] += x0 * p + s0 * q * m0
        g1[n] += x1 * p + s1 * q * m1
    return a0, a1, b0, b1


@part
def compare_backward(
    memory: Array,
    scaled: Array,
    squares: Array,
    product_grad: Array,
    norm_grad: Array,
    memory_grad: Array,
    scaled_grad: Array,
    squares_grad: Array,
) -> None:
    """The gradient of `compare`, from those that `look_up_backward` gives.

    Adds to that of the memory, sets those of the scaled key and of m² (V,).
    """
    half = memory.dtype.type(0.5)
    for v in range(0, len(memory), 2):
        a0, a1, b0, b1 = compare_rows_backward(
            memory[v],
            memory[v + 1],
            memory_grad[v],
            memory_grad[v + 1],
            scaled[v],
            scaled[v + 1],
            squares[v],
            squares[v + 1],
            product_grad,
            norm_grad,
        )
        scaled_grad[v], scaled_grad[v + 1] = a0, a1
        squares_grad[v], squares_grad[v + 1] = half * b0, half * b1
