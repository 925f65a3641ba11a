"""The Neural Turing Machine: Graves, Wayne, Danihelka 2014 (arXiv 1410.5401)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ntm_lab.checks import at_least, number, switch
from ntm_lab.memory import Memory
from ntm_lab.models.padding import freeze
from ntm_lab.models.signals import chosen
from ntm_lab.ops import address, backends, read, sequence, write
from ntm_lab.types import Controller, ControllerState, HeadParameters, Layer, SequenceModel


class NTMState(NamedTuple):
    """All that an NTM carries from one step to the next."""

    controller: ControllerState
    memory: Tensor  # (B, N, W)
    weighting: Tensor  # (B, R + H, N), read heads first
    reads: Tensor  # (B, R, W)


class NTM(SequenceModel):
    """A controller with R read and H write heads on a memory of N slots of width W.

    A step: the controller sees the input and the last reads; its output sets all heads, which are addressed on the
    memory as the last step left it; the read heads read it, then the write heads change it; output and reads
    together give the logits. `trace` knows these signals, (B, T, …):

    =======================================  =========  ==========================================
    ``read_weighting``, ``write_weighting``  (R|H, N)   where the heads are
    ``reads``                                (R, W)     what was read
    ``memory``                               (N, W)     contents after the step
    ``key``                                  (K, W)     K = R + H heads, read heads first
    ``strength``, ``gate``, ``sharpness``    (K,)
    ``shift``                                (K, S)     offsets −s … s
    ``erase``, ``add``                       (H, W)
    =======================================  =========  ==========================================

    Args:
        input_size, output_size: the task's widths I and O.
        controller: builds the controller from its input width, I + R·W.
        memory: builds the initial memory from the number of heads.
        read_heads, write_heads: R and H.
        shift_range: how many neighbouring offsets a head can shift by, odd: 3 is −1, 0, 1.
        read_gate_bias, write_gate_bias: initial bias of the interpolation gates, by which heads begin to address by
            content (positive) or by location (negative).
        read_strength_bias, write_strength_bias: initial bias of the key strengths, before softplus.
        read_shift_bias, write_shift_bias: initial bias of the shift by 1, before softmax: at 3 heads begin by
            walking forward.
        matched_keys: whether keys begin as what is written: each head's as the add vector of a write head, so that from
            the start addressing by content finds where something like the present was written.
        bounded: whether keys and add vectors pass through tanh.
        backend: what runs the steps. ``reference``: the equations below, one step after the other. ``numba`` and
            ``triton``: the same as one operation of the whole sequence, on the CPU or a GPU, differentiable once.
            ``auto``: the fast one of the device, or where that cannot serve the reference, with a line that says why.
        checkpoint_every: of how many memories a fast backend keeps one for the way back; the others are computed again.
    """

    signals = (
        *("read_weighting", "write_weighting", "reads", "memory"),
        *("key", "strength", "gate", "shift", "sharpness", "erase", "add"),
    )

    def __init__(
        self,
        input_size: int,
        output_size: int,
        controller: Callable[[int], Controller],
        memory: Callable[..., Memory],
        read_heads: int = 1,
        write_heads: int = 1,
        shift_range: int = 3,
        read_gate_bias: float = 0.0,
        write_gate_bias: float = 0.0,
        read_strength_bias: float = 0.0,
        write_strength_bias: float = 0.0,
        read_shift_bias: float = 0.0,
        write_shift_bias: float = 0.0,
        matched_keys: bool = True,
        bounded: bool = True,
        backend: str = "auto",
        checkpoint_every: int = 8,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.read_heads = at_least("model.read_heads", read_heads, 1)
        self.write_heads = at_least("model.write_heads", write_heads, 1)
        self.bounded = switch("model.bounded", bounded)
        self.backend = backends.check_name(backend)
        self.checkpoint_every = at_least("model.checkpoint_every", checkpoint_every, 1)
        self.memory = memory(heads=read_heads + write_heads)
        width = self.memory.width
        self.shift_range = at_least("model.shift_range", shift_range, 1)
        self._check_shift_range(self.memory.slots)

        self.controller = controller(input_size + read_heads * width)
        size = self.controller.size
        self.address_sizes = (width, 1, 1, shift_range, 1)  # key, strength, gate, shift, sharpness
        addressing, writing = (read_heads + write_heads) * sum(self.address_sizes), write_heads * 2 * width
        self.head_sizes = (addressing, writing)
        self.heads = nn.Linear(size, addressing + writing)
        self.output = nn.Linear(size + read_heads * width, output_size)
        self.reads = nn.Parameter(torch.zeros(read_heads, width))

        with torch.no_grad():
            for weight in self.heads.weight.split(self.head_sizes):
                # PyTorch's default is half as large, and from it copy is learned later and not by every seed
                nn.init.xavier_uniform_(weight, gain=1.4)
            if switch("model.matched_keys", matched_keys):
                keys = self.heads.weight[:addressing].view(read_heads + write_heads, -1, size)[:, :width]
                adds = self.heads.weight[addressing:].view(write_heads, 2, width, size)[:, 1]
                keys[:read_heads] = adds[torch.arange(read_heads) % write_heads]
                keys[read_heads:] = adds
            self.heads.bias.zero_()
            bias = self.heads.bias[:addressing].view(read_heads + write_heads, -1)
            strength, gate, forward = width, width + 1, width + 2 + min(shift_range // 2 + 1, shift_range - 1)
            bias[:read_heads, strength] = number("model.read_strength_bias", read_strength_bias)
            bias[read_heads:, strength] = number("model.write_strength_bias", write_strength_bias)
            bias[:read_heads, gate] = number("model.read_gate_bias", read_gate_bias)
            bias[read_heads:, gate] = number("model.write_gate_bias", write_gate_bias)
            bias[:read_heads, forward] = number("model.read_shift_bias", read_shift_bias)
            bias[read_heads:, forward] = number("model.write_shift_bias", write_shift_bias)

    def _check_shift_range(self, slots: int) -> None:
        if self.shift_range % 2 == 0 or self.shift_range > slots:
            raise ValueError(f"model.shift_range={self.shift_range}: must be odd and at most memory.slots={slots}")

    def initial_state(self, batch_size: int, slots: int | None = None) -> NTMState:
        """The state before the first step; ``slots`` other than the trained ones where the memory allows it."""
        memory, weighting = self.memory(batch_size, slots)
        self._check_shift_range(memory.shape[1])
        reads = self.reads.expand(batch_size, -1, -1)
        return NTMState(self.controller.initial_state(batch_size), memory, weighting, reads)

    def forward(
        self, inputs: Tensor, state: NTMState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, NTMState]:
        """Logits (B, T, O) of inputs (B, T, I), and the state after the last step."""
        signals, state = self._unroll(inputs, state, lengths, ())
        return signals["logits"], state

    def trace(
        self,
        inputs: Tensor,
        state: NTMState | None = None,
        lengths: Tensor | None = None,
        signals: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """``"logits"`` and the named signals (default: all) of every step, 0 after the end of a sequence; ValueError
        names a signal that there is not. ``memory`` comes from the reference equations, whatever the backend.
        """
        return self._unroll(inputs, state, lengths, chosen(signals, self.signals))[0]

    def _unroll(
        self, inputs: Tensor, state: NTMState | None, lengths: Tensor | None, wanted: Sequence[str]
    ) -> tuple[dict[str, Tensor], NTMState]:
        state = self.initial_state(len(inputs)) if state is None else state
        if lengths is not None:
            past = (torch.arange(inputs.shape[1], device=lengths.device) >= lengths.unsqueeze(1)).unsqueeze(2)
            inputs = inputs.masked_fill(past, 0)
        layers = self.controller.weights()
        obstacle = None if layers else f"{type(self.controller).__name__} does not tell its weights"
        kernels = None if "memory" in wanted else backends.choose(self.backend, inputs, obstacle)
        if kernels is None or layers is None:
            outputs, signals, state = self._by_steps(inputs, state, lengths, wanted)
            if lengths is not None:
                outputs = outputs.masked_fill(past, 0)
                signals = {
                    name: part.masked_fill(past.view(*past.shape[:2], *[1] * (part.dim() - 2)), 0)
                    for name, part in signals.items()
                }
        else:
            outputs, signals, state = self._at_once(kernels, layers, inputs, state, lengths, wanted)
        logits = self.output(outputs.transpose(0, 1)).transpose(0, 1)  # as it lies in memory, time first
        return {"logits": logits} | signals, state

    # One operation of the whole sequence

    def _at_once(
        self,
        kernels: sequence.Kernels,
        layers: Sequence[Layer],
        inputs: Tensor,
        state: NTMState,
        lengths: Tensor | None,
        wanted: Sequence[str],
    ) -> tuple[Tensor, dict[str, Tensor], NTMState]:
        plan = sequence.Plan(
            inputs=self.input_size,
            layers=len(layers),
            size=self.controller.size,
            gated=len(layers[0].bias) == 4 * self.controller.size,
            recurrent=layers[0].own is not None,
            read_heads=self.read_heads,
            write_heads=self.write_heads,
            width=self.memory.width,
            shifts=self.shift_range,
            bounded=self.bounded,
            every=self.checkpoint_every,
        )
        weights = sequence.Weights(sequence.stack(layers), self.heads.weight, self.heads.bias)
        controller = [part.transpose(0, 1) for part in state.controller]
        if len(controller) != plan.recurrent + plan.gated:
            raise ValueError(f"state: the controller's has {len(controller)} parts, not {plan.recurrent + plan.gated}")
        absent = inputs.new_zeros(len(layers), len(inputs), self.controller.size)
        hidden, cell = (*controller, absent, absent)[:2]
        before = sequence.State(hidden, cell, state.memory, state.weighting, state.reads.flatten(1))
        result = sequence.run(kernels, plan, inputs, weights, before, lengths, signals=bool(wanted))

        after = NTMState(
            tuple(part.transpose(0, 1) for part in result.state[: len(controller)]),
            result.state.memory,
            result.state.weighting,
            result.state.reads.unflatten(1, (self.read_heads, -1)),
        )
        if not wanted:
            return result.outputs, {}, after
        key, strength, gate, shift, sharpness, erase, add = self._split(result.parameters)
        head = HeadParameters(key, strength, gate, shift, sharpness)
        signals = self._signals(head, erase, add, result.weightings, result.outputs[..., self.controller.size :])
        return result.outputs, {name: signals[name] for name in wanted}, after

    # The equations, step by step

    def _by_steps(
        self, inputs: Tensor, state: NTMState, lengths: Tensor | None, wanted: Sequence[str]
    ) -> tuple[Tensor, dict[str, Tensor], NTMState]:
        outputs = []  # of the controller and the read heads, (B, size + R·W) a step
        kept: dict[str, list[Tensor]] = {name: [] for name in wanted}
        for step, present in enumerate(inputs.unbind(1)):
            after, output, signals = self._step(present, state)
            state = after if lengths is None else freeze(step >= lengths, state, after)
            outputs.append(output)
            for name in wanted:
                kept[name].append(signals[name])
        stacked = {name: torch.stack(steps, 1) for name, steps in kept.items()}
        return torch.stack(outputs).transpose(0, 1), stacked, state

    def _step(self, inputs: Tensor, state: NTMState) -> tuple[NTMState, Tensor, dict[str, Tensor]]:
        """One step from inputs (B, I): the state after it, what the logits are made of, and the signals."""
        hidden, controller = self.controller(torch.cat((inputs, state.reads.flatten(1)), 1), state.controller)
        head, erase, add = self._head_parameters(hidden)
        weighting = address(state.memory, state.weighting, head)
        read_weighting, write_weighting = weighting.split((self.read_heads, self.write_heads), 1)
        reads = read(state.memory, read_weighting)
        memory = write(state.memory, write_weighting, erase, add)
        output = torch.cat((hidden, reads.flatten(1)), 1)
        signals = {"memory": memory} | self._signals(head, erase, add, weighting, reads.flatten(1))
        return NTMState(controller, memory, weighting, reads), output, signals

    def _head_parameters(self, hidden: Tensor) -> tuple[HeadParameters, Tensor, Tensor]:
        """From the controller's output (B, size): parameters of all heads, and erase and add (B, H, W)."""
        key, strength, gate, shift, sharpness, erase, add = self._split(self.heads(hidden))
        head = HeadParameters(
            key=key.tanh() if self.bounded else key,
            strength=F.softplus(strength),
            gate=gate.sigmoid(),
            shift=shift.softmax(-1),
            sharpness=1 + F.softplus(sharpness),
        )
        return head, erase.sigmoid(), add.tanh() if self.bounded else add

    def _split(self, emitted: Tensor) -> tuple[Tensor, ...]:
        """Of what the heads emit, (…, P): key, strength, gate, shift, sharpness of all heads, erase and add."""
        addressing, writing = emitted.split(self.head_sizes, -1)
        address_parts = addressing.unflatten(-1, (self.read_heads + self.write_heads, -1)).split(self.address_sizes, -1)
        return *address_parts, *writing.unflatten(-1, (self.write_heads, -1)).chunk(2, -1)

    def _signals(
        self, head: HeadParameters, erase: Tensor, add: Tensor, weighting: Tensor, reads: Tensor
    ) -> dict[str, Tensor]:
        """All but ``memory``, of one step or of all; weighting (…, K, N), reads (…, R·W)."""
        read_weighting, write_weighting = weighting.split((self.read_heads, self.write_heads), -2)
        return {
            "read_weighting": read_weighting,
            "write_weighting": write_weighting,
            "reads": reads.unflatten(-1, (self.read_heads, -1)),
            "key": head.key,
            "strength": head.strength.squeeze(-1),
            "gate": head.gate.squeeze(-1),
            "shift": head.shift,
            "sharpness": head.sharpness.squeeze(-1),
            "erase": erase,
            "add": add,
        }
