"""Stacks of torch's recurrent layers, whose only memory is their state: what LSTM, GRU and RNN share."""

from collections.abc import Callable
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ntm_lab.checks import at_least, share, switch
from ntm_lab.nn.arguments import freeze
from ntm_lab.nn.controllers import MOST_LAYERS
from ntm_lab.nn.plain import PlainModel
from ntm_lab.types import Encoder


class Recurrent(PlainModel):
    """``layers`` of ``size`` and a linear output.

    Sequences of different lengths are packed, so that no step is computed past their ends. Without ``packed`` `trace`,
    and with it training, computes the padding too, and it is for the caller to leave it out; `forward` packs always,
    as the state it returns is that of each sequence's end. `trace` knows the signal ``hidden``, (B, T, 1, size), of the
    last layer.

    Args:
        input_size, output_size: I and O.
        size, layers: of the stack.
        packed: see above.
        encoder: builds, from I, what maps the inputs before the first layer sees them; None: nothing does.
        dropout: the share of the last layer's output that is dropped in training.
    """

    cells: ClassVar[tuple[str, Callable[..., nn.RNNBase]]]  # torch's layers, and what they are called here
    State: ClassVar[Any]  # a NamedTuple, of every layer, (B, layers, size)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        size: int = 256,
        layers: int = 3,
        packed: bool = True,
        encoder: Callable[[int], Encoder] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, output_size
        at_least("model.size", size, 1)
        at_least("model.layers", layers, 1, MOST_LAYERS)
        self.packed = switch("model.packed", packed)
        self.encoder = None if encoder is None else encoder(input_size)
        self.dropout = share("model.dropout", dropout)
        name, stack = self.cells
        width = input_size if self.encoder is None else self.encoder.size
        self.add_module(name, stack(input_size=width, hidden_size=size, num_layers=layers, batch_first=True))
        self.output = nn.Linear(size, output_size)
        for part in self.State._fields:
            self.register_parameter(part, nn.Parameter(torch.zeros(layers, size)))

    def initial_state(self, batch_size: int, slots: int | None = None) -> Any:
        """The learned state before the first step; there are no slots to choose."""
        if slots is not None:
            self.resize(slots)
        return self.State(*(getattr(self, part).expand(batch_size, -1, -1) for part in self.State._fields))

    def logits(self, hidden: Tensor) -> Tensor:
        if self.dropout:
            hidden = nn.functional.dropout(hidden, self.dropout, self.training)
        return super().logits(hidden)

    def unroll(self, inputs: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        state = self.initial_state(len(inputs)) if state is None else state
        # torch wants its states as (layers, B, size), contiguous, and a single one alone
        parts = [part.transpose(0, 1).contiguous() for part in state]
        before = tuple(parts) if len(parts) > 1 else parts[0]
        stack = cast(nn.RNNBase, getattr(self, self.cells[0]))
        if not inputs.shape[1]:  # which torch's layers refuse
            return inputs.new_zeros(*inputs.shape[:2], stack.hidden_size), state
        if lengths is None:
            hidden, after = stack(inputs, before)
        else:
            counts = lengths.cpu().clamp(min=1)  # a sequence without a step cannot be packed
            packed = pack_padded_sequence(inputs, counts, batch_first=True, enforce_sorted=False)
            packed_hidden, after = stack(packed, before)
            hidden, _ = pad_packed_sequence(packed_hidden, batch_first=True, total_length=inputs.shape[1])
        end = self.State(*(part.transpose(0, 1) for part in (after if len(parts) > 1 else [after])))
        if lengths is not None and not bool(lengths.all()):
            empty = lengths == 0
            hidden, end = hidden.masked_fill(empty.view(-1, 1, 1), 0), freeze(empty, state, end)
        return hidden, end
