"""Recurrent layers that have one vector as their state."""

from typing import NamedTuple, Self

from torch import Tensor, nn

from ntm_lab.nn.recurrent import Recurrent


class HiddenState(NamedTuple):
    """The output of every layer, (B, layers, size)."""

    hidden: Tensor

    def detach(self) -> Self:
        """The same state, cut off from the steps that led to it."""
        return self._replace(hidden=self.hidden.detach())


class GRU(Recurrent):
    """Gated recurrent units: Cho et al. 2014 (arXiv 1406.1078). Arguments as of `Recurrent`."""

    cells = "gru", nn.GRU
    State = HiddenState


class RNN(Recurrent):
    """Plain layers, tanh of a sum: Elman 1990. Arguments as of `Recurrent`."""

    cells = "rnn", nn.RNN
    State = HiddenState
