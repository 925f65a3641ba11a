"""A memory network: the loop of a controller around a memory access, the same for all of them."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Self, cast

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ntm_lab.checks import at_least, one_of, share
from ntm_lab.fast import backends, contract, sequence
from ntm_lab.nn.arguments import accept, chosen, encoded, freeze
from ntm_lab.types import Access, Controller, ControllerState, Encoder, Kind, Layer, SequenceModel

HALF = (torch.float16, torch.bfloat16)


class NetworkState(NamedTuple):
    """All that a memory network carries from one step to the next."""

    controller: ControllerState
    access: Any  # the access's own NamedTuple
    reads: Tensor  # (B, R, W)

    @property
    def memory(self) -> Tensor:
        """The contents of the memory, (B, N, W)."""
        return self.access.memory

    def detach(self) -> Self:
        """The same state, cut off from the steps that led to it."""
        return pytree.tree_map(lambda part: part.detach(), self)

    def with_memory(self, memory: Tensor) -> Self:
        """The same state with other contents; weightings, usage and links stay as they are."""
        return self._replace(access=self.access._replace(memory=memory))


class MemoryNetwork(SequenceModel):
    """A controller that reads and writes a memory by an access.

    A step: the controller sees the input and the last reads; its output sets the parameters of all heads; the access
    makes its step; the controller's output and the reads together give the logits. `trace` knows the signals of the
    access, the parameters of its heads, and ``reads`` (R, W).

    Args:
        input_size, output_size: I and O.
        controller: builds the controller from its input width, I + R·W.
        access: builds the access.
        backend: what runs the steps. ``reference``: the equations, one step after the other. ``numba`` and ``triton``:
            the same as one operation of the whole sequence, on the CPU or a GPU, differentiable once. ``auto``: the
            fast one of the device or, where that cannot serve, the reference, with a line that says why.
        recompute_every: a fast backend keeps one memory in this many steps for backward and recomputes the others.
        encoder: builds, from I, the map from the inputs to what the controller sees; None: no map.
        dropout: the share of the logits' features that is dropped in training.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        controller: Callable[[int], Controller],
        access: Callable[[], Access],
        backend: str = "auto",
        recompute_every: int = 8,
        encoder: Callable[[int], Encoder] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, output_size
        self.backend = one_of("model.backend", backend, backends.NAMES)
        self.recompute_every = at_least("model.recompute_every", recompute_every, 1)
        self.access = access()
        reading = self.access.read_heads * self.access.width
        self.encoder = None if encoder is None else encoder(input_size)
        self.controller = controller((input_size if self.encoder is None else self.encoder.size) + reading)
        self.heads = nn.Linear(self.controller.size, self.access.layout.size)
        self.output = nn.Linear(self.controller.size + reading, output_size)
        self.dropout = share("model.dropout", dropout)
        self.reads = nn.Parameter(torch.zeros(self.access.read_heads, self.access.width))
        with torch.no_grad():
            self.access.initialise(self.heads.weight, self.heads.bias)
        self.signals: dict[str, Kind] = {
            **{name: field.kind for name, field in self.access.layout.fields.items()},
            **self.access.signals,
            "reads": Kind.VECTOR,
        }

    @property
    def title(self) -> str:
        controller = type(self.controller).__name__
        words = controller if controller.isupper() else controller.lower()
        return f"{type(self.access).__name__.removesuffix('Access')}, {words} controller"

    @property
    def slots(self) -> int:
        return self.access.slots

    @property
    def slot_width(self) -> int:
        return self.access.width

    def resize(self, slots: int) -> None:
        self.access.resize(slots)

    def initial_state(self, batch_size: int, slots: int | None = None) -> NetworkState:
        """The state before the first step; ``slots`` other than the access's own where it allows that."""
        reads = self.reads.expand(batch_size, -1, -1)
        return NetworkState(
            self.controller.initial_state(batch_size), self.access.initial_state(batch_size, slots), reads
        )

    def forward(
        self, inputs: Tensor, state: NetworkState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, NetworkState]:
        """Logits (B, T, O) of inputs (B, T, I), and the state after the last step.

        Inputs may also be one sequence (T, I) or a PackedSequence; the logits then have the same form.
        """
        given = accept(self, inputs, state, lengths)
        signals, state = self._unroll(given.inputs, given.state, given.lengths, ())
        return given.outputs(signals["logits"]), given.after(state)

    def trace(
        self,
        inputs: Tensor,
        state: NetworkState | None = None,
        lengths: Tensor | None = None,
        signals: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """``"logits"`` and the named signals (default: all) of every step, 0 after the end of a sequence.

        Signals that a fast backend does not keep, such as ``memory``, come from the reference equations. Raises
        ValueError for an unknown signal.
        """
        given = accept(self, inputs, state, lengths)
        traced, _ = self._unroll(given.inputs, given.state, given.lengths, chosen(signals, self.signals))
        return {name: given.outputs(part) for name, part in traced.items()}

    def step(self, inputs: Tensor, state: NetworkState) -> tuple[Tensor, NetworkState]:
        """One step by the equations: logits (B, O) and the state after it, from inputs (B, I)."""
        output, _, state = self._step(encoded(self, inputs), state)
        return self._logits(output), state

    def _unroll(
        self, inputs: Tensor, state: NetworkState | None, lengths: Tensor | None, wanted: Sequence[str]
    ) -> tuple[dict[str, Tensor], NetworkState]:
        if torch.is_autocast_enabled(inputs.device.type):
            backends.say_once(
                "under autocast a memory network computes in the type of its weights: errors would add up"
            )
            with torch.autocast(inputs.device.type, enabled=False):
                return self._unroll(inputs.to(self.heads.weight.dtype), state, lengths, wanted)
        batch, steps, width = inputs.shape
        if not steps:  # one step that no sequence has, for the shapes of the signals
            none = torch.zeros(batch, dtype=torch.int64, device=inputs.device)
            signals, state = self._unroll(inputs.new_zeros(batch, 1, width), state, none, wanted)
            return {name: part[:, :0] for name, part in signals.items()}, state
        state = self.initial_state(batch) if state is None else state
        if lengths is not None:
            past = (torch.arange(steps, device=lengths.device) >= lengths.unsqueeze(1)).unsqueeze(2)
            inputs = inputs.masked_fill(past, 0)
        kernels, layers = self._fast_path(inputs, wanted)
        if kernels is not None and layers is not None:
            return self._at_once(kernels, layers, inputs, state, lengths, wanted)
        outputs, signals, state = self._by_steps(inputs, state, lengths, wanted)
        if lengths is not None:
            outputs = outputs.masked_fill(past, 0)
            signals = {
                name: part.masked_fill(past.view(*past.shape[:2], *[1] * (part.dim() - 2)), 0)
                for name, part in signals.items()
            }
        logits = self._logits(outputs.transpose(0, 1)).transpose(0, 1)  # as it lies in memory, time first
        return {"logits": logits} | signals, state

    def _logits(self, outputs: Tensor) -> Tensor:
        """Logits (…, O) from their features (…, size + R·W)."""
        if self.dropout:
            outputs = nn.functional.dropout(outputs, self.dropout, self.training)
        return cast(Tensor, self.output(outputs))

    # The equations, step by step

    def _by_steps(
        self, inputs: Tensor, state: NetworkState, lengths: Tensor | None, wanted: Sequence[str]
    ) -> tuple[Tensor, dict[str, Tensor], NetworkState]:
        """The features of the logits, (B, T, size + R·W), the signals, (B, T, …), and the state after the last step."""
        outputs = []  # of the controller and the read heads, (B, size + R·W) a step
        kept: dict[str, list[Tensor]] = {name: [] for name in wanted}
        for step, present in enumerate(inputs.unbind(1)):
            output, signals, after = self._step(present, state)
            state = after if lengths is None else freeze(step >= lengths, state, after)
            outputs.append(output)
            for name in wanted:
                kept[name].append(signals[name])
        stacked = {name: torch.stack(steps, 1) for name, steps in kept.items()}
        return torch.stack(outputs).transpose(0, 1), stacked, state

    def _step(self, inputs: Tensor, state: NetworkState) -> tuple[Tensor, dict[str, Tensor], NetworkState]:
        """One step from inputs (B, I): the logits' features, the signals, and the state after it."""
        hidden, controller = self.controller(torch.cat((inputs, state.reads.flatten(1)), 1), state.controller)
        reads, access, signals = self._access_step(self.heads(hidden), state)
        output = torch.cat((hidden, reads.flatten(1)), 1)
        return output, signals | {"reads": reads}, NetworkState(controller, access, reads)

    def _access_step(self, emitted: Tensor, state: NetworkState) -> tuple[Tensor, Any, dict[str, Tensor]]:
        """The reads, the access's state after the step, and all signals but the reads; in float32 at least.

        A memory of half precision is widened for the step: sharpening and norms need the range.
        """
        if emitted.dtype not in HALF:
            fields = self.access.layout.bound(emitted)
            reads, access, signals = self.access.step(fields, state.access)
        else:
            fields = self.access.layout.bound(emitted.float())
            reads, access, signals = self.access.step(fields, pytree.tree_map(Tensor.float, state.access))
            reads = reads.to(state.reads.dtype)
            access = pytree.tree_map(lambda new, old: new.to(old.dtype), access, state.access)
        return reads, access, signals | self._as_signals(fields)

    def _as_signals(self, fields: dict[str, Tensor]) -> dict[str, Tensor]:
        """The parameters of the heads, from (…, heads, size): those with one number a head lose the last dimension."""
        single = (Kind.GATE, Kind.SCALAR)
        return {name: part.squeeze(-1) if self.signals[name] in single else part for name, part in fields.items()}

    # One operation of the whole sequence

    def _fast_path(self, inputs: Tensor, wanted: Sequence[str]) -> tuple[Any, Sequence[Layer] | None]:
        """The kernels that can serve and the controller as plain weights; None for the reference equations."""
        machine = self.access.machine or type(self.access).__name__
        if machine in sequence.MACHINES:
            returned = sequence.MACHINES[machine].SIGNALS
            if any(name in self.access.signals and name not in returned for name in wanted):
                return None, None
        layers, obstacle = self.controller.weights(), None
        if layers is None:
            obstacle = f"{type(self.controller).__name__} does not give its weights as layers"
        return backends.choose(self.backend, inputs, machine, obstacle), layers

    @cached_property
    def _access_plan(self) -> Any:
        """The offsets at which the kernels find the fields of the heads; fixed when the model is built."""
        return sequence.MACHINES[cast(str, self.access.machine)].plan_of(self.access)

    def _at_once(
        self,
        kernels: contract.Kernels,
        layers: Sequence[Layer],
        inputs: Tensor,
        state: NetworkState,
        lengths: Tensor | None,
        wanted: Sequence[str],
    ) -> tuple[dict[str, Tensor], NetworkState]:
        machine, size = sequence.MACHINES[cast(str, self.access.machine)], self.controller.size
        batch, steps, width = inputs.shape
        plan = contract.Plan(
            inputs=width,
            layers=len(layers),
            size=size,
            gated=layers[0].bias.shape[0] == 4 * size,
            recurrent=layers[0].own is not None,
            reads=self.access.read_heads * self.access.width,
            parameters=self.heads.out_features,
            every=self.recompute_every,
            access=self._access_plan,
        )
        network = sequence.Network(
            sequence.Affine(self.heads.weight, self.heads.bias),
            sequence.Affine(self.output.weight, self.output.bias),
            tuple(layers),
        )
        controller = state.controller
        if len(controller) != plan.recurrent + plan.gated:
            raise ValueError(f"state: the controller's has {len(controller)} parts, not {plan.recurrent + plan.gated}")
        absent = [inputs.new_zeros(batch, plan.layers, size) for _ in range(2 - len(controller))]
        before = contract.State._make([*controller, *absent, state.reads.flatten(1), state.access])
        mask = None
        if self.dropout and self.training:
            mask = nn.functional.dropout(inputs.new_ones(steps, batch, size + plan.reads), self.dropout)
        result = sequence.run(kernels, machine, plan, inputs, network, before, lengths, mask=mask, signals=bool(wanted))

        reading = self.access.read_heads, self.access.width
        after = NetworkState(
            (result.state.hidden, result.state.cell)[: len(controller)],
            result.state.access,
            result.state.reads.unflatten(1, reading),
        )
        known = {"logits": result.logits}
        if result.signals is not None:
            known |= {
                **{name: signal(self.access, result.signals.series) for name, signal in machine.SIGNALS.items()},
                "reads": result.signals.outputs[..., size:].unflatten(-1, reading),
                **self._as_signals(self.access.layout.split(result.signals.parameters)),
            }
        return {name: known[name] for name in ("logits", *wanted)}, after
