"""The recurrence on a GPU: the Triton kernels, one program per sequence of the batch.

They have run in Triton's interpreter on the CPU and been compiled for NVIDIA GPUs, but never ran on one. In bfloat16
only what is stored is bfloat16: inputs, weights, the tape and the gradients; all arithmetic, and the state within a
sequence, is float32.

A memory is kept in the registers of one multiprocessor, which bounds it: slots and width, each rounded up to a power of
two, may multiply to 32,768 in float32 (as 1,024 slots of width 20 do) and to 16,384 in float64. At more than half of
that the compiler has to move part of it in and out of the registers, which is slower.
"""

import contextlib
import os
from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

from ntm_lab.fast.contract import Gradients, Plan, State, Tape, Upstream, Weights, each, leaves, rebuild
from ntm_lab.fast.triton import dnc, mann, ntm, sequence
from ntm_lab.fast.triton.sequence import BackwardWork, ForwardWork, Hooks, Sizes
from ntm_lab.types import Layer

MACHINES: dict[str, Hooks] = {"ntm": ntm.HOOKS, "dnc": dnc.HOOKS, "mann": mann.HOOKS}
MEMORY_BYTES = 2**17  # half of the registers of a multiprocessor
LINKS = 2**12  # between slots, of which a DNC takes that many at once


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


def joined_width(plan: Plan) -> int:
    """D."""
    return plan.widest


def pack(plan: Plan, layers: Sequence[Layer], heads: Tensor, bias: Tensor) -> Weights:
    """With rows that begin at multiples of 16 numbers, so that a thread can load several at once."""
    rows = [torch.column_stack([part for part in layer if part is not None]) for layer in layers]
    width = _rounded(plan.widest)
    stacked = torch.stack([F.pad(row, (0, width - row.shape[1])) for row in rows])
    return Weights(stacked, F.pad(heads, (0, _rounded(plan.size) - plan.size)), bias.clone())


def forward(plan: Plan, lengths: Tensor, inputs: Tensor, weights: Weights, initial: State, tape: Tape) -> State:
    batch, slots, width = initial.access.memory.shape
    sizes = _sizes(plan, slots, width, _arithmetic(inputs))
    state = _working(initial, initial)
    blank, access = state.access.memory.new_empty, MACHINES[plan.access.machine]
    work = ForwardWork(
        joined=blank(batch, sizes.columns),
        emitted=blank(batch, sizes.parameters),
        bounded=blank(batch, sizes.parameters),
        access=access.forward_work(plan.access, state.access, tape),
    )
    steps = tape.joined.shape[1], tape.parameters.shape[0], tape.snapshots.shape[0]
    lengths = lengths.clamp(max=len(inputs))
    _launch(sequence.forward, [access.step], plan, sizes, lengths, steps, inputs, weights, state, tape, work)
    return _stored(state, initial)


def backward(
    plan: Plan,
    lengths: Tensor,
    weights: Weights,
    initial: State,
    tape: Tape,
    upstream: Upstream,
    final: State,
    inputs: Tensor,
) -> tuple[State, Weights]:
    batch, slots, width = initial.access.memory.shape
    steps = len(tape.outputs)
    asked = len(upstream.outputs) > 0, any(map(len, upstream.series)), len(inputs) > 0
    sizes = _sizes(plan, slots, width, _arithmetic(tape.outputs), *asked)
    state = _working(final, initial)
    blank, access = state.access.memory.new_empty, MACHINES[plan.access.machine]
    memories, lengths = min(plan.every, steps), lengths.clamp(max=steps)
    work = BackwardWork(
        memories=blank(batch, memories, slots, width),
        emitted=blank(batch, sizes.parameters),
        hidden=blank(batch, plan.size),
        sums=blank(batch, tape.gates.shape[3]),
        access=access.backward_work(plan.access, state.access, tape, lengths),
    )
    if any(map(len, upstream.series)):  # the kernel asks for all or none
        parts = zip(upstream.series, tape.series, strict=True)
        series = (part if len(part) else torch.zeros_like(like) for part, like in parts)
        upstream = upstream._replace(series=tape.series._make(series))
    grads = _gradients(lengths, tape, upstream, inputs)
    arrays = weights, initial, tape, upstream, grads, state, work
    functions = [access.replay, access.step_backward]
    _launch(sequence.backward, functions, plan, sizes, lengths, (steps, memories), *arrays)
    return _stored(state, initial), _weight_gradients(plan, tape, grads)


def _interpreted() -> bool:
    """Whether the kernels were made for the interpreter, and it is still asked for."""
    return os.environ.get("TRITON_INTERPRET") == "1" and not isinstance(sequence.forward, triton.JITFunction)


def _arithmetic(stored: Tensor) -> torch.dtype:
    return torch.promote_types(stored.dtype, torch.float32)


def _rounded(size: int) -> int:
    return -(-size // 16) * 16


def _working(state: State, like: State) -> State:
    """A copy to be changed in place, in the type of the arithmetic; what is None is 0, of the shape of ``like``."""
    real = _arithmetic(like.reads)

    def copied(part: Tensor | None, shape: Tensor) -> Tensor:
        if part is None:
            return torch.zeros_like(shape, dtype=real)
        return part.to(real, copy=True, memory_format=torch.contiguous_format)

    return rebuild(like, map(copied, leaves(state), leaves(like)))


def _gradients(lengths: Tensor, tape: Tape, upstream: Upstream, inputs: Tensor) -> Gradients:
    """As the kernel expects them: ``parameters`` begins as the upstream gradient of the bounded parameters."""
    parameters = torch.zeros_like(tape.parameters)
    if len(upstream.parameters):  # what is past the end does not depend on anything
        exists = torch.arange(len(parameters), device=lengths.device).unsqueeze(1) < lengths
        parameters = torch.where(exists.unsqueeze(2), upstream.parameters, parameters)
    return Gradients(inputs, torch.zeros_like(tape.gates), parameters)


def _weight_gradients(plan: Plan, tape: Tape, gradients: Gradients) -> Weights:
    """The gradients of the weights from those of all steps, which are 0 past a sequence's end.

    Each is one large product of matrices.
    """
    sums, joined = gradients.layers.flatten(1, 2), tape.joined.flatten(1, 2)
    emitted, hidden = gradients.parameters.flatten(0, 1), tape.outputs.flatten(0, 1)[:, : plan.size]
    return Weights(sums.transpose(1, 2) @ joined, emitted.T @ hidden, emitted.sum(0))


def _stored(state: State, like: State) -> State:
    return rebuild(state, (part.to(stored.dtype) for part, stored in zip(leaves(state), leaves(like), strict=True)))


def _sizes(plan: Plan, slots: int, width: int, real: torch.dtype, *asked: bool) -> Sizes:
    """ValueError if the memory is too large. ``asked`` are the last fields, in their order."""
    power = triton.next_power_of_2
    block_slots, block_width, possible = power(slots), power(width), MEMORY_BYTES // real.itemsize
    if block_slots * block_width > possible:
        raise ValueError(
            f"memory.slots={slots}: model.backend=triton keeps a memory in registers and allows at most "
            f"{possible // block_width} slots of memory.width={width}; backend=reference has no such bound"
        )
    return Sizes(
        slots,
        width,
        plan.widest,
        _rounded(plan.widest),
        _rounded(plan.size),
        plan.parameters,
        block_slots,
        block_width,
        power(MACHINES[plan.access.machine].largest_field(plan.access)),
        min(block_slots, max(1, LINKS // block_slots)),
        min(64, power(plan.size)),
        min(64 if real == torch.float64 else 128, power(plan.widest)),
        *asked,
    )


def _launch(
    kernel: Any,
    functions: list[Any],
    plan: Plan,
    sizes: Sizes,
    lengths: Tensor,
    counts: tuple[int, ...],
    *arrays: Any,
) -> None:
    """One program per sequence."""
    batch, device = len(lengths), lengths.device
    constants = each(tl.constexpr, plan), each(tl.constexpr, sizes)
    options = {
        "num_warps": 8 if sizes.block_slots * sizes.block_width <= 8192 else 16,
        "num_stages": 1,  # no load may be moved ahead of the store that it is to see
        "enable_fp_fusion": True,
    }
    with torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext():
        kernel[(batch,)](*functions, *constants, batch, *counts, lengths, *arrays, **options)
