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
