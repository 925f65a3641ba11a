"""The baseline: a stack of LSTM layers, whose only memory is its state."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ntm_lab.checks import at_least, switch
from ntm_lab.models.signals import chosen
from ntm_lab.types import SequenceModel


class LSTMState(NamedTuple):
    """Hidden and cell of every layer, (B, layers, size)."""

    hidden: Tensor
    cell: Tensor


class LSTM(SequenceModel):
    """``layers`` of ``size`` and a linear output (Graves et al. 2014 compare with 3 layers of 128 to 512).

    Sequences of different lengths are packed, so that no step is computed past their ends. Without ``packed`` `trace`,
    and with it training, computes the padding too, and it is for the caller to leave it out; `forward` packs always,
    as the state it returns is that of each sequence's end. `trace` knows the signal ``hidden``, (B, T, size), of the
    last layer.
    """

    signals = ("hidden",)

    def __init__(
        self, input_size: int, output_size: int, size: int = 256, layers: int = 3, packed: bool = True
    ) -> None:
        super().__init__()
        at_least("model.size", size, 1)
        at_least("model.layers", layers, 1)
        self.packed = switch("model.packed", packed)
        self.lstm = nn.LSTM(input_size, size, layers, batch_first=True)
        self.output = nn.Linear(size, output_size)
        self.hidden = nn.Parameter(torch.zeros(layers, size))
        self.cell = nn.Parameter(torch.zeros(layers, size))

    def initial_state(self, batch_size: int) -> LSTMState:
        """The learned state before the first step."""
        return LSTMState(self.hidden.expand(batch_size, -1, -1), self.cell.expand(batch_size, -1, -1))

    def forward(
        self, inputs: Tensor, state: LSTMState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, LSTMState]:
        """Logits (B, T, O) of inputs (B, T, I), and the state after the last step."""
        hidden, state = self._unroll(inputs, state, lengths)
        return self.output(hidden), state

    def trace(
        self,
        inputs: Tensor,
        state: LSTMState | None = None,
        lengths: Tensor | None = None,
        signals: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """``"logits"`` and the named signals (default: all) of every step; ValueError names one that there is not."""
        hidden, _ = self._unroll(inputs, state, lengths if self.packed else None)
        return {"logits": self.output(hidden)} | dict.fromkeys(chosen(signals, self.signals), hidden)

    def _unroll(self, inputs: Tensor, state: LSTMState | None, lengths: Tensor | None) -> tuple[Tensor, LSTMState]:
        state = self.initial_state(len(inputs)) if state is None else state
        # nn.LSTM wants its states as (layers, B, size), contiguous
        before = tuple(part.transpose(0, 1).contiguous() for part in state)
        if lengths is None:
            hidden, after = self.lstm(inputs, before)
        else:
            packed = pack_padded_sequence(inputs, lengths.cpu(), batch_first=True, enforce_sorted=False)
            packed_hidden, after = self.lstm(packed, before)
            hidden, _ = pad_packed_sequence(packed_hidden, batch_first=True, total_length=inputs.shape[1])
        return hidden, LSTMState(*(part.transpose(0, 1) for part in after))
