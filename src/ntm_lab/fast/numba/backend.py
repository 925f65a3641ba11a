"""The recurrence on the CPU: the compiled kernels, run on tiles of the batch by as many threads as torch may use."""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from numba.core import event
from torch import Tensor

from ntm_lab.fast import team
from ntm_lab.fast.numba import kernels
from ntm_lab.fast.numba.kernels import Room
from ntm_lab.fast.sequence import Given, Plan, State, Tape, Weights
from ntm_lab.fast.workspace import Workspace

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
    arguments = inputs.numpy(), _arrays(across), _arrays(state), _arrays(tape)

    def work(first: int, last: int, seat: int) -> None:
        kernels.forward(first, last, plan, lengths.numpy(), *arguments)

    _on_tiles(work, len(lengths))
    return _outside(state, plan)


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
    state = _working(final)
    batch = len(lengths)
    tile, steps = _tile(batch), min(plan.every, len(tape.outputs))
    seats = team.seats(-(-batch // tile))
    (_, sums, columns), emitted = weights.layers.shape, len(weights.bias)
    workspace = Workspace(
        state.memory,
        [
            (seats, steps, tile, *state.memory.shape[1:]),
            (seats, plan.layers, steps * tile, columns),
            (seats, plan.layers, steps * tile, sums),
            (seats, steps * tile, plan.size),
            (seats, steps * tile, emitted),
        ],
    )
    zeros = state.memory.new_zeros
    slopes = Weights(zeros(seats, plan.layers, columns, sums), zeros(seats, plan.size, emitted), zeros(seats, emitted))
    slopes_of, room_of = _by_seat(slopes), _by_seat(Room(*workspace.tensors))
    arguments = *map(_arrays, (weights, initial, tape, given)), inputs.numpy(), _arrays(state)

    def work(first: int, last: int, seat: int) -> None:
        kernels.backward(first, last, plan, lengths.numpy(), *arguments, slopes_of[seat], room_of[seat])

    _on_tiles(work, batch)
    layers, heads, bias = (part[0] if seats == 1 else part.sum(0) for part in slopes)
    return _outside(state, plan), Weights(layers.transpose(1, 2), heads.T, bias)


def _by_seat(parts: Any) -> list[Any]:
    """The arrays of each seat, from tensors whose first dimension is the seat."""
    return [type(parts)(*each) for each in zip(*_arrays(parts), strict=True)]


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


def _tile(batch: int) -> int:
    """How many sequences a thread takes at once."""
    return min(TILE, max(1, -(-batch // (4 * torch.get_num_threads()))) * 4)  # products go by 4 rows


def _on_tiles(work: Callable[[int, int, int], None], batch: int) -> None:
    """Call ``work(first, last, seat)`` for every tile of the batch; no two threads have the same seat."""
    tile = _tile(batch)
    with _announced():
        team.share(lambda seat, number: work(number * tile, min((number + 1) * tile, batch), seat), -(-batch // tile))


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
