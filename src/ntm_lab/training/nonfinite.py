"""Stop at a value that is not finite: find where it arose and save the batch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils import _pytree as pytree

from ntm_lab.types import Batch, Kind, SequenceModel

AXES: dict[Any, Sequence[str]] = {  # of a signal at one step, for the message
    Kind.WEIGHTING: ("head", "slot"),
    Kind.USAGE: ("slot",),
    Kind.MEMORY: ("slot",),
    Kind.MATRIX: ("slot",),
    **dict.fromkeys((Kind.GATE, Kind.SCALAR, Kind.VECTOR, Kind.DISTRIBUTION), ("head",)),
}


class NonFiniteError(RuntimeError):
    """A loss or gradient became NaN or infinite."""


def stop_nonfinite(what: str, model: SequenceModel, batch: Batch, folder: str | Path) -> NoReturn:
    """Save the batch to ``folder/nonfinite_batch.pt`` and raise NonFiniteError, which says where it arose: the signal
    with its step and slot, the module, and the parameter."""
    path = Path(folder) / "nonfinite_batch.pt"
    torch.save(batch._asdict(), path)
    raise NonFiniteError(
        f"{what}; first signal that is not finite: {first_signal(model, batch)}; "
        f"first module with an output that is not finite: {first_module(model, batch)}; "
        f"first parameter: {first_parameter(model)}. The batch is in {path}; the last checkpoint is intact."
    )


@torch.no_grad()
def first_signal(model: SequenceModel, batch: Batch) -> str:
    """The signal in which it arose, such as ``write_weighting at step 3 of sequence 1, head 0, slot 5``, or ``none``.

    All count from 0. The sequence is the one with the earliest such step, and the signal that step's first in the order
    of computation. The message says if the values are finite by the equations, though not by the fast backend.
    """
    of_equations = _earliest(model, batch, [*model.signals])  # with the memory, which no fast backend keeps
    kept = [name for name, kind in model.signals.items() if kind != Kind.MEMORY]
    if of_equations is not None or len(kept) == len(model.signals):
        return of_equations or "none"
    of_backend = _earliest(model, batch, kept)
    return "none" if of_backend is None else f"{of_backend} (of the fast backend; by the equations all are finite)"


def _earliest(model: SequenceModel, batch: Batch, names: Sequence[str]) -> str | None:
    """Sequence by sequence, since the signals of a whole batch may not fit into memory."""
    order = [*names, "logits"]
    found: list[tuple[int, int, int, str]] = []  # step, sequence, place in the order, where in the signal
    for sequence, length in enumerate(batch.lengths.tolist()):
        signals = model.trace(batch.inputs[sequence : sequence + 1, :length], signals=names)
        for place, name in enumerate(order):
            spoilt = ~signals[name][0].isfinite()  # (T, …)
            steps = spoilt.flatten(1).any(1)
            if steps.any():
                step = int(steps.int().argmax())
                found.append((step, sequence, place, _within(spoilt[step], AXES.get(model.signals.get(name), ()))))
    if not found:
        return None
    step, sequence, place, where = min(found)
    return f"{order[place]} at step {step} of sequence {sequence}{where}"


def _within(spoilt: Tensor, axes: Sequence[str]) -> str:
    """The first place on each axis that has several, or that it is all of them."""
    words = ""
    for axis in axes:
        along = spoilt.flatten(1).any(1) if spoilt.dim() > 1 else spoilt
        place = int(along.int().argmax())
        if len(along) > 1:
            words += f", all {axis}s" if along.all() else f", {axis} {place}"
        spoilt = spoilt[place]
    return words


def first_module(model: SequenceModel, batch: Batch) -> str:
    """The first submodule, in the order of computation, whose output is not finite."""
    found: list[str] = []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            parts = pytree.tree_leaves(tuple(output) if isinstance(output, PackedSequence) else output)
            if any(isinstance(part, Tensor) and not part.isfinite().all() for part in parts):
                found.append(name)

        return hook

    handles = [
        module.register_forward_hook(watch(name))
        for name, module in model.named_modules()
        if not any(module.children())
    ]
    try:
        with torch.no_grad():
            model.trace(batch.inputs, lengths=batch.lengths)  # of all signals: module by module, whatever the backend
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else "none"


def first_parameter(model: nn.Module) -> str:
    """The first parameter whose value, or else whose gradient, is not finite; else the one with the largest value."""
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            return name
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            return f"{name} (its gradient)"
    largest = {name: float(parameter.detach().abs().max()) for name, parameter in model.named_parameters()}
    name = max(largest, key=lambda name: largest[name])
    return f"all are finite, the largest is in {name} ({largest[name]:.3g})"
