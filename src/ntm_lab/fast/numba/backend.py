"""The recurrence on the CPU: the compiled kernels, run on tiles of the batch by as many threads as torch may use."""

import contextlib
import logging
from collections.abc import Callable, Sequence
from functools import cache
from math import prod
from typing import Any, NamedTuple

import torch
from numba.core import event
from torch import Tensor

from ntm_lab.fast import team
from ntm_lab.fast.contract import Plan, State, Tape, Upstream, Weights, each, leaves, rebuild
from ntm_lab.fast.numba import dnc, mann, ntm
from ntm_lab.fast.numba.compiling import Array, cache_folder
from ntm_lab.fast.numba.sequence import Compiled, Scratch
from ntm_lab.fast.workspace import LINE, Workspace
from ntm_lab.types import Layer

MACHINES: dict[str, Compiled] = {"ntm": ntm.KERNELS, "dnc": dnc.KERNELS, "mann": mann.KERNELS}
TILE = 16  # sequences whose memories and weights stay in a core's cache together
CACHE = 1 << 18  # numbers that a core's cache holds

log = logging.getLogger(__name__)


def unsuited(inputs: Tensor) -> str | None:
    """Why this backend cannot serve such inputs, or None."""
    if inputs.device.type != "cpu":
        return f"it runs on the CPU, not on {inputs.device.type}"
    if inputs.dtype not in (torch.float32, torch.float64):
        return f"it computes in float32 and float64, not in {inputs.dtype}"
    return None


def snapshot_shape(slots: int, width: int) -> tuple[int, int]:
    """(V, N)."""
    return _rounded(width, 4), slots


class Packed(NamedTuple):
    """The weights inside the recurrence as the kernels read them."""

    layers: Tensor  # (L, D, G·C), D a multiple of 4
    heads: Tensor  # (P, C)
    turned: Tensor  # (C, P), the same
    bias: Tensor  # (P,)


def joined_width(plan: Plan) -> int:
    """Whole cache lines, along which the gradient of the weights goes."""
    return _rounded(plan.widest, LINE)


def pack(plan: Plan, layers: Sequence[Layer], heads: Tensor, bias: Tensor) -> Packed:
    stacked = bias.new_empty(plan.layers, _rounded(plan.widest, 4), len(layers[0].bias))
    for target, layer, (below, own) in zip(stacked.numpy(), layers, plan.columns, strict=True):
        target[:below] = layer.below.numpy().T  # NumPy takes half the time that PyTorch takes
        if layer.own is not None:
            target[below:own] = layer.own.numpy().T
        target[own] = layer.bias.numpy()
        target[own + 1 :] = 0
    return Packed(stacked, heads.clone(), heads.T.clone(memory_format=torch.contiguous_format), bias.clone())


def forward(plan: Plan, lengths: Tensor, inputs: Tensor, weights: Packed, initial: State, tape: Tape) -> State:
    kernel, state = MACHINES[plan.access.machine].forward, _working(initial, initial)
    arguments = inputs.numpy(), _arrays(weights), _arrays(state), _arrays(tape)

    def work(first: int, last: int, seat: int) -> None:
        _call(kernel, first, last, plan, lengths.numpy(), *arguments)

    _on_tiles(work, lengths.shape[0], _tile(plan, state))
    return _outside(state, initial)


def backward(
    plan: Plan,
    lengths: Tensor,
    weights: Packed,
    initial: State,
    tape: Tape,
    upstream: Upstream,
    final: State,
    inputs: Tensor,
) -> tuple[State, Weights]:
    _, kernel, buffer = MACHINES[plan.access.machine]
    state = _working(final, initial)
    memory, batch = state.access.memory, lengths.shape[0]
    tile, steps = _tile(plan, state), min(plan.every, tape.outputs.shape[0])
    seats = team.seats(-(-batch // tile))
    sums, columns = tape.gates.shape[3], tape.joined.shape[3]
    workspace = Workspace(
        memory,
        [
            (seats, steps, tile, *memory.shape[1:]),
            (seats, plan.layers, steps * tile, columns),
            (seats, plan.layers, steps * tile, sums),
            (seats, steps * tile, plan.size),
            (seats, steps * tile, plan.parameters),
            (seats, *buffer(plan.access, tape.outputs.shape[0], tile, memory.shape[2])),
        ],
    )
    zeros = memory.new_zeros
    grads = Weights(
        zeros(seats, plan.layers, sums, columns),
        zeros(seats, plan.parameters, plan.size),
        zeros(seats, plan.parameters),
    )
    grads_of, scratch_of = _by_seat(Weights, _arrays(grads)), _by_seat(Scratch, workspace.arrays)
    arguments = *map(_arrays, (weights, initial, tape, upstream)), inputs.numpy(), _arrays(state)

    def work(first: int, last: int, seat: int) -> None:
        own = grads_of[seat], scratch_of[seat]
        _call(kernel, first, last, plan, lengths.numpy(), *arguments, *own)

    _on_tiles(work, batch, tile)
    return _outside(state, initial), each(lambda part: part[0] if seats == 1 else part.sum(0), grads)


def _call(kernel: Callable[..., None], *arguments: Any) -> None:
    """Run a kernel. Where compiled code does not fit on the disk, a line says so, and this process uses it."""
    try:
        kernel(*arguments)
    except OSError as error:  # from the cache, before the kernel began
        _say_not_kept(str(error))
        kernel(*arguments)


@cache
def _say_not_kept(error: str) -> None:
    log.warning("the numba backend is compiled anew in the next process: cannot write to %s: %s", cache_folder(), error)


def _by_seat(kind: type[Any], arrays: Sequence[Array]) -> list[Any]:
    """The arrays of each seat, from those whose first dimension is the seat."""
    return [kind(*parts) for parts in zip(*arrays, strict=True)]


def _rounded(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _working(state: State, like: State) -> State:
    """A copy to be changed in place, its memory as (B, V, N); what is None is 0 and of the shape of ``like``."""
    batch, slots, width = like.access.memory.shape
    memory = like.access.memory.new_zeros(batch, _rounded(width, 4), slots)
    if state.access.memory is not None:
        memory.numpy()[:, :width] = state.access.memory.numpy().swapaxes(1, 2)

    def copied(part: Tensor | None, shape: Tensor) -> Tensor:
        if shape is like.access.memory:
            return memory
        return torch.zeros_like(shape) if part is None else part.clone(memory_format=torch.contiguous_format)

    return rebuild(like, map(copied, leaves(state), leaves(like)))


def _outside(state: State, like: State) -> State:
    """The state with its memory as (B, N, W)."""
    width = like.access.memory.shape[2]
    return state._replace(access=state.access._replace(memory=state.access.memory[:, :width].transpose(1, 2)))


def _arrays(parts: Any) -> Any:
    return each(Tensor.numpy, parts)


def _tile(plan: Plan, state: State) -> int:
    """The sequences that a thread takes at once: those that fit its cache, a multiple of 4 for the products."""
    batch, _, slots = state.access.memory.shape
    each = prod(MACHINES[plan.access.machine].buffer(plan.access, 1, 1, slots))
    most = min(TILE, CACHE // each) if each else TILE
    return max(1, min(most // 4, -(-batch // (4 * torch.get_num_threads())))) * 4


def _on_tiles(work: Callable[[int, int, int], None], batch: int, tile: int) -> None:
    """Call ``work(first, last, seat)`` for every tile of the batch; no two threads have the same seat."""
    with _announced():
        team.share(lambda seat, number: work(number * tile, min((number + 1) * tile, batch), seat), -(-batch // tile))


class _Announcement(event.Listener):
    """Tells of a compilation, which takes half a minute."""

    def on_start(self, event: Any) -> None:
        _announce()

    def on_end(self, event: Any) -> None:
        pass


@cache
def _announce() -> None:
    how_often = "once on this machine" if cache_folder() else "in every process"
    log.warning("compiling the numba backend, %s: about half a minute", how_often)


def _announced() -> contextlib.AbstractContextManager[None]:
    return event.install_listener("numba:compile", _Announcement())
