"""The LSTM controller: any number of layers, the state of which is hidden and cell, (B, layers, size) each."""

import torch
from torch import Tensor, nn

from ntm_lab.checks import at_least
from ntm_lab.controllers.cells import cell_weights
from ntm_lab.types import Controller, ControllerState, Layer


class LSTM(Controller):
    """A stack of LSTM cells with a learned initial state."""

    def __init__(self, input_size: int, size: int = 100, layers: int = 1) -> None:
        super().__init__()
        self.size = at_least("controller.size", size, 1)
        at_least("controller.layers", layers, 1)
        self.cells = nn.ModuleList(nn.LSTMCell(size if layer else input_size, size) for layer in range(layers))
        self.hidden = nn.Parameter(torch.zeros(layers, size))
        self.cell = nn.Parameter(torch.zeros(layers, size))

    def initial_state(self, batch_size: int) -> ControllerState:
        return self.hidden.expand(batch_size, -1, -1), self.cell.expand(batch_size, -1, -1)

    def forward(self, inputs: Tensor, state: ControllerState) -> tuple[Tensor, ControllerState]:
        hiddens, cells = [], []
        output = inputs
        for module, hidden, cell in zip(self.cells, *(part.unbind(1) for part in state), strict=True):
            output, cell = module(output, (hidden, cell))
            hiddens.append(output)
            cells.append(cell)
        return output, (torch.stack(hiddens, 1), torch.stack(cells, 1))

    def weights(self) -> list[Layer]:
        return cell_weights(self.cells)
