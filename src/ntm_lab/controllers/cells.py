"""The weights of PyTorch's recurrent cells."""

from collections.abc import Iterable
from typing import cast

from torch import nn

from ntm_lab.types import Layer


def cell_weights(cells: nn.ModuleList) -> list[Layer]:
    """Of each `nn.LSTMCell` or `nn.RNNCell`, whose two biases are one."""
    return [
        Layer(cell.weight_ih, cell.weight_hh, cell.bias_ih + cell.bias_hh)
        for cell in cast(Iterable[nn.RNNCellBase], cells)
    ]
