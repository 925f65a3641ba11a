"""The memory access of the Neural Turing Machine: Graves, Wayne, Danihelka 2014 (arXiv 1410.5401)."""

import warnings
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ntm_lab.checks import at_least, number, switch
from ntm_lab.equations import content_weighting, interpolate, read, sharpen, shift_weighting, write
from ntm_lab.nn.access.start import begin_heads
from ntm_lab.nn.contents import Constant
from ntm_lab.nn.weightings import FirstSlot, Uniform
from ntm_lab.types import Access, Field, Group, Kind, Layout


class NTMAccess(Access):
    """R read and H write heads that address by content and by location.

    A step: every head is addressed on the memory as the last step left it; the read heads read it, then the write heads
    change it. Signals: ``read_weighting`` (R, N), ``write_weighting`` (H, N), ``memory`` (N, W). Parameters of all
    K = R + H heads, read heads first: ``key`` (K, W), ``strength``, ``gate`` and ``sharpness`` (K,), ``shift`` (K, S)
    for the offsets −s … s; of the write heads ``erase`` and ``add`` (H, W).

    Args:
        slots, width: N and W.
        init: builds the initial contents, see `ntm_lab.nn.contents`.
        weighting: builds the initial weightings, see `ntm_lab.nn.weightings`.
        read_heads, write_heads: R and H.
        shift_range: S, how many neighbouring offsets a head can shift by, odd: 3 is −1, 0, 1.
        read_gate_bias, write_gate_bias: initial bias of the interpolation gates, by which heads begin to address by
            content (positive) or by location (negative).
        read_strength_bias, write_strength_bias: initial bias of the key strengths, before softplus.
        read_shift_bias, write_shift_bias: initial bias of the shift by 1, before softmax: at 3 heads begin by
            walking forward.
        matched_keys: whether keys begin as what is written: each head's as the add vector of a write head, so that from
            the start addressing by content finds where something like the present was written.
        bounded: whether keys and add vectors pass through tanh.
    """

    machine = "ntm"
    signals: Mapping[str, Kind] = {
        "read_weighting": Kind.WEIGHTING,
        "write_weighting": Kind.WEIGHTING,
        "memory": Kind.MEMORY,
    }

    class State(NamedTuple):
        """Contents, and where all heads are, read heads first."""

        memory: Tensor  # (B, N, W)
        weighting: Tensor  # (B, K, N)

    def __init__(
        self,
        slots: int = 128,
        width: int = 20,
        init: Callable[..., nn.Module] = Constant,
        weighting: Callable[..., nn.Module] = FirstSlot,
        read_heads: int = 1,
        write_heads: int = 1,
        shift_range: int = 3,
        read_gate_bias: float = 0.0,
        write_gate_bias: float = -4.0,
        read_strength_bias: float = 0.0,
        write_strength_bias: float = 0.0,
        read_shift_bias: float = 0.0,
        write_shift_bias: float = 3.0,
        matched_keys: bool = True,
        bounded: bool = True,
    ) -> None:
        super().__init__()
        self.read_heads = at_least("model.read_heads", read_heads, 1)
        self.write_heads = at_least("model.write_heads", write_heads, 1)
        self.bounded = switch("model.bounded", bounded)
        self.matched_keys = switch("model.matched_keys", matched_keys)
        self.slots = at_least("memory.slots", slots, 1)
        self.width = at_least("memory.width", width, 1)
        self.contents = init(slots=slots, width=width)
        self.weightings = weighting(heads=read_heads + write_heads, slots=slots)
        if isinstance(self.contents, Constant) and isinstance(self.weightings, Uniform):
            warnings.warn(
                "memory.init=constant with memory.weighting=uniform: all slots are alike and get the same gradient, "
                "so that no head can ever tell them apart; choose another of the two",
                stacklevel=2,
            )
        self.shift_range = at_least("model.shift_range", shift_range, 1)
        self._check_shift_range(self.slots)
        self.biases = {
            "strength": (
                number("model.read_strength_bias", read_strength_bias),
                number("model.write_strength_bias", write_strength_bias),
            ),
            "gate": (number("model.read_gate_bias", read_gate_bias), number("model.write_gate_bias", write_gate_bias)),
            "shift": (
                number("model.read_shift_bias", read_shift_bias),
                number("model.write_shift_bias", write_shift_bias),
            ),
        }
        vector = "tanh" if bounded else "none"
        self.layout = Layout(
            Group(
                read_heads + write_heads,
                (
                    Field("key", width, vector, Kind.VECTOR),
                    Field("strength", 1, "softplus", Kind.SCALAR),
                    Field("gate", 1, "sigmoid", Kind.GATE),
                    Field("shift", shift_range, "softmax", Kind.DISTRIBUTION),
                    Field("sharpness", 1, "oneplus", Kind.SCALAR),
                ),
            ),
            Group(
                write_heads,
                (Field("erase", width, "sigmoid", Kind.VECTOR), Field("add", width, vector, Kind.VECTOR)),
            ),
        )

    def initial_state(self, batch_size: int, slots: int | None = None) -> State:
        slots = self.slots if slots is None else at_least("memory.slots", slots, 1)
        self._check_shift_range(slots)
        return self.State(self.contents(batch_size, slots), self.weightings(batch_size, slots))

    def step(self, heads: Mapping[str, Tensor], state: State) -> tuple[Tensor, State, dict[str, Tensor]]:
        content = content_weighting(state.memory, heads["key"], heads["strength"])
        gated = interpolate(content, state.weighting, heads["gate"])
        weighting = sharpen(shift_weighting(gated, heads["shift"]), heads["sharpness"])
        read_weighting, write_weighting = self.split(weighting)
        reads = read(state.memory, read_weighting)
        memory = write(state.memory, write_weighting, heads["erase"], heads["add"])
        signals = {"read_weighting": read_weighting, "write_weighting": write_weighting, "memory": memory}
        return reads, self.State(memory, weighting), signals

    def split(self, weighting: Tensor) -> tuple[Tensor, Tensor]:
        """The weightings of the read and of the write heads, from those of all, (…, K, N)."""
        read_weighting, write_weighting = weighting.split((self.read_heads, self.write_heads), -2)
        return read_weighting, write_weighting

    def initialise(self, weight: Tensor, bias: Tensor) -> None:
        rows, biases = begin_heads(self.layout, weight, bias)
        reads = self.read_heads
        if self.matched_keys:
            rows["key"][:reads] = rows["add"][torch.arange(reads) % self.write_heads]
            rows["key"][reads:] = rows["add"]
        forward = min(self.shift_range // 2 + 1, self.shift_range - 1)  # the offset 1, or 0 where there is no other
        for name, (of_reads, of_writes) in self.biases.items():
            column = forward if name == "shift" else 0
            biases[name][:reads, column] = of_reads
            biases[name][reads:, column] = of_writes

    def _check_shift_range(self, slots: int) -> None:
        if self.shift_range % 2 == 0 or self.shift_range > slots:
            raise ValueError(f"model.shift_range={self.shift_range}: must be odd and at most memory.slots={slots}")
