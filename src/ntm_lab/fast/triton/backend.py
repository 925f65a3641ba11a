"""The recurrence on a GPU: the Triton kernels, one program per sequence of the batch.

They have run in Triton's interpreter on the CPU and been compiled for NVIDIA GPUs, but never ran on one. In bfloat16
only what is stored is bfloat16: inputs, weights, the tape and the derivatives; all arithmetic, and the state within a
sequence, is float32.

A memory is kept in the registers of one multiprocessor, which bounds it: slots and width, each rounded up to a power of
two, may multiply to 32,768 in float32 (as 1,024 slots of width 20 do) and to 16,384 in float64. At more than half of
that the compiler has to move part of it in and out of the registers, which is slower.
"""

import contextlib
import os
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

from ntm_lab.fast.sequence import Given, Plan, Slopes, State, Tape, Weights, of_weights
from ntm_lab.fast.triton import kernels as triton_kernels
from ntm_lab.fast.triton.kernels import BackwardWork, ForwardWork, Sizes

MEMORY_BYTES = 2**17  # half of the registers of a multiprocessor


def unsuited(inputs: Tensor) -> str | None:
    """Why this backend cannot serve such inputs, or None."""
    if inputs.dtype not in (torch.bfloat16, torch.float32, torch.float64):
        # float16: a weighting below 6e-8 would be stored as 0, and its derivative divides by it
        return f"it stores bfloat16, float32 and float64, not {inputs.dtype}"
    if inputs.device.type == "cpu":
        return None if _interpreted() else "on the CPU it runs only in Triton's interpreter (TRITON_INTERPRET=1)"
    if inputs.device.type != "cuda":
        return f"it runs on CUDA devices, not on {inputs.device.type}"
    if torch.cuda.get_device_capability(inputs.device) < (8, 0):
        return "Triton supports GPUs of compute capability 8.0 and more"
    return None


def snapshot_shape(slots: int, width: int) -> tuple[int, int]:
    """(N, W)."""
    return slots, width


def forward(plan: Plan, lengths: Tensor, inputs: Tensor, weights: Weights, initial: State, tape: Tape) -> State:
    batch, heads, slots = initial.weighting.shape
    aligned = _aligned(weights)
    sizes = _sizes(plan, weights, aligned, slots, _arithmetic(inputs))
    state = _working(initial)
    blank = state.memory.new_empty
    work = ForwardWork(
        joined=blank(batch, sizes.columns),
        emitted=blank(batch, sizes.parameters),
        bounded=blank(batch, sizes.parameters),
        gated=blank(batch, heads, slots),
    )
    steps = tape.joined.shape[1], tape.weightings.shape[0], tape.snapshots.shape[0]
    lengths = lengths.clamp(max=len(inputs))
    _launch(triton_kernels.forward, plan, sizes, lengths, steps, inputs, aligned, state, tape, work)
    return _stored(state, initial)


def backward(
    plan: Plan,
    lengths: Tensor,
    weights: Weights,
    initial: State,
    tape: Tape,
    given: Given,
    final: State,
    inputs: Tensor,
) -> tuple[State, Weights]:
    batch, heads, slots = initial.weighting.shape
    steps = len(tape.outputs)
    aligned = _aligned(weights)
    asked = (len(part) > 0 for part in (given.outputs, given.weightings, inputs))
    sizes = _sizes(plan, weights, aligned, slots, _arithmetic(tape.outputs), *asked)
    state = _working(final)
    blank = state.memory.new_empty
    room = min(plan.every, steps)
    work = BackwardWork(
        memories=blank(batch, room, slots, plan.width),
        shifted=blank(batch, heads, slots),
        emitted=blank(batch, sizes.parameters),
        hidden=blank(batch, plan.size),
        sums=blank(batch, tape.gates.shape[3]),
    )
    lengths = lengths.clamp(max=steps)
    slopes = _slopes(lengths, tape, given, inputs)
    arrays = aligned, initial, tape, given, slopes, state, work
    _launch(triton_kernels.backward, plan, sizes, lengths, (steps, room), *arrays)
    return _stored(state, initial), of_weights(plan, tape, slopes)


def _interpreted() -> bool:
    """Whether the kernels were made for the interpreter, and it is still asked for."""
    return os.environ.get("TRITON_INTERPRET") == "1" and not isinstance(triton_kernels.forward, triton.JITFunction)


def _arithmetic(stored: Tensor) -> torch.dtype:
    return torch.promote_types(stored.dtype, torch.float32)


def _aligned(weights: Weights) -> Weights:
    """The same with rows that begin at multiples of 16 numbers, so that a thread can load several at once."""
    layers, heads = (F.pad(part, (0, -part.shape[-1] % 16)) for part in (weights.layers, weights.heads))
    return Weights(layers, heads, weights.bias)


def _working(state: State) -> State:
    """A copy to be changed in place, in the type of the arithmetic."""
    real = _arithmetic(state.memory)
    return State(*(part.to(real, copy=True, memory_format=torch.contiguous_format) for part in state))


def _slopes(lengths: Tensor, tape: Tape, given: Given, inputs: Tensor) -> Slopes:
    """As the kernel expects them: ``parameters`` begins as the derivatives of the bounded parameters."""
    parameters = torch.zeros_like(tape.parameters)
    if len(given.parameters):  # what is past the end does not depend on anything
        exists = torch.arange(len(parameters), device=lengths.device).unsqueeze(1) < lengths
        parameters = torch.where(exists.unsqueeze(2), given.parameters, parameters)
    return Slopes(inputs, torch.zeros_like(tape.gates), parameters)


def _stored(state: State, like: State) -> State:
    return State(*(part.to(stored.dtype) for part, stored in zip(state, like, strict=True)))


def _sizes(plan: Plan, weights: Weights, aligned: Weights, slots: int, real: torch.dtype, *asked: bool) -> Sizes:
    """ValueError if the memory is too large. ``asked`` are the last fields, in their order."""
    power = triton.next_power_of_2
    columns, strength = weights.layers.shape[2], plan.width
    block_slots, block_width, room = power(slots), power(plan.width), MEMORY_BYTES // real.itemsize
    if block_slots * block_width > room:
        raise ValueError(
            f"memory.slots={slots}: model.backend=triton keeps a memory in registers and allows at most "
            f"{room // block_width} slots of memory.width={plan.width}; backend=reference has no such bound"
        )
    return Sizes(
        slots,
        plan.read_heads + plan.write_heads,
        columns,
        aligned.layers.shape[2],
        aligned.heads.shape[1],
        len(weights.bias),
        strength,
        strength + 1,
        strength + 2,
        strength + 2 + plan.shifts,
        strength + 3 + plan.shifts,
        block_slots,
        block_width,
        power(plan.shifts),
        min(64, power(plan.size)),
        min(64 if real == torch.float64 else 128, power(columns)),
        *asked,
    )


def _launch(kernel: Any, plan: Plan, sizes: Sizes, lengths: Tensor, counts: tuple[int, ...], *arrays: Any) -> None:
    """One program per sequence."""
    batch, device = len(lengths), lengths.device
    constants = Plan(*map(tl.constexpr, plan)), Sizes(*map(tl.constexpr, sizes))
    options = {
        "num_warps": 8 if sizes.block_slots * sizes.block_width <= 8192 else 16,
        "num_stages": 1,  # no load may be moved ahead of the store that it is to see
        "enable_fp_fusion": True,
    }
    with torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext():
        kernel[(batch,)](*constants, batch, *counts, lengths, *arrays, **options)
