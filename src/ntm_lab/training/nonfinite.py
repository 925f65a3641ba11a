"""What to do when a number is no longer one: find where it began, keep the evidence, stop."""

from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils import _pytree as pytree

from ntm_lab.types import Batch, SequenceModel


class NonFiniteError(RuntimeError):
    """A loss or gradient became NaN or infinite."""


def stop_nonfinite(what: str, model: SequenceModel, batch: Batch, folder: str | Path) -> NoReturn:
    """Save the batch to ``folder/nonfinite_batch.pt`` and raise NonFiniteError, which says where it began: the signal
    with its step, the module, and the parameter."""
    path = Path(folder) / "nonfinite_batch.pt"
    torch.save(batch._asdict(), path)
    raise NonFiniteError(
        f"{what}; first signal that is not finite: {first_signal(model, batch)}; "
        f"first module with an output that is not finite: {first_module(model, batch)}; "
        f"first parameter: {first_parameter(model)}. The batch is in {path}; the last checkpoint is intact."
    )


@torch.no_grad()
def first_signal(model: SequenceModel, batch: Batch) -> str:
    """The signal in which it began, such as ``sharpness at step 3 of sequence 1`` (both count from 0), or ``none``.

    The sequence is the one with the earliest such step, and the signal that step's first in the order of
    computation. Sequence by sequence, since all signals of a whole batch may not fit.
    """
    order = [*model.signals, "logits"]
    found: list[tuple[int, int, int]] = []  # step, sequence, place in the order
    for sequence, length in enumerate(batch.lengths.tolist()):
        signals = model.trace(batch.inputs[sequence : sequence + 1, :length])
        for place, name in enumerate(order):
            spoilt = ~signals[name][0].flatten(1).isfinite().all(1)  # (T,)
            if spoilt.any():
                found.append((int(spoilt.int().argmax()), sequence, place))
    if not found:
        return "none"
    step, sequence, place = min(found)
    return f"{order[place]} at step {step} of sequence {sequence}"


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
