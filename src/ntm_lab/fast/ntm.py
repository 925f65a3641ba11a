"""The Neural Turing Machine as the fast kernels see it: its plan, its state, and the values kept of every step.

K = R + H heads, read heads first; P parameters, N slots of width W, S shifts, T steps, B sequences.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor


class Plan(NamedTuple):
    """Fixed when a model is built. A field of head h begins at ``field + h * stride`` among the parameters."""

    read_heads: int
    write_heads: int
    width: int
    shifts: int
    bounded: bool
    # all heads
    head_stride: int
    key: int
    strength: int
    gate: int
    shift: int
    sharpness: int
    # write heads
    write_stride: int
    erase: int
    add: int

    @property
    def machine(self) -> str:
        """The name of its kernels."""
        return "ntm"


class State(NamedTuple):
    """What goes from step to step; also its gradient."""

    memory: Any  # (B, N, W)
    weighting: Any  # (B, K, N)


class Series(NamedTuple):
    """The results of a step beside reads and parameters; also their gradients."""

    weighting: Any  # (T, B, K, N)


class Saved(NamedTuple):
    """What else is saved for backward."""

    content: Any  # (T, B, K, N), the content weightings


def plan_of(access: Any) -> Plan:
    """The plan of an `ntm_lab.nn.NTMAccess`."""
    places = access.layout.places()
    return Plan(
        read_heads=access.read_heads,
        write_heads=access.write_heads,
        width=access.width,
        shifts=places["shift"].size,
        bounded=access.bounded,
        head_stride=places["key"].stride,
        write_stride=places["erase"].stride,
        **{name: place.start for name, place in places.items()},
    )


def shapes(plan: Plan, batch: int, slots: int) -> tuple[State, Series, Saved]:
    """The shapes of the state, and of one step of the series and the saved tensors. ValueError for too few slots."""
    if plan.shifts // 2 > slots:
        raise ValueError(f"memory: {slots} slots are too few for {plan.shifts} shifts")
    weighting = (batch, plan.read_heads + plan.write_heads, slots)
    return State((batch, slots, plan.width), weighting), Series(weighting), Saved(weighting)


SIGNALS: Mapping[str, Callable[[Any, Series], Tensor]] = {
    "read_weighting": lambda access, series: access.split(series.weighting)[0],
    "write_weighting": lambda access, series: access.split(series.weighting)[1],
}
"""The machine of `ntm_lab.nn.NTMAccess`."""
