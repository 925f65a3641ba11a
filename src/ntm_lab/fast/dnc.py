"""The Differentiable Neural Computer as the fast kernels see it: its plan, its state, and the values kept of a step.

R read heads and one write head; P parameters, N slots of width W, T steps, B sequences. Without links there are M = 0
linked slots, else M = N.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ntm_lab.fast.contract import Sparse


class Plan(NamedTuple):
    """Sizes and settings that are fixed when a model is built.

    A field of the read head h begins at ``field + h * stride`` among the parameters; one that there is not, at 0.
    """

    read_heads: int
    width: int
    bounded: bool
    links: bool
    masking: bool
    deallocation: bool
    link_sharpness: bool
    cut_usage_gradient: bool
    # read heads
    stride: int
    read_key: int
    read_strength: int
    free_gate: int
    read_mode: int  # backward, content, forward
    backward_sharpness: int
    forward_sharpness: int
    read_mask: int
    # the write head
    write_key: int
    write_strength: int
    allocation_gate: int
    write_gate: int
    erase: int
    add: int
    write_mask: int

    @property
    def machine(self) -> str:
        """The name of its kernels."""
        return "dnc"


class State(NamedTuple):
    """What goes from step to step; also its gradient."""

    memory: Any  # (B, N, W)
    usage: Any  # (B, N)
    read_weighting: Any  # (B, R, N)
    write_weighting: Any  # (B, 1, N)
    precedence: Any  # (B, M)
    link: Any  # (B, M, M)


class Series(NamedTuple):
    """The results of a step beside reads and parameters; also their gradients."""

    usage: Any  # (T, B, N)
    allocation: Any  # (T, B, 1, N)
    write_weighting: Any  # (T, B, 1, N)
    read_weighting: Any  # (T, B, R, N)
    precedence: Any  # (T, B, M)


class Saved(NamedTuple):
    """What else is saved for backward."""

    forward: Any  # (T, B, R, M), where the links lead, before any sharpening
    backward: Any  # (T, B, R, M)
    links: Any  # (T / spacing, B, M, M), the links before the steps 0, spacing, 2 spacing, …


SIGNALS: Mapping[str, Callable[[Any, Series], Any]] = {
    "usage": lambda access, series: series.usage,
    "allocation": lambda access, series: series.allocation,
    "write_weighting": lambda access, series: series.write_weighting,
    "read_weighting": lambda access, series: series.read_weighting,
    "precedence": lambda access, series: series.precedence,
}
"""The machine of `ntm_lab.nn.DNCAccess`."""


def plan_of(access: Any) -> Plan:
    """The plan of an `ntm_lab.nn.DNCAccess`."""
    places = access.layout.places()
    settings = {
        "read_heads": access.read_heads,
        "width": access.width,
        "bounded": access.layout.fields["add"].bound == "tanh",
        "links": access.links,
        "masking": access.masking,
        "deallocation": access.deallocation,
        "link_sharpness": access.link_sharpness,
        "cut_usage_gradient": access.cut_usage_gradient,
        "stride": places["read_key"].stride,
    }
    starts = {name: place.start for name, place in places.items()}
    return Plan(**{name: settings.get(name, starts.get(name, 0)) for name in Plan._fields})


def shapes(plan: Plan, batch: int, slots: int) -> tuple[State, Series, Saved]:
    """The shapes of the state, and of one step of the series and the saved tensors."""
    linked = slots if plan.links else 0
    usage, written, read = (batch, slots), (batch, 1, slots), (batch, plan.read_heads, slots)
    precedence, link, followed = (batch, linked), (batch, linked, linked), (batch, plan.read_heads, linked)
    return (
        State((batch, slots, plan.width), usage, read, written, precedence, link),
        Series(usage, written, written, read, precedence),
        Saved(followed, followed, Sparse(link_spacing, link)),
    )


def link_spacing(steps: int) -> int:
    """The number of steps between two links that are saved for backward, which recomputes as many: about √T takes the
    least memory."""
    return max(1, round(steps**0.5))
