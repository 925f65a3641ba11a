"""Clipping and optimizers, each as one compiled pass over all tensors, which stay where they are.

PyTorch's own functions, which serve any tensors, take several times as long for the dozen small ones of a machine.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import increment_version
from torch.nn import Parameter

LIKE = {torch.float32: np.empty(0, np.float32), torch.float64: np.empty(0, np.float64)}
LARGEST = 1 << 18  # numbers; for more of them PyTorch's several threads are faster

SERVED = {(dtype, torch.strided, True) for dtype in LIKE}
_traits = attrgetter("dtype", "layout", "is_cpu")

Tensors = Sequence[Tensor]


def suited(first: Tensors, *others: Tensors) -> bool:
    """Whether the functions below can serve these kinds of tensors, such as weights and gradients.

    They serve plain tensors of one type on the CPU, and each tensor has the same size in all kinds.
    """
    tensors, sizes = [*chain(first, *others)], [*map(Tensor.numel, first)]
    traits = {*map(_traits, tensors)}
    return (
        len(traits) == 1
        and traits <= SERVED
        and {*map(type, tensors)} <= {Tensor, Parameter}
        and all(map(Tensor.is_contiguous, tensors))
        and all([*map(Tensor.numel, kind)] == sizes for kind in others)
        and (sum(sizes) <= LARGEST or torch.get_num_threads() == 1)
        and _kernels() is not None
    )


def clip_norm(gradients: Tensors, limit: float) -> float:
    """The norm of all gradients as one vector, found in float64; above the limit they are scaled to it, in place."""
    norm: float = _kernels().clip_norm(*_places(gradients), limit)
    if norm > limit:
        increment_version(gradients)
    return norm


def adam(
    weights: Tensors, gradients: Tensors, means: Tensors, squares: Tensors, counts: Tensors, *settings: float
) -> None:
    """A step of Adam (arXiv 1412.6980) with lr, beta1, beta2, eps; ``counts`` of the steps, (), are of float32."""
    places = _places(weights, gradients, means, squares)
    _kernels().adam(*places, _addresses(counts)[0], *settings)
    increment_version((*weights, *means, *squares, *counts))


def graves_rmsprop(
    weights: Tensors, gradients: Tensors, squares: Tensors, means: Tensors, steps: Tensors, *settings: float
) -> None:
    """A step of `ntm_lab.training.optim.GravesRMSProp` with lr, decay, momentum, eps."""
    _kernels().graves_rmsprop(*_places(weights, gradients, squares, means, steps), *settings)
    increment_version((*weights, *squares, *means, *steps))


def warm_up(weights: Iterable[Tensor]) -> None:
    """Compile the functions for weights of this type, or load them from the cache."""
    some = [*weights][:1]
    if suited(some):
        nothing = np.empty((5, 0), np.int64), np.empty(0, np.int64), LIKE[some[0].dtype]
        _kernels().clip_norm(*nothing, 1.0)
        _kernels().adam(*nothing, np.empty(0, np.int64), 0.0, 0.0, 0.0, 0.0)
        _kernels().graves_rmsprop(*nothing, 0.0, 0.0, 0.0, 0.0)


@cache
def _kernels() -> Any:
    """The compiled functions, None if they cannot be had; `ntm_lab.fast.backends` says so."""
    try:
        from ntm_lab.fast.numba import updates
    except Exception:  # a broken installation raises anything
        return None
    return updates


def _addresses(*kinds: Tensors) -> Any:
    """(K, M) of K kinds of M tensors."""
    return np.array([[*map(Tensor.data_ptr, kind)] for kind in kinds], np.int64)


def _places(first: Tensors, *others: Tensors) -> tuple[Any, Any, Any]:
    """The addresses, the sizes (M,), and an array of their type."""
    return _addresses(first, *others), np.array([*map(Tensor.numel, first)], np.int64), LIKE[first[0].dtype]
