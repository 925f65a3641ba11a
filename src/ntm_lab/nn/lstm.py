"""The baseline: a stack of LSTM layers."""

from typing import NamedTuple, Self

from torch import Tensor, nn

from ntm_lab.nn.recurrent import Recurrent


class LSTMState(NamedTuple):
    """Hidden and cell of every layer, (B, layers, size)."""

    hidden: Tensor
    cell: Tensor

    def detach(self) -> Self:
        """The same state, cut off from the steps that led to it."""
        return self._replace(hidden=self.hidden.detach(), cell=self.cell.detach())


class LSTM(Recurrent):
    """Long short-term memory: Hochreiter, Schmidhuber 1997. Graves et al. 2014 compare with 3 layers of 128 to 512.

    Arguments as of `Recurrent`.
    """

    cells = "lstm", nn.LSTM
    State = LSTMState
    lstm: nn.LSTM
    hidden: Tensor
    cell: Tensor
