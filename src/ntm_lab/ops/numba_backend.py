"""The recurrence on the CPU: the compiled kernels, run on tiles of the batch by as many threads as torch may use."""

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from numba.core import event
from torch import Tensor

from ntm_lab.ops import numba_kernels
from ntm_lab.ops.numba_kernels import Array
from ntm_lab.ops.sequence import Given, Plan, Slopes, State, Tape, Weights

TILE = 16  # sequences whose memories and weights stay in a core's cache together

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
    return _padded(width), slots


def forward(plan: Plan, lengths: Tensor, inputs: Tensor, weights: Weights, initial: State, tape: Tape) -> State:
    state = _working(initial)
    across = Weights(weights.layers.transpose(1, 2).contiguous(), weights.heads.T.contiguous(), weights.bias)
    _on_tiles(
        numba_kernels.forward,
        plan,
        lengths.numpy(),
        inputs.numpy(),
        _arrays(across),
        _arrays(state),
        _arrays(tape),
    )
    return _outside(state, plan)


def backward(
    plan: Plan,
    lengths: Tensor,
    weights: Weights,
    initial: State,
    tape: Tape,
    given: Given,
    final: State,
    slopes: Slopes,
) -> State:
    state = _working(final)
    _on_tiles(
        numba_kernels.backward,
        plan,
        lengths.numpy(),
        _arrays(weights),
        _arrays(initial),
        _arrays(tape),
        _arrays(given),
        _arrays(slopes),
        _arrays(state),
    )
    return _outside(state, plan)


def _padded(width: int) -> int:
    return -(-width // 4) * 4


def _working(state: State) -> State:
    """A copy to be changed in place, its memory as (B, V, N)."""
    batch, slots, width = state.memory.shape
    memory = state.memory.new_zeros(batch, _padded(width), slots)
    memory[:, :width] = state.memory.transpose(1, 2)
    others = {name: part for name, part in state._asdict().items() if name != "memory"}
    copies = {name: part.clone(memory_format=torch.contiguous_format) for name, part in others.items()}
    return State(memory=memory, **copies)


def _outside(state: State, plan: Plan) -> State:
    return state._replace(memory=state.memory[:, : plan.width].transpose(1, 2))


def _arrays(tensors: Any) -> Any:
    return type(tensors)(*(tensor.numpy() for tensor in tensors))


def _on_tiles(kernel: Callable[..., None], plan: Plan, lengths: Array, *arguments: Any) -> None:
    """Run the kernel on the whole batch, tile by tile."""
    batch, threads = len(lengths), torch.get_num_threads()
    tile = min(TILE, max(1, -(-batch // (4 * threads))) * 4)  # products go by 4 rows
    starts = range(0, batch, tile)

    def work(first: int) -> None:
        kernel(first, min(first + tile, batch), plan, lengths, *arguments)

    with _announced():
        if threads == 1 or len(starts) == 1:
            for first in starts:
                work(first)
        else:
            list(_pool(threads).map(work, starts))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "ntm_lab")


os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of its parent's threads


class _Announcement(event.Listener):
    """Tells of a compilation, which takes half a minute and happens once on a machine."""

    def on_start(self, event: Any) -> None:
        _announce()

    def on_end(self, event: Any) -> None:
        pass


@cache
def _announce() -> None:
    log.warning("compiling the numba backend, once on this machine: about half a minute")


def _announced() -> Any:
    return event.install_listener("numba:compile", _Announcement())
