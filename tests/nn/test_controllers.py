"""Controllers against PyTorch's own layers over a whole sequence."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ntm_lab.nn.controllers import LSTM, Feedforward, Recurrent

B, T, I, SIZE = 3, 7, 4, 5  # noqa: E741


def run(controller: nn.Module, inputs: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """All outputs (B, T, size) and the last state, from initial states that are not zero."""
    for parameter in controller.parameters():
        nn.init.normal_(parameter)
    outputs, state = [], controller.initial_state(len(inputs))
    for present in inputs.unbind(1):
        output, state = controller(present, state)
        outputs.append(output)
    return torch.stack(outputs, 1), state


def torch_layers(kind: Any, controller: nn.Module, layers: int) -> Any:
    """PyTorch's layers with the weights of the controller's cells."""
    own = {
        f"{name}_l{layer}": value
        for layer, cell in enumerate(controller.cells)
        for name, value in cell.state_dict().items()
    }
    module = kind(I, SIZE, layers, batch_first=True).double()
    module.load_state_dict(own)
    return module


@pytest.fixture
def inputs() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(B, T, I, dtype=torch.float64)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("kind", "reference"), [(LSTM, nn.LSTM), (Recurrent, nn.RNN)], ids=["LSTM", "Recurrent"])
def test_recurrent_controllers_are_those_of_pytorch(kind: Any, reference: Any, layers: int, inputs: Tensor) -> None:
    controller = kind(I, SIZE, layers).double()
    outputs, state = run(controller, inputs)

    start = tuple(part.transpose(0, 1).contiguous() for part in controller.initial_state(B))
    expected, last = torch_layers(reference, controller, layers)(inputs, start if kind is LSTM else start[0])
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-12)
    last = last if kind is LSTM else (last,)
    torch.testing.assert_close(state, tuple(part.transpose(0, 1) for part in last), rtol=0, atol=1e-12)


@pytest.mark.parametrize("layers", [1, 2])
def test_feedforward_is_linear_and_tanh(layers: int, inputs: Tensor) -> None:
    controller = Feedforward(I, SIZE, layers).double()
    outputs, state = run(controller, inputs)
    expected = inputs
    for layer in controller.layers:
        expected = torch.tanh(expected @ layer.weight.T + layer.bias)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-12)
    assert state == ()


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", [Feedforward, Recurrent, LSTM])
def test_weights_are_all_of_a_step(kind: Any, layers: int, inputs: Tensor) -> None:
    """A step from the layers as `ntm_lab.types.Layer` describes them, at random parameters and states."""
    controller = kind(I, SIZE, layers).double()
    run(controller, inputs)
    state = tuple(torch.randn_like(part) for part in controller.initial_state(B))
    output, after = controller(inputs[:, 0], state)

    below, states = inputs[:, 0], []
    for number, layer in enumerate(controller.weights()):
        hidden, cell, *_ = (*(part[:, number] for part in state), None, None)
        sums = below @ layer.below.T + layer.bias
        if layer.own is not None:
            sums = sums + hidden @ layer.own.T
        if cell is None:
            below = sums.tanh()
        else:
            enter, forget, candidate, leave = sums.chunk(4, 1)
            cell = forget.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
            below = leave.sigmoid() * cell.tanh()
        states.append((below, cell)[: len(state)])
    torch.testing.assert_close(below, output, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        [torch.stack(parts, 1) for parts in zip(*states, strict=True)], list(after), rtol=0, atol=1e-12
    )
