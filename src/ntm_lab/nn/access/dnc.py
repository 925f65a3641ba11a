"""The memory access of the Differentiable Neural Computer: Graves et al. 2016 (Nature 538, 471–476).

With the repairs of Csordás, Schmidhuber 2019 (arXiv 1904.10278) as settings.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ntm_lab.checks import at_least, number, one_of, switch
from ntm_lab.equations import content_weighting, linkage, read, usage, write
from ntm_lab.equations.content import MASK_FLOOR
from ntm_lab.nn.access.start import begin_heads
from ntm_lab.nn.contents import Constant
from ntm_lab.types import Access, Field, Group, Kind, Layout


class DNCAccess(Access):
    """R read heads and one write head, with dynamic allocation and temporal links.

    A step: usage and allocation follow from the last weightings; the write head mixes allocation with a content look-up
    on the old memory and writes; links and precedence take the write in; every read head mixes a content look-up on the
    new memory with the slots written before and after those it read last. All state but the contents starts at 0.

    Signals: ``read_weighting`` (R, N), ``write_weighting`` and ``allocation`` (1, N), ``usage`` (N,), ``memory`` (N, W)
    and, with links, ``precedence`` (N,) and ``link`` (N, N). Parameters of the read heads: ``read_key`` (R, W),
    ``read_strength`` and ``free_gate`` (R,), ``read_mode`` (R, 3) for backward, content, forward; of the write head:
    ``write_key`` (1, W), ``write_strength``, ``allocation_gate`` and ``write_gate`` (1,), ``erase`` and ``add`` (1, W).

    Args:
        slots, width: N and W.
        init: builds the initial contents, see `ntm_lab.nn.contents`.
        read_heads: R.
        links: ``dense``, an N × N matrix of which slot was written after which; or ``none``: reads by content alone.
        masking: whether look-ups compare only the parts of a slot that a mask, emitted with the key, lets through.
        deallocation: whether freeing a slot also clears its contents (after the write look-up).
        link_sharpness: whether forward and backward weightings are sharpened by a strength that is emitted for each.
        cut_usage_gradient: whether no gradient goes from usage to the last write weighting, as in DeepMind's code.
        bounded: whether keys and add vectors pass through tanh.
        allocation_gate_bias, write_gate_bias, free_gate_bias: initial biases of the gates, before the sigmoid.
        backward_mode_bias, content_mode_bias, forward_mode_bias: initial biases of the read modes, before the softmax.
        read_strength_bias, write_strength_bias: initial biases of the key strengths, before 1 + softplus.
        matched_keys: whether keys begin as what is written.

    Raises ValueError for a setting that is not allowed, and for one that needs links where there are none.
    """

    machine = "dnc"

    class State(NamedTuple):
        """What goes from step to step; links and precedence have no slots (N = 0) with ``links="none"``."""

        memory: Tensor  # (B, N, W)
        usage: Tensor  # (B, N)
        read_weighting: Tensor  # (B, R, N)
        write_weighting: Tensor  # (B, 1, N)
        precedence: Tensor  # (B, N)
        link: Tensor  # (B, N, N)

    def __init__(
        self,
        slots: int = 128,
        width: int = 20,
        init: Callable[..., nn.Module] = Constant,
        read_heads: int = 1,
        links: str = "dense",
        masking: bool = False,
        deallocation: bool = False,
        link_sharpness: bool = False,
        cut_usage_gradient: bool = False,
        bounded: bool = True,
        allocation_gate_bias: float = 3.0,
        write_gate_bias: float = 3.0,
        free_gate_bias: float = -4.0,
        backward_mode_bias: float = 0.0,
        content_mode_bias: float = 0.0,
        forward_mode_bias: float = 2.0,
        read_strength_bias: float = 0.0,
        write_strength_bias: float = 0.0,
        matched_keys: bool = True,
    ) -> None:
        super().__init__()
        self.slots = at_least("memory.slots", slots, 1)
        self.width = at_least("memory.width", width, 1)
        self.read_heads = at_least("model.read_heads", read_heads, 1)
        self.links = one_of("model.links", links, ("none", "dense")) == "dense"
        self.masking = switch("model.masking", masking)
        self.deallocation = switch("model.deallocation", deallocation)
        self.link_sharpness = switch("model.link_sharpness", link_sharpness)
        self.cut_usage_gradient = switch("model.cut_usage_gradient", cut_usage_gradient)
        self.matched_keys = switch("model.matched_keys", matched_keys)
        if link_sharpness and not self.links:
            raise ValueError("model.link_sharpness=true: needs model.links=dense")
        self.contents = init(slots=slots, width=width)
        modes = (backward_mode_bias, content_mode_bias, forward_mode_bias)
        names = ("backward_mode_bias", "content_mode_bias", "forward_mode_bias")
        self.biases: dict[str, list[float]] = {
            "free_gate": [number("model.free_gate_bias", free_gate_bias)],
            "allocation_gate": [number("model.allocation_gate_bias", allocation_gate_bias)],
            "write_gate": [number("model.write_gate_bias", write_gate_bias)],
            "read_strength": [number("model.read_strength_bias", read_strength_bias)],
            "write_strength": [number("model.write_strength_bias", write_strength_bias)],
            "read_mode": [number(f"model.{name}", value) for name, value in zip(names, modes, strict=True)],
        }
        self.layout = self._layout("tanh" if switch("model.bounded", bounded) else "none")
        self.signals = {
            "usage": Kind.USAGE,
            "allocation": Kind.WEIGHTING,
            "write_weighting": Kind.WEIGHTING,
            "memory": Kind.MEMORY,
            **({"link": Kind.MATRIX, "precedence": Kind.USAGE} if self.links else {}),
            "read_weighting": Kind.WEIGHTING,
        }

    def _layout(self, vector: str) -> Layout:
        width = self.width
        read = [
            Field("read_key", width, vector, Kind.VECTOR),
            Field("read_strength", 1, "oneplus", Kind.SCALAR),
            Field("free_gate", 1, "sigmoid", Kind.GATE),
        ]
        write = [
            Field("write_key", width, vector, Kind.VECTOR),
            Field("write_strength", 1, "oneplus", Kind.SCALAR),
            Field("allocation_gate", 1, "sigmoid", Kind.GATE),
            Field("write_gate", 1, "sigmoid", Kind.GATE),
            Field("erase", width, "sigmoid", Kind.VECTOR),
            Field("add", width, vector, Kind.VECTOR),
        ]
        if self.links:
            read.append(Field("read_mode", 3, "softmax", Kind.DISTRIBUTION))  # backward, content, forward
        if self.link_sharpness:
            read.append(Field("backward_sharpness", 1, "oneplus", Kind.SCALAR))
            read.append(Field("forward_sharpness", 1, "oneplus", Kind.SCALAR))
        if self.masking:
            read.append(Field("read_mask", width, "sigmoid", Kind.VECTOR))
            write.append(Field("write_mask", width, "sigmoid", Kind.VECTOR))
        return Layout(Group(self.read_heads, tuple(read)), Group(1, tuple(write)))

    def initial_state(self, batch_size: int, slots: int | None = None) -> State:
        slots = self.slots if slots is None else at_least("memory.slots", slots, 1)
        memory = self.contents(batch_size, slots)
        zeros = memory.new_zeros
        linked = slots if self.links else 0
        return self.State(
            memory=memory,
            usage=zeros(batch_size, slots),
            read_weighting=zeros(batch_size, self.read_heads, slots),
            write_weighting=zeros(batch_size, 1, slots),
            precedence=zeros(batch_size, linked),
            link=zeros(batch_size, linked, linked),
        )

    def step(self, heads: Mapping[str, Tensor], state: State) -> tuple[Tensor, State, dict[str, Tensor]]:
        kept = usage.retention(heads["free_gate"], state.read_weighting)  # (B, N)
        last_write = state.write_weighting.detach() if self.cut_usage_gradient else state.write_weighting
        used = usage.usage(state.usage, last_write.squeeze(1), kept)
        allocation = usage.allocation(used).unsqueeze(1)  # (B, 1, N)

        content = self._look_up(state.memory, heads, "write")
        chosen = heads["allocation_gate"] * allocation + (1 - heads["allocation_gate"]) * content
        write_weighting = heads["write_gate"] * chosen
        contents = state.memory * kept.unsqueeze(2) if self.deallocation else state.memory
        memory = write(contents, write_weighting, heads["erase"], heads["add"])

        read_weighting = self._look_up(memory, heads, "read")  # by content
        precedence, link = state.precedence, state.link
        if self.links:
            written = write_weighting.squeeze(1)
            link = linkage.link(state.link, state.precedence, written)  # with the precedence of the last step
            precedence = linkage.precedence(state.precedence, written)
            forward = linkage.forward_weighting(link, state.read_weighting)
            backward = linkage.backward_weighting(link, state.read_weighting)
            if self.link_sharpness:
                forward = linkage.sharpen_links(forward, heads["forward_sharpness"])
                backward = linkage.sharpen_links(backward, heads["backward_sharpness"])
            read_weighting = linkage.mix_modes(backward, read_weighting, forward, heads["read_mode"])

        after = self.State(memory, used, read_weighting, write_weighting, precedence, link)
        return read(memory, read_weighting), after, after._asdict() | {"allocation": allocation}

    def _look_up(self, memory: Tensor, heads: Mapping[str, Tensor], kind: str) -> Tensor:
        """The content weighting of the read or of the write heads."""
        mask = MASK_FLOOR + (1 - MASK_FLOOR) * heads[f"{kind}_mask"] if self.masking else None
        return content_weighting(memory, heads[f"{kind}_key"], heads[f"{kind}_strength"], mask)

    def initialise(self, weight: Tensor, bias: Tensor) -> None:
        rows, biases = begin_heads(self.layout, weight, bias)
        if self.matched_keys:
            rows["read_key"][:] = rows["add"]
            rows["write_key"][:] = rows["add"]
        for name, values in self.biases.items():
            if name in biases:
                biases[name][:] = torch.tensor(values)
