"""Controllers: built as ``Controller(input_size)``, called as ``controller(inputs, state) -> (output, state)``."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from ntm_lab.checks import at_least, one_of
from ntm_lab.types import Controller, ControllerState, Layer

__all__ = ["LSTM", "Feedforward", "Recurrent"]


MOST_LAYERS = 1000  # each is a module of its own


class Feedforward(Controller):
    """A stack of linear layers with tanh."""

    def __init__(self, input_size: int, size: int = 100, layers: int = 1) -> None:
        super().__init__()
        self.size = at_least("controller.size", size, 1)
        at_least("controller.layers", layers, 1, MOST_LAYERS)
        self.layers = nn.ModuleList(nn.Linear(size if layer else input_size, size) for layer in range(layers))

    def initial_state(self, batch_size: int) -> ControllerState:
        return ()

    def forward(self, inputs: Tensor, state: ControllerState) -> tuple[Tensor, ControllerState]:
        output = inputs
        for layer in self.layers:
            output = layer(output).tanh()
        return output, ()

    def weights(self) -> list[Layer]:
        return [Layer(layer.weight, None, layer.bias) for layer in cast(Iterable[nn.Linear], self.layers)]


class Recurrent(Controller):
    """A stack of tanh cells with a learned initial state."""

    def __init__(self, input_size: int, size: int = 100, layers: int = 1) -> None:
        super().__init__()
        self.size = at_least("controller.size", size, 1)
        at_least("controller.layers", layers, 1, MOST_LAYERS)
        self.cells = nn.ModuleList(nn.RNNCell(size if layer else input_size, size) for layer in range(layers))
        self.hidden = nn.Parameter(torch.zeros(layers, size))

    def initial_state(self, batch_size: int) -> ControllerState:
        return (self.hidden.expand(batch_size, -1, -1),)

    def forward(self, inputs: Tensor, state: ControllerState) -> tuple[Tensor, ControllerState]:
        hiddens = []
        output = inputs
        for module, hidden in zip(self.cells, state[0].unbind(1), strict=True):
            output = module(output, hidden)
            hiddens.append(output)
        return output, (torch.stack(hiddens, 1),)

    def weights(self) -> list[Layer]:
        return cell_weights(self.cells)


class LSTM(Controller):
    """A stack of LSTM cells with a learned initial state."""

    def __init__(self, input_size: int, size: int = 100, layers: int = 1) -> None:
        super().__init__()
        self.size = at_least("controller.size", size, 1)
        at_least("controller.layers", layers, 1, MOST_LAYERS)
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


def cell_weights(cells: nn.ModuleList) -> list[Layer]:
    """Of each `nn.LSTMCell` or `nn.RNNCell`, whose two biases are one."""
    return [
        Layer(cell.weight_ih, cell.weight_hh, cell.bias_ih + cell.bias_hh)
        for cell in cast(Iterable[nn.RNNCellBase], cells)
    ]


CONTROLLERS: dict[str, Callable[..., Controller]] = {"lstm": LSTM, "feedforward": Feedforward, "recurrent": Recurrent}


def make_controller(
    controller: str | Callable[[int], Controller], size: int | None, layers: int | None
) -> Callable[[int], Controller]:
    """What builds a controller from its input width: a name of `CONTROLLERS` with a size (100) and layers (1), or what
    is given. ValueError for another name, and for a size or layers beside something that has its own."""
    if isinstance(controller, str):
        built = CONTROLLERS[one_of("controller", controller, CONTROLLERS)]
        return partial(built, size=100 if size is None else size, layers=1 if layers is None else layers)
    if size is not None or layers is not None:
        raise ValueError("size, layers: belong to a controller given by name; set those of your own in it")
    return controller
