"""The Neural Turing Machine's own part: bounds of its heads' parameters, addressing by location, and one step.

A row of parameters (P,) holds the fields of all heads, at the offsets of the plan, see `ntm_lab.fast.ntm.Plan`.
K = R + H heads, read heads first, N slots of width W; a memory is (V, N).
"""

from typing import Any, NamedTuple

import numpy as np

from ntm_lab.equations.location import LOG_GUARD
from ntm_lab.fast.numba.compiling import Array, part, section
from ntm_lab.fast.numba.content import cosines, look_up, look_up_backward, scale, scale_backward
from ntm_lab.fast.numba.elementary import log, sigmoid, soften, softplus, softplus_derivative, tanh
from ntm_lab.fast.numba.memory import add_rows, products_backward, vector_of, weighted_rows, write, write_backward
from ntm_lab.fast.numba.products import accumulate, copy, dot
from ntm_lab.fast.numba.sequence import compiled


@part
def head_of(parameters: Array, plan: Any, k: int) -> Array:
    """The parameters from one head on, so that its fields are at the offsets of the plan."""
    return parameters[k * plan.head_stride :]


@part
def key_of(parameters: Array, plan: Any, k: int) -> Array:
    """A head's key (W,)."""
    start = plan.key + k * plan.head_stride
    return parameters[start : start + plan.width]


@part
def shift_of(head: Array, plan: Any) -> Array:
    """The shift (S,) of a head."""
    return head[plan.shift : plan.shift + plan.shifts]


@part
def activate(parameters: Array, plan: Any) -> None:
    """Bound all heads' parameters (P,), in place."""
    one = parameters.dtype.type(1)
    for k in range(plan.read_heads + plan.write_heads):
        head = head_of(parameters, plan, k)
        if plan.bounded:
            key = key_of(parameters, plan, k)
            for v in range(plan.width):
                key[v] = tanh(key[v])
        head[plan.strength] = softplus(head[plan.strength])
        head[plan.gate] = sigmoid(head[plan.gate])
        soften(shift_of(head, plan))
        head[plan.sharpness] = one + softplus(head[plan.sharpness])
    for h in range(plan.write_heads):
        erase = vector_of(parameters, plan.erase, plan, h)
        for v in range(plan.width):
            erase[v] = sigmoid(erase[v])
        if plan.bounded:
            add = vector_of(parameters, plan.add, plan, h)
            for v in range(plan.width):
                add[v] = tanh(add[v])


@part
def activate_backward(parameters: Array, gradient: Array, plan: Any) -> None:
    """From the gradient of `activate`'s results to that of its arguments, in place; parameters are the results."""
    one = parameters.dtype.type(1)
    for k in range(plan.read_heads + plan.write_heads):
        head, grad = head_of(parameters, plan, k), head_of(gradient, plan, k)
        if plan.bounded:
            key, key_grad = key_of(parameters, plan, k), key_of(gradient, plan, k)
            for v in range(plan.width):
                key_grad[v] *= one - key[v] * key[v]
        grad[plan.strength] *= softplus_derivative(head[plan.strength])
        grad[plan.gate] *= head[plan.gate] * (one - head[plan.gate])
        shift, shift_grad = shift_of(head, plan), shift_of(grad, plan)
        mean = dot(shift, shift_grad)
        for j in range(plan.shifts):
            shift_grad[j] = shift[j] * (shift_grad[j] - mean)
        grad[plan.sharpness] *= softplus_derivative(head[plan.sharpness] - one)
    for h in range(plan.write_heads):
        erase, erase_grad = vector_of(parameters, plan.erase, plan, h), vector_of(gradient, plan.erase, plan, h)
        for v in range(plan.width):
            erase_grad[v] *= erase[v] * (one - erase[v])
        if plan.bounded:
            add, add_grad = vector_of(parameters, plan.add, plan, h), vector_of(gradient, plan.add, plan, h)
            for v in range(plan.width):
                add_grad[v] *= one - add[v] * add[v]


@part
def wrap(x: Array, reach: int, wrapped: Array) -> None:
    """wrapped (N + 2 reach,): x with its ends repeated on the other side."""
    n = len(x)
    copy(x, wrapped[reach:])
    for j in range(reach):
        wrapped[j] = x[n - reach + j]
        wrapped[reach + n + j] = x[j]


@part
def shifted(weighting: Array, shift: Array, wrapped: Array, result: Array) -> None:
    """The circular convolution, guarded for the logarithm; ``wrapped`` keeps the weighting with its ends wrapped."""
    reach, slots = len(shift) // 2, len(weighting)
    wrap(weighting, reach, wrapped)
    result[:] = weighting.dtype.type(LOG_GUARD)
    for j in range(len(shift)):
        s, moved = shift[j], wrapped[2 * reach - j : 2 * reach - j + slots]
        for n in range(slots):
            result[n] += s * moved[n]


@part
def address(head: Array, plan: Any, content: Array, weighting: Array, wrapped: Array) -> None:
    """One head: the new weighting (N,) replaces the last one, the content weighting replaces the cosines."""
    gate, sharpness = head[plan.gate], head[plan.sharpness]
    look_up(content, head[plan.strength])
    for n in range(len(content)):
        weighting[n] += gate * (content[n] - weighting[n])
    shifted(weighting, shift_of(head, plan), wrapped, weighting)
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
    grad: Array,
    head_grad: Array,
    product_grad: Array,
    norm_grad: Array,
    buffers: Array,
) -> None:
    """The gradient of `address`, from that of its result in ``grad`` (N,), which becomes that of ``previous``.

    Adds to ``head_grad`` for all but the key, for which see `look_up_backward`.
    """
    reach, slots = plan.shifts // 2, len(weighting)
    gate, sharpness = head[plan.gate], head[plan.sharpness]
    shift, shift_grad = shift_of(head, plan), shift_of(head_grad, plan)
    zero, one = head.dtype.type(0), head.dtype.type(1)
    wrapped, gated = buffers[0], buffers[1, :slots]

    # sharpening
    for n in range(slots):
        gated[n] = previous[n] + gate * (content[n] - previous[n])
    shifted(gated, shift, wrapped, gated)
    mean, sharpness_grad = dot(weighting, grad), zero
    for n in range(slots):
        through = weighting[n] * (grad[n] - mean)
        sharpness_grad += through * log(gated[n])
        grad[n] = sharpness * through / gated[n]
    head_grad[plan.sharpness] += sharpness_grad

    # shift
    for j in range(plan.shifts):
        shift_grad[j] += dot(grad, wrapped[2 * reach - j : 2 * reach - j + slots])
    wrap(grad, reach, wrapped)
    grad[:] = zero
    for j in range(plan.shifts):
        s, moved = shift[j], wrapped[j : j + slots]
        for n in range(slots):
            grad[n] += s * moved[n]

    # interpolation
    gate_grad, mean = zero, zero
    for n in range(slots):
        gate_grad += grad[n] * (content[n] - previous[n])
        mean += grad[n] * content[n]
    head_grad[plan.gate] += gate_grad
    head_grad[plan.strength] += look_up_backward(
        content, cosine, inverse, head[plan.strength], gate, mean, grad, product_grad, norm_grad
    )
    for n in range(slots):
        grad[n] *= one - gate


# The step


class ForwardScratch(NamedTuple):
    """Buffers of `step`."""

    keys: Any  # (K, V)
    inverse: Any  # (N,), inverse norms of the slots
    wrapped: Any  # (N + S,)
    vectors: Any  # (3, V)


class BackwardScratch(NamedTuple):
    """Buffers of `replay` and `step_backward`."""

    outer_vectors: Any  # (R + K, V): gradients of the reads, scaled keys; they meet the next in the memory's gradient
    outer_weightings: Any  # (R + K, N): read weightings, gradients of the products of scaled keys and slots
    cosine: Any  # (K, N)
    inverse: Any  # (N,), inverse norms of the slots
    norm_grad: Any  # (N,), what comes through them
    weightings: Any  # (2, N + S)
    vectors: Any  # (5, V)
    stages: Any  # (H − 1, V, N), the memory between two erasures


@section
def forward_scratch(plan: Any, state: Any) -> ForwardScratch:
    _, depth, slots = state.memory.shape
    heads, dtype = plan.read_heads + plan.write_heads, state.memory.dtype
    return ForwardScratch(
        np.empty((heads, depth), dtype),
        np.empty(slots, dtype),
        np.empty(slots + plan.shifts, dtype),
        np.empty((3, depth), dtype),
    )


@section
def step(
    plan: Any,
    first: int,
    end: int,
    parameters: Array,
    state: Any,
    reads: Array,
    series: Any,
    saved: Any,
    shown: int,
    kept: int,
    scratch: ForwardScratch,
) -> None:
    keys, inverse, wrapped, vectors = scratch
    width = plan.width
    for b in range(first, end):
        memory, weighting, content, own = state.memory[b], state.weighting[b], saved.content[kept, b], parameters[b]
        activate(own, plan)
        for k in range(len(keys)):
            scale(key_of(own, plan, k), keys[k])
        cosines(memory, keys, inverse, content)
        for k in range(len(keys)):
            address(head_of(own, plan, k), plan, content[k], weighting[k], wrapped)
        copy(weighting.reshape(-1), series.weighting[shown, b].reshape(-1))
        for r in range(plan.read_heads):
            weighted_rows(memory, weighting[r], vectors[0])
            copy(vectors[0, :width], reads[b, r * width : (r + 1) * width])
        write(None, weighting[plan.read_heads :], own, plan, memory, vectors)


@section
def backward_scratch(plan: Any, state: Any, buffer: Array) -> BackwardScratch:
    _, depth, slots = state.memory.shape
    heads, dtype = plan.read_heads + plan.write_heads, state.memory.dtype
    outer = plan.read_heads + heads
    return BackwardScratch(
        np.zeros((outer, depth), dtype),
        np.empty((outer, slots), dtype),
        np.empty((heads, slots), dtype),
        np.empty(slots, dtype),
        np.empty(slots, dtype),
        np.empty((2, slots + plan.shifts), dtype),
        np.empty((5, depth), dtype),
        np.empty((plan.write_heads - 1, depth, slots), dtype),
    )


@section
def replay(
    plan: Any,
    before: Array,
    parameters: Array,
    initial: Any,
    series: Any,
    saved: Any,
    b: int,
    t: int,
    after: Array,
    scratch: BackwardScratch,
) -> None:
    write(before, series.weighting[t, b, plan.read_heads :], parameters, plan, after, scratch.vectors)


@section
def step_backward(
    plan: Any,
    first: int,
    end: int,
    t: int,
    memories: Array,
    parameters: Array,
    initial: Any,
    series: Any,
    saved: Any,
    upstream: Any,
    reads: Array,
    state: Any,
    parameter_grads: Array,
    scratch: BackwardScratch,
) -> None:
    outer_vectors, outer_weightings, cosine, inverse, norm_grad, weightings, vectors, stages = scratch
    reading, width = plan.read_heads, plan.width
    read_grads, keys, product_grads = outer_vectors[:reading], outer_vectors[reading:], outer_weightings[reading:]
    for b in range(first, end):
        memory, own, parameter_grad = memories[b - first], parameters[b], parameter_grads[b - first]
        memory_grad, weighting_grad = state.memory[b], state.weighting[b]
        weighting, content = series.weighting[t, b], saved.content[t, b]
        previous = series.weighting[t - 1, b] if t else initial.weighting[b]
        if len(upstream.weighting):
            accumulate(upstream.weighting[t, b].reshape(-1), weighting_grad.reshape(-1))
        for r in range(reading):
            copy(reads[b, r * width : (r + 1) * width], read_grads[r])
            copy(weighting[r], outer_weightings[r])
            add_rows(memory, read_grads[r], weighting_grad[r])
        write_backward(
            memory,
            weighting[reading:],
            own,
            plan,
            memory_grad,
            weighting_grad[reading:],
            parameter_grad,
            stages,
            vectors,
        )

        for k in range(len(keys)):
            scale(key_of(own, plan, k), keys[k])
        cosines(memory, keys, inverse, cosine)
        norm_grad[:] = 0
        for k in range(len(keys)):
            address_backward(
                head_of(own, plan, k),
                plan,
                cosine[k],
                inverse,
                content[k],
                weighting[k],
                previous[k],
                weighting_grad[k],
                head_of(parameter_grad, plan, k),
                product_grads[k],
                norm_grad,
                weightings,
            )
        products_backward(memory, outer_vectors, outer_weightings, norm_grad, memory_grad)
        for k in range(len(keys)):
            weighted_rows(memory, product_grads[k], vectors[0])
            scale_backward(key_of(own, plan, k), keys[k], vectors[0], key_of(parameter_grad, plan, k))
        activate_backward(own, parameter_grad, plan)


KERNELS = compiled("ntm", forward_scratch, step, backward_scratch, replay, step_backward)
