"""Elementary functions that the compiler can vectorise, which it cannot do with those of the C library."""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from ntm_lab.fast.numba.compiling import OPTIONS, Array, exact, part
from ntm_lab.fast.numba.products import dot

SOFTPLUS_LINEAR = 20.0  # beyond it PyTorch's softplus is the identity


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


@part
def softplus(x: Any) -> Any:
    return x if x > SOFTPLUS_LINEAR else type(x)(math.log1p(math.exp(x)))


@part
def softplus_derivative(y: Any) -> Any:
    """The derivative of softplus where its value is y."""
    return type(y)(1) if y > SOFTPLUS_LINEAR else type(y)(-math.expm1(-y))


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
def soften_backward(y: Array, grad: Array) -> None:
    """From the gradient of y = softmax(x) to that of x, in place."""
    mean = dot(y, grad)
    for n in range(len(y)):
        grad[n] = y[n] * (grad[n] - mean)


@part
def squash(x: Array, wanted: bool) -> None:
    """x = tanh(x), in place, if that is wanted."""
    if wanted:
        for n in range(len(x)):
            x[n] = tanh(x[n])


@part
def squash_backward(y: Array, grad: Array, wanted: bool) -> None:
    """From the gradient of y = tanh(x) to that of x, in place, if that was wanted."""
    if wanted:
        for n in range(len(y)):
            grad[n] *= y.dtype.type(1) - y[n] * y[n]


@part
def open_gates(x: Array) -> None:
    """x = sigmoid(x), in place."""
    for n in range(len(x)):
        x[n] = sigmoid(x[n])


@part
def open_gates_backward(y: Array, grad: Array) -> None:
    """From the gradient of y = sigmoid(x) to that of x, in place."""
    for n in range(len(y)):
        grad[n] *= y[n] * (y.dtype.type(1) - y[n])
