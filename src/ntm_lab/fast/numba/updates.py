"""The norm of gradients and the steps of optimizers, each as one pass over all tensors.

Tensors stay where they are, and any number of them costs one call: they come as addresses (K, M) of K kinds (weights,
gradients, …) of M tensors, with sizes (M,); ``like`` is an array of their type.
"""

from math import sqrt
from typing import Any

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from ntm_lab.fast.numba.compiling import Array, entry, part

COUNT = np.empty(0, np.float32)  # the type in which optimizers of PyTorch count their steps


@intrinsic
def pointer(context: Any, address: Any, like: Any) -> Any:
    """The address as a pointer to numbers of the type of ``like``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(like.dtype)(address, like), generate


@part
def at(address: int, size: int, like: Array) -> Array:
    """The tensor at this address, flat."""
    return carray(pointer(address, like), (size,))


@entry
def clip_norm(addresses: Array, sizes: Array, like: Array, limit: float) -> float:
    """The norm of the gradients (1, M), as one vector in float64; above the limit they are scaled to it."""
    total = 0.0
    for n in range(len(sizes)):
        gradient = at(addresses[0, n], sizes[n], like)
        for i in range(len(gradient)):
            total += np.float64(gradient[i]) ** 2
    norm = sqrt(total)
    if norm > limit:
        factor = like.dtype.type(limit / (norm + 1e-6))  # as PyTorch
        for n in range(len(sizes)):
            gradient = at(addresses[0, n], sizes[n], like)
            for i in range(len(gradient)):
                gradient[i] *= factor
    return norm


@entry
def adam(
    addresses: Array, sizes: Array, like: Array, counts: Array, lr: float, beta1: float, beta2: float, eps: float
) -> None:
    """Weights, gradients, means and squares (4, M); the addresses (M,) of the numbers of steps before this one."""
    number = like.dtype.type
    keep1, new1, keep2, new2, guard = number(beta1), number(1 - beta1), number(beta2), number(1 - beta2), number(eps)
    for n in range(len(sizes)):
        weight, gradient = at(addresses[0, n], sizes[n], like), at(addresses[1, n], sizes[n], like)
        mean, square = at(addresses[2, n], sizes[n], like), at(addresses[3, n], sizes[n], like)
        count = at(counts[n], 1, COUNT)
        count[0] += 1
        rate = number(lr / (1 - beta1 ** np.float64(count[0])))
        scale = number(1 / sqrt(1 - beta2 ** np.float64(count[0])))
        for i in range(len(weight)):
            g = gradient[i]
            m, v = keep1 * mean[i] + new1 * g, keep2 * square[i] + new2 * g * g
            mean[i], square[i] = m, v
            weight[i] -= rate * m / (sqrt(v) * scale + guard)


@entry
def graves_rmsprop(
    addresses: Array, sizes: Array, like: Array, lr: float, decay: float, momentum: float, eps: float
) -> None:
    """Weights, gradients, mean squares, means and last steps (5, M)."""
    number = like.dtype.type
    rate, keep, new, going, guard = number(lr), number(decay), number(1 - decay), number(momentum), number(eps)
    for n in range(len(sizes)):
        weight, gradient = at(addresses[0, n], sizes[n], like), at(addresses[1, n], sizes[n], like)
        square, mean = at(addresses[2, n], sizes[n], like), at(addresses[3, n], sizes[n], like)
        last = at(addresses[4, n], sizes[n], like)
        for i in range(len(weight)):
            g = gradient[i]
            v, m = keep * square[i] + new * g * g, keep * mean[i] + new * g
            step = going * last[i] - rate * g / sqrt(max(v - m * m, number(0)) + guard)
            square[i], mean[i], last[i] = v, m, step
            weight[i] += step
