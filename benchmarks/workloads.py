"""What is timed: the workloads, and the models that run them. The scripts beside this file read their names here."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from plain_dnc import PlainDNC
from plain_ntm import PlainNTM
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

import ntm_lab

UNLINKED = "-no-links"  # ends the name of a DNC without temporal links


class Batch(NamedTuple):
    """Random bits, and which of them are scored."""

    inputs: Tensor  # (B, T, I)
    targets: Tensor  # (B, T, O)
    lengths: Tensor | None  # (B,); None if all are T

    def to(self, device: torch.device) -> "Batch":
        lengths = None if self.lengths is None else self.lengths.to(device)
        return Batch(self.inputs.to(device), self.targets.to(device), lengths)


class Workload(NamedTuple):
    """A machine at its sizes, on sequences of random bits."""

    title: str
    machine: type[nn.Module]  # of ntm_lab
    inputs: int
    outputs: int
    steps: int
    batches: tuple[int, ...]
    size: int  # of the LSTM controller
    slots: int
    width: int
    heads: int  # that read; a MANN's write, too
    others: Mapping[str, Callable[["Workload"], nn.Module]]  # what stands beside the machine, by name
    options: Mapping[str, Any] = {}

    def build(self, contestant: str) -> nn.Module:
        """The machine, if the contestant is one of its backends, or else what stands beside it."""
        if contestant in self.others:
            return self.others[contestant](self)
        backend = contestant.removesuffix(UNLINKED)
        options = dict(self.options) | ({} if backend == contestant else {"links": "none"})
        return self.machine(
            self.inputs,
            self.outputs,
            size=self.size,
            slots=self.slots,
            width=self.width,
            backend=backend,
            **{"heads" if self.machine is ntm_lab.MANN else "read_heads": self.heads},
            **options,
        )

    def draw(self, batch: int, mixed: bool, generator: torch.Generator) -> Batch:
        """Sequences of all T steps or, mixed, with lengths spread evenly from 1 to T, in random order."""

        def bits(width: int) -> Tensor:
            return torch.randint(2, (batch, self.steps, width), generator=generator).float()

        lengths = None
        if mixed:
            lengths = 1 + self.steps * (2 * torch.arange(batch) + 1) // (2 * batch)
            lengths = lengths[torch.randperm(batch, generator=generator)]
        return Batch(bits(self.inputs), bits(self.outputs), lengths)


class Peer(nn.Module):
    """A model of another repository; ``run`` gives its logits (B, T, O) for inputs (B, T, I)."""

    def __init__(self, model: nn.Module, run: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.run = model, run

    def forward(self, inputs: Tensor) -> Tensor:
        return self.run(self.model, inputs)


def loss_of(model: nn.Module, batch: Batch) -> Tensor:
    """The mean cost of a sequence; of nn.LSTM, which has no output layer, the sum of its outputs."""
    if isinstance(model, nn.LSTM):
        if batch.lengths is None:
            return model(batch.inputs)[0].sum()
        packed = nn.utils.rnn.pack_padded_sequence(
            batch.inputs, batch.lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        return model(packed)[0].data.sum()
    if isinstance(model, ntm_lab.types.SequenceModel):
        outputs, _ = model(batch.inputs, lengths=batch.lengths)
    else:
        outputs = model(batch.inputs)
    return binary_cross_entropy_with_logits(outputs, batch.targets, reduction="sum") / len(outputs)


def _lstm(workload: Workload) -> nn.Module:
    return nn.LSTM(workload.inputs, workload.size, batch_first=True)


def _plain_ntm(workload: Workload) -> nn.Module:
    return PlainNTM(workload.inputs, workload.outputs, workload.size, workload.slots, workload.width)


def _plain_dnc(links: bool) -> Callable[[Workload], nn.Module]:
    def build(workload: Workload) -> nn.Module:
        sizes = workload.size, workload.slots, workload.width, workload.heads
        return PlainDNC(workload.inputs, workload.outputs, *sizes, links)

    return build


LSTM = {"nn.LSTM": _lstm}
DNCS = {"plain": _plain_dnc(True), f"plain{UNLINKED}": _plain_dnc(False), **LSTM}
COPY: dict[str, Any] = {"inputs": 9, "outputs": 8, "steps": 41, "size": 100, "slots": 128, "width": 20}

WORKLOADS = {
    "ntm": Workload(
        "NTM, copy at length 20 (41 steps), LSTM controller of 100, memory 128x20",
        ntm_lab.NTM,
        **COPY,
        heads=1,
        batches=(1, 16, 32, 128),
        others={"plain": _plain_ntm, **LSTM},
        options={"read_gate_bias": -4.0},
    ),
    "dnc": Workload(
        "DNC, copy at length 20 (41 steps), LSTM controller of 100, memory 128x20, one read head",
        ntm_lab.DNC,
        **COPY,
        heads=1,
        batches=(1, 16),
        others=DNCS,
    ),
    "dnc-4": Workload("The same with four read heads", ntm_lab.DNC, **COPY, heads=4, batches=(1, 16), others=DNCS),
    "dnc-babi": Workload(
        "DNC at the size of bAbI: 100 steps, LSTM controller of 256, memory 256x64, four read heads",
        ntm_lab.DNC,
        inputs=159,
        outputs=159,
        steps=100,
        size=256,
        slots=256,
        width=64,
        heads=4,
        batches=(1, 16),
        others=DNCS,
    ),
    "mann": Workload(
        "MANN, 50 steps of 400 pixels and 5 labels, LSTM controller of 200, memory 128x40, four heads",
        ntm_lab.MANN,
        inputs=405,
        outputs=5,
        steps=50,
        size=200,
        slots=128,
        width=40,
        heads=4,
        batches=(1, 16),
        others=LSTM,
    ),
}


def contestants(workload: Workload, device: str) -> list[str]:
    """Those that can run on a device, here."""
    fast = "triton" if device == "cuda" else "numba"
    backends = [name for name in (fast, "reference") if name == "reference" or importlib.util.find_spec(name)]
    unlinked = [name + UNLINKED for name in backends] if workload.machine is ntm_lab.DNC else []
    return [*backends, *unlinked, *workload.others]


# Other people's repositories, from a checkout of the user's


def _pytorch_ntm(workload: Workload) -> nn.Module:
    model = importlib.import_module("ntm.aio").EncapsulatedNTM(
        workload.inputs, workload.outputs, workload.size, 1, workload.heads, workload.slots, workload.width
    )

    def run(model: Any, inputs: Tensor) -> Tensor:
        model.init_sequence(len(inputs))
        return torch.stack([model(step)[0] for step in inputs.unbind(1)], 1).logit(1e-6)

    return Peer(model, run)


def _pytorch_dnc(workload: Workload) -> nn.Module:
    model = importlib.import_module("dnc").DNC(
        workload.inputs,
        workload.size,
        num_layers=1,
        num_hidden_layers=1,
        nr_cells=workload.slots,
        cell_size=workload.width,
        read_heads=workload.heads,
    )
    return Peer(model, lambda model, inputs: model(inputs, reset_experience=True)[0][..., : workload.outputs])


PEERS: dict[str, tuple[type[nn.Module], Callable[[Workload], nn.Module]]] = {
    "pytorch-ntm": (ntm_lab.NTM, _pytorch_ntm),
    "pytorch-dnc": (ntm_lab.DNC, _pytorch_dnc),
}
"""By the name of the repository: the machine it has, and what builds it. Imported from a checkout, never copied."""


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Within, modules are found in this folder first."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
