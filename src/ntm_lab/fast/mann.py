"""The Memory-Augmented Neural Network as the fast kernels see it: its plan, its state, and the values kept of every
step.

R heads, which all read and write; P parameters, N slots of width W, T steps, B sequences.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor


class Plan(NamedTuple):
    """Fixed when a model is built. A field of head r begins at ``field + r * stride`` among the parameters."""

    heads: int
    width: int
    usage_decay: float
    key_strength: bool
    late_write: bool
    read_first: bool
    to_written: bool
    own_slots: bool
    stride: int
    key: int
    gate: int
    add: int  # the key's place, if that is what is written
    late: int  # 0 if there is none
    strength: int  # 0 if there is none

    @property
    def machine(self) -> str:
        """The name of its kernels."""
        return "mann"


class State(NamedTuple):
    """What goes from step to step; also its gradient."""

    memory: Any  # (B, N, W)
    usage: Any  # (B, N)
    read_weighting: Any  # (B, R, N)
    write_weighting: Any  # (B, R, N)


class Series(NamedTuple):
    """The results of a step beside reads and parameters; also their gradients."""

    usage: Any  # (T, B, N)
    read_weighting: Any  # (T, B, R, N)
    write_weighting: Any  # (T, B, R, N)


class Saved(NamedTuple):
    """What else is saved for backward."""

    rank: Any  # (T, B, N), of the R least used slots: 1 for the least used, 2, …; 0 for all others


def plan_of(access: Any) -> Plan:
    """The plan of an `ntm_lab.nn.MANNAccess`."""
    places = access.layout.places()
    starts = {name: place.start for name, place in places.items()}
    return Plan(
        heads=access.read_heads,
        width=access.width,
        usage_decay=float(access.usage_decay),
        key_strength=access.key_strength,
        late_write=access.late_write,
        read_first=access.read_first,
        to_written=access.to_written,
        own_slots=access.own_slots,
        stride=places["key"].stride,
        key=starts["key"],
        gate=starts["gate"],
        add=starts.get("add", starts["key"]),
        late=starts.get("late", 0),
        strength=starts.get("strength", 0),
    )


def shapes(plan: Plan, batch: int, slots: int) -> tuple[State, Series, Saved]:
    """The shapes of the state, and of one step of the series and the saved tensors. ValueError for too few slots."""
    if plan.heads > slots:
        raise ValueError(f"memory: {slots} slots are too few for {plan.heads} heads")
    usage, weighting = (batch, slots), (batch, plan.heads, slots)
    return (
        State((batch, slots, plan.width), usage, weighting, weighting),
        Series(usage, weighting, weighting),
        Saved(usage),
    )


SIGNALS: Mapping[str, Callable[[Any, Series], Tensor]] = {
    "usage": lambda access, series: series.usage,
    "read_weighting": lambda access, series: series.read_weighting,
    "write_weighting": lambda access, series: series.write_weighting,
}
"""The machine of `ntm_lab.nn.MANNAccess`."""
