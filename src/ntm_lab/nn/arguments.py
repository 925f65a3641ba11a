"""The inputs of a sequence model, checked and encoded in one place: a batch, one sequence, or packed sequences."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from torch.utils import _pytree as pytree

from ntm_lab.types import Kind, SequenceModel

State = TypeVar("State")


class Arguments(NamedTuple):
    """A batch (B, T, ·) as the recurrence sees it, its state and lengths, and the ways back to the given form."""

    inputs: Tensor
    state: Any
    lengths: Tensor | None
    outputs: Callable[[Tensor], Any]  # from (B, T, …)
    after: Callable[[Any], Any]  # from the state of a batch


def accept(model: SequenceModel, inputs: Any, state: Any, lengths: Tensor | None) -> Arguments:
    """The inputs as a padded batch: they may be (B, T, I), one sequence (T, I), or a PackedSequence, as for nn.LSTM.

    The model's encoder, if it has one, is applied. For one sequence the state has no batch dimension either. Raises
    TypeError for anything but a tensor of the model's dtype, and ValueError for a shape or for lengths that do not
    fit.
    """
    if isinstance(inputs, PackedSequence):
        if lengths is not None:
            raise ValueError("lengths: must be None with a PackedSequence, which has its own")
        packed = inputs
        inputs, lengths = pad_packed_sequence(packed, batch_first=True)
        lengths = lengths.to(inputs.device)
        _check_inputs(model, inputs)
        inputs = encoded(model, inputs, lengths)
        return Arguments(inputs, state, lengths, lambda outputs: _repack(outputs, packed), lambda after: after)
    if not isinstance(inputs, Tensor):
        raise TypeError(f"inputs: must be a tensor or a PackedSequence, not {type(inputs).__name__}")
    if inputs.dim() == 2:
        if lengths is not None:
            raise ValueError("lengths: must be None for a single sequence (T, I)")
        _check_inputs(model, inputs.unsqueeze(0))
        state = None if state is None else pytree.tree_map(lambda part: part.unsqueeze(0), state)
        first: Callable[[Any], Any] = lambda parts: pytree.tree_map(lambda part: part.squeeze(0), parts)  # noqa: E731
        return Arguments(encoded(model, inputs.unsqueeze(0)), state, None, first, first)
    _check_inputs(model, inputs)
    if lengths is not None:
        lengths = _checked_lengths(lengths, inputs)
    return Arguments(encoded(model, inputs, lengths), state, lengths, lambda outputs: outputs, lambda after: after)


def encoded(model: SequenceModel, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The inputs (B, T, I) or (B, I) as the recurrence sees them; steps past the ends are set to 0 before encoding."""
    encoder = getattr(model, "encoder", None)
    if encoder is None:
        return inputs
    if lengths is not None:
        past = torch.arange(inputs.shape[1], device=lengths.device) >= lengths.unsqueeze(1)
        inputs = inputs.masked_fill(past.unsqueeze(2), 0)
    outputs: Tensor = encoder(inputs)
    return outputs


def _check_inputs(model: SequenceModel, inputs: Tensor) -> None:
    if inputs.dim() != 3 or inputs.shape[2] != model.input_size:
        raise ValueError(
            f"inputs: shape is {tuple(inputs.shape)}, must be (B, T, {model.input_size}) or (T, {model.input_size})"
        )
    own = next(model.parameters())
    if inputs.dtype != own.dtype and not torch.is_autocast_enabled(inputs.device.type):
        raise TypeError(f"inputs: dtype is {inputs.dtype}, must be the model's {own.dtype}: inputs.to({own.dtype})")
    if inputs.device != own.device:
        raise TypeError(f"inputs: are on {inputs.device}, the model is on {own.device}")


def _checked_lengths(lengths: Any, inputs: Tensor) -> Tensor:
    batch, steps, _ = inputs.shape
    if not isinstance(lengths, Tensor) or lengths.is_floating_point() or lengths.dtype == torch.bool:
        kind = lengths.dtype if isinstance(lengths, Tensor) else type(lengths).__name__
        raise TypeError(f"lengths: must be a tensor of whole numbers, not {kind}")
    if lengths.shape != (batch,):
        raise ValueError(f"lengths: shape is {tuple(lengths.shape)}, must be {(batch,)}")
    if not torch.compiler.is_compiling() and batch and bool(((lengths < 0) | (lengths > steps)).any()):
        raise ValueError(f"lengths={lengths.tolist()}: must be from 0 to the {steps} steps of the inputs")
    return lengths.to(inputs.device)


def _repack(outputs: Tensor, like: PackedSequence) -> PackedSequence:
    """Outputs (B, T, …) packed as the inputs were."""
    _, lengths = pad_packed_sequence(like, batch_first=True)
    if like.sorted_indices is not None:
        outputs, lengths = outputs[like.sorted_indices], lengths[like.sorted_indices.cpu()]
    data = pack_padded_sequence(outputs, lengths, batch_first=True).data
    return PackedSequence(data, like.batch_sizes, like.sorted_indices, like.unsorted_indices)


def chosen(names: Sequence[str] | None, known: Sequence[str] | dict[str, Kind]) -> Sequence[str]:
    """The given names, or all known ones for None; ValueError lists the known ones if a name is unknown."""
    for name in names or ():
        if name not in known:
            raise ValueError(f"signal {name!r}: this model has only {', '.join(known)}")
    return [*known] if names is None else names


def freeze(ended: Tensor, before: State, after: State) -> State:
    """``before`` where a sequence has ended (B,), ``after`` where it goes on; states of tensors that begin with B."""

    def choose(old: Tensor, new: Tensor) -> Tensor:
        return torch.where(ended.view(-1, *[1] * (new.dim() - 1)), old, new)

    return pytree.tree_map(choose, before, after)
