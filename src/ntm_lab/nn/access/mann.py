"""The memory access of the Memory-Augmented Neural Network: Santoro et al. 2016 (arXiv 1605.06065)."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ntm_lab.checks import at_least, number, one_of, share, switch
from ntm_lab.equations import content_weighting, least_used, read
from ntm_lab.nn.access.start import begin_heads
from ntm_lab.nn.contents import Constant
from ntm_lab.types import Access, Field, Group, Kind, Layout


class MANNAccess(Access):
    """Least recently used access: R heads that read by content and write to where they last were or to unused slots.

    A step writes to the R least used slots, which are zeroed before, or to where the gate goes back to; it reads by
    content. Signals: ``read_weighting`` and ``write_weighting`` (R, N), ``usage`` (N,), ``memory`` (N, W). Parameters
    of every head: ``key`` (R, W), ``gate`` (R,), and by the settings ``strength`` (R,), ``add`` and ``late`` (R, W).

    With ``late_write`` a step begins by adding a vector to the slots that were written in the step before: in one-shot
    learning the label of an image comes a step later, and so joins it in its slot. It is what makes one-shot learning
    quick; Santoro's own step is ``late_write=False, key_strength=False, separate_add=False, own_slots=False,
    read_first=False, gate_to="read", usage_decay=0.99, gate_bias=0.0``.

    Args:
        slots, width: N and W.
        init: builds the initial contents, see `ntm_lab.nn.contents`.
        heads: R.
        usage_decay: γ, 0.99 in the paper, 0.95 in public codes.
        key_strength: whether the look-up has a strength β; the paper has none (β = 1), and a perfect match among 127
            unlike slots then gets 2 % of the weighting.
        separate_add: whether what is written is emitted apart from the key; in the paper it is the key.
        late_write: see above.
        read_first: whether reads come before the step's own write (but after a late write) or after it.
        gate_to: ``read`` or ``written``, the last weighting that the gate goes back to; ``read`` in the paper.
        own_slots: whether each head writes to its own one of the R least used slots, or all heads to all of them.
        gate_bias: initial bias of that gate: negative begins with unused slots.
        strength_bias: initial bias of the strength, before 1 + softplus.
        matched_keys: whether keys begin as what is written.
        gain: of the Xavier weights that the heads begin with.

    Raises ValueError for a setting that is not allowed, and where there are more heads than slots.
    """

    machine = "mann"
    signals: Mapping[str, Kind] = {
        "write_weighting": Kind.WEIGHTING,
        "memory": Kind.MEMORY,
        "read_weighting": Kind.WEIGHTING,
        "usage": Kind.USAGE,
    }

    class State(NamedTuple):
        """What goes from step to step."""

        memory: Tensor  # (B, N, W)
        usage: Tensor  # (B, N)
        read_weighting: Tensor  # (B, R, N)
        write_weighting: Tensor  # (B, R, N)

    def __init__(
        self,
        slots: int = 128,
        width: int = 40,
        init: Callable[..., nn.Module] = Constant,
        heads: int = 1,
        usage_decay: float = 0.95,
        key_strength: bool = True,
        separate_add: bool = True,
        late_write: bool = True,
        read_first: bool = True,
        gate_to: str = "read",
        own_slots: bool = True,
        gate_bias: float = -4.0,
        strength_bias: float = 10.0,
        matched_keys: bool = True,
        gain: float = 4.0,
    ) -> None:
        super().__init__()
        self.slots = at_least("memory.slots", slots, 1)
        self.width = at_least("memory.width", width, 1)
        self.read_heads = at_least("model.heads", heads, 1)
        self._check_heads(slots)
        self.usage_decay = share("model.usage_decay", usage_decay)
        self.key_strength = switch("model.key_strength", key_strength)
        self.separate_add = switch("model.separate_add", separate_add)
        self.late_write = switch("model.late_write", late_write)
        self.read_first = switch("model.read_first", read_first)
        self.to_written = one_of("model.gate_to", gate_to, ("read", "written")) == "written"
        self.own_slots = switch("model.own_slots", own_slots)
        self.matched_keys = switch("model.matched_keys", matched_keys)
        self.gain = number("model.gain", gain)
        self.gate_bias = number("model.gate_bias", gate_bias)
        self.strength_bias = number("model.strength_bias", strength_bias)
        self.contents = init(slots=slots, width=width)
        fields = [Field("key", width, "tanh", Kind.VECTOR), Field("gate", 1, "sigmoid", Kind.GATE)]
        if separate_add:
            fields.append(Field("add", width, "tanh", Kind.VECTOR))
        if late_write:
            fields.append(Field("late", width, "tanh", Kind.VECTOR))
        if key_strength:
            fields.append(Field("strength", 1, "oneplus", Kind.SCALAR))
        self.layout = Layout(Group(heads, tuple(fields)))

    def initial_state(self, batch_size: int, slots: int | None = None) -> State:
        slots = self.slots if slots is None else at_least("memory.slots", slots, 1)
        self._check_heads(slots)
        memory = self.contents(batch_size, slots)
        zeros = memory.new_zeros
        heads = (batch_size, self.read_heads, slots)
        return self.State(memory, zeros(batch_size, slots), zeros(*heads), zeros(*heads))

    def step(self, heads: Mapping[str, Tensor], state: State) -> tuple[Tensor, State, dict[str, Tensor]]:
        before = state.memory
        if self.late_write:
            before = least_used.add(before, state.write_weighting, heads["late"])
        least = least_used.least_used(state.usage, self.read_heads)  # (B, R, N)
        targets = least if self.own_slots else least.sum(1, keepdim=True).expand_as(least)
        last = state.write_weighting if self.to_written else state.read_weighting
        write_weighting = least_used.least_recently_used(heads["gate"], last, targets)
        added = heads["add"] if self.separate_add else heads["key"]
        memory = least_used.add(least_used.erase_slots(before, least), write_weighting, added)

        shown = before if self.read_first else memory
        strength = heads["strength"] if self.key_strength else torch.ones_like(heads["gate"])
        read_weighting = content_weighting(shown, heads["key"], strength)
        used = least_used.decayed_usage(state.usage, read_weighting, write_weighting, self.usage_decay)
        after = self.State(memory, used, read_weighting, write_weighting)
        return read(shown, read_weighting), after, after._asdict()

    def initialise(self, weight: Tensor, bias: Tensor) -> None:
        rows, biases = begin_heads(self.layout, weight, bias, self.gain)
        if self.matched_keys and self.separate_add:
            rows["key"][:] = rows["add"]
        biases["gate"][:] = self.gate_bias
        if self.key_strength:
            biases["strength"][:] = self.strength_bias

    def _check_heads(self, slots: int) -> None:
        if self.read_heads > slots:
            raise ValueError(f"model.heads={self.read_heads}: must be at most memory.slots={slots}")
