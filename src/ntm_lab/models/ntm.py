"""The Neural Turing Machine: Graves, Wayne, Danihelka 2014 (arXiv 1410.5401)."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ntm_lab.checks import at_least, number, switch
from ntm_lab.memory import Memory
from ntm_lab.models.padding import freeze
from ntm_lab.models.signals import signal
from ntm_lab.ops import address, read, write
from ntm_lab.types import Controller, ControllerState, HeadParameters, SequenceModel


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
        bounded: whether keys and add vectors pass through tanh.
    """

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
        bounded: bool = True,
    ) -> None:
        super().__init__()
        self.read_heads = at_least("model.read_heads", read_heads, 1)
        self.write_heads = at_least("model.write_heads", write_heads, 1)
        self.bounded = switch("model.bounded", bounded)
        self.memory = memory(heads=read_heads + write_heads)
        width = self.memory.width
        self.shift_range = at_least("model.shift_range", shift_range, 1)
        self._check_shift_range(self.memory.slots)

        self.controller = controller(input_size + read_heads * width)
        size = self.controller.size
        self.address_sizes = (width, 1, 1, shift_range, 1)  # key, strength, gate, shift, sharpness
        self.addressing = nn.Linear(size, (read_heads + write_heads) * sum(self.address_sizes))
        self.writing = nn.Linear(size, write_heads * 2 * width)  # erase, add
        self.output = nn.Linear(size + read_heads * width, output_size)
        self.reads = nn.Parameter(torch.zeros(read_heads, width))

        for layer in (self.addressing, self.writing):
            # PyTorch's default is half as large, and from it copy is learned later and not by every seed
            nn.init.xavier_uniform_(layer.weight, gain=1.4)
        with torch.no_grad():
            bias = self.addressing.bias.zero_().view(read_heads + write_heads, -1)
            self.writing.bias.zero_()
            bias[:read_heads, width] = number("model.read_strength_bias", read_strength_bias)
            bias[read_heads:, width] = number("model.write_strength_bias", write_strength_bias)
            bias[:read_heads, width + 1] = number("model.read_gate_bias", read_gate_bias)
            bias[read_heads:, width + 1] = number("model.write_gate_bias", write_gate_bias)

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
        """``"logits"`` and the named signals (default: all) of every step; after the end of a sequence they tell what
        a further step would have done. ValueError names a signal that there is not.
        """
        return self._unroll(inputs, state, lengths, signals)[0]

    def _unroll(
        self, inputs: Tensor, state: NTMState | None, lengths: Tensor | None, wanted: Sequence[str] | None
    ) -> tuple[dict[str, Tensor], NTMState]:
        state = self.initial_state(len(inputs)) if state is None else state
        outputs = []  # of the controller and the read heads, (B, size + R·W) a step
        kept: dict[str, list[Tensor]] = defaultdict(list)
        for step, present in enumerate(inputs.unbind(1)):
            after, output, signals = self._step(present, state)
            state = after if lengths is None else freeze(step >= lengths, state, after)
            outputs.append(output)
            for name in signals if wanted is None else wanted:
                kept[name].append(signal(signals, name))
        logits = self.output(torch.stack(outputs, 1))
        return {"logits": logits} | {name: torch.stack(steps, 1) for name, steps in kept.items()}, state

    def _step(self, inputs: Tensor, state: NTMState) -> tuple[NTMState, Tensor, dict[str, Tensor]]:
        """One step from inputs (B, I): the state after it, what the logits are made of, and the signals."""
        hidden, controller = self.controller(torch.cat((inputs, state.reads.flatten(1)), 1), state.controller)
        head, erase, add = self._head_parameters(hidden)
        weighting = address(state.memory, state.weighting, head)
        read_weighting, write_weighting = weighting.split((self.read_heads, self.write_heads), 1)
        reads = read(state.memory, read_weighting)
        memory = write(state.memory, write_weighting, erase, add)
        signals = {
            "read_weighting": read_weighting,
            "write_weighting": write_weighting,
            "reads": reads,
            "memory": memory,
            "key": head.key,
            "strength": head.strength.squeeze(-1),
            "gate": head.gate.squeeze(-1),
            "shift": head.shift,
            "sharpness": head.sharpness.squeeze(-1),
            "erase": erase,
            "add": add,
        }
        return NTMState(controller, memory, weighting, reads), torch.cat((hidden, reads.flatten(1)), 1), signals

    def _head_parameters(self, hidden: Tensor) -> tuple[HeadParameters, Tensor, Tensor]:
        """From the controller's output (B, size): parameters of all heads, and erase and add (B, H, W)."""
        raw = self.addressing(hidden).unflatten(1, (self.read_heads + self.write_heads, -1))
        key, strength, gate, shift, sharpness = raw.split(self.address_sizes, -1)
        erase, add = self.writing(hidden).unflatten(1, (self.write_heads, -1)).chunk(2, -1)
        head = HeadParameters(
            key=key.tanh() if self.bounded else key,
            strength=F.softplus(strength),
            gate=gate.sigmoid(),
            shift=shift.softmax(-1),
            sharpness=1 + F.softplus(sharpness),
        )
        return head, erase.sigmoid(), add.tanh() if self.bounded else add
