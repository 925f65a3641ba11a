"""The feedforward controller: tanh layers, no state of its own, so that all it remembers is in the memory."""

from collections.abc import Iterable
from typing import cast

from torch import Tensor, nn

from ntm_lab.checks import at_least
from ntm_lab.types import Controller, ControllerState, Layer


class Feedforward(Controller):
    """A stack of linear layers with tanh."""

    def __init__(self, input_size: int, size: int = 100, layers: int = 1) -> None:
        super().__init__()
        self.size = at_least("controller.size", size, 1)
        at_least("controller.layers", layers, 1)
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
