"""Elementary functions, loads and stores. All functions let NaN through, which tl.minimum and tl.maximum would not."""

from typing import Any

import triton
import triton.language as tl

from ntm_lab.equations import content

NORM_GUARD = tl.constexpr(content.NORM_GUARD)
SOFTPLUS_LINEAR = tl.constexpr(20.0)  # beyond it PyTorch's softplus is the identity
EXP_LIMIT = tl.constexpr(80.0)  # e^80 is finite in float32
TANH_LIMIT = tl.constexpr(20.0)  # where tanh is 1, in float64 as well


@triton.jit
def load(place: "Any", exists: "Any", like: "Any") -> "Any":
    """Numbers as they are stored, in the type of the arithmetic; 0 where there is none."""
    return tl.load(place, mask=exists, other=0.0).to(like.dtype)


@triton.jit
def store_both(first: "Any", second: "Any", value: "Any", exists: "Any") -> None:
    tl.store(first, value, mask=exists)
    tl.store(second, value, mask=exists)


@triton.jit
def copy(source: "Any", target: "Any", size: "Any", block: tl.constexpr, like: "Any") -> None:
    """Copy numbers that lie one after the other, a block at a time."""
    for first in range(0, size, block):
        number = first + tl.arange(0, block)
        tl.store(target + number, load(source + number, number < size, like), mask=number < size)


@triton.jit
def place_before(series: "Any", initial: "Any", b: "Any", batch: "Any", row: "Any", size: "Any") -> "Any":
    """Where a part of the state is as it was before a step."""
    place = series + (row - batch) * size
    if row < batch:  # the first step
        place = initial + b * size
    return place


@triton.jit
def sigmoid(x: "Any") -> "Any":
    return 1 / (1 + tl.exp(tl.where(x < -EXP_LIMIT, EXP_LIMIT, -x)))


@triton.jit
def exp_minus_one(x: "Any") -> "Any":
    """e^x − 1 of −40 ≤ x ≤ 0 without cancellation near 0: the error of e^x is in both of (e^x − 1) / ln e^x."""
    power = tl.exp(x)
    tiny = power == 1
    return tl.where(tiny, x, (power - 1) * x / tl.log(tl.where(tiny, 0.5, power)))


@triton.jit
def tanh(x: "Any") -> "Any":
    size = tl.where(tl.abs(x) > TANH_LIMIT, TANH_LIMIT, tl.abs(x))
    less = exp_minus_one(-2 * size)
    return tl.where(x < 0, less, -less) / (2 + less)


@triton.jit
def softplus(x: "Any") -> "Any":
    """ln(1 + e^x); what is lost where 1 + e^x is rounded is given back as in `exp_minus_one`."""
    linear = x > SOFTPLUS_LINEAR
    power = tl.exp(tl.where(linear, 0.0, tl.where(x < -EXP_LIMIT, -EXP_LIMIT, x)))
    more = 1 + power
    tiny = more == 1
    return tl.where(linear, x, tl.where(tiny, power, tl.log(more) * (power / tl.where(tiny, 1.0, more - 1))))


@triton.jit
def softplus_derivative(y: "Any") -> "Any":
    """The derivative of softplus where its value is y."""
    linear = y > SOFTPLUS_LINEAR
    return tl.where(linear, 1.0, -exp_minus_one(tl.where(linear, 0.0, -y)))


@triton.jit
def softmax(x: "Any", exists: "Any") -> "Any":
    """Over the elements that exist; 0 elsewhere."""
    x = tl.where(exists, x, -float("inf"))
    power = tl.exp(x - tl.max(x, 0))
    return power / tl.sum(power, 0)


@triton.jit
def inverse_norm(square: "Any") -> "Any":
    """From a sum of squares; tl.rsqrt is no more than an approximation in float64."""
    return 1 / tl.sqrt(square + NORM_GUARD)
