"""The whole NTM against the same machine in numpy, one sequence and one head at a time, and its gradients."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ntm_lab.nn import NTM
from ntm_lab.nn.controllers import LSTM, Feedforward

Array = np.ndarray[Any, Any]
Weights = dict[str, Array]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softplus(x: Array) -> Array:
    return np.log1p(np.exp(x))


def softmax(x: Array) -> Array:
    return np.exp(x) / np.exp(x).sum()


def norm(x: Array) -> Array:
    return np.sqrt((x**2).sum(-1) + 1e-6)  # guarded as in `content_weighting`


def linear(weights: Weights, name: str, x: Array) -> Array:
    return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]


def lstm_step(weights: Weights, x: Array, hidden: Array, cell: Array) -> tuple[Array, Array]:
    gates = weights["controller.cells.0.weight_ih"] @ x + weights["controller.cells.0.bias_ih"]
    gates = gates + weights["controller.cells.0.weight_hh"] @ hidden + weights["controller.cells.0.bias_hh"]
    enter, forget, candidate, leave = np.split(gates, 4)
    cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(candidate)
    return sigmoid(leave) * np.tanh(cell), cell


def address(memory: Array, previous: Array, emitted: Array, shifts: int, squash: Callable[[Array], Array]) -> Array:
    """The weighting (N,) of one head from what the controller emits for it."""
    width = memory.shape[1]
    key, strength, gate, shift, sharpness = np.split(emitted, np.cumsum([width, 1, 1, shifts]))
    key, gate, shift = squash(key), sigmoid(gate), softmax(shift)
    content = softmax(softplus(strength) * (memory @ key) / (norm(memory) * norm(key)))
    gated = gate * content + (1 - gate) * previous
    offsets = range(-(shifts // 2), shifts // 2 + 1)
    shifted = sum(share * np.roll(gated, offset) for share, offset in zip(shift, offsets, strict=True))
    powers = shifted ** (1 + softplus(sharpness))
    return powers / powers.sum()


def ntm_steps(
    weights: Weights, inputs: Array, read_heads: int, shifts: int, squash: Callable[[Array], Array]
) -> Iterator[dict[str, Array]]:
    """Everything that holds after each step of one sequence (T, I)."""
    memory, reads = weights["access.contents.value"], weights["reads"]
    weighting = [softmax(logits) for logits in weights["access.weightings.logits"]]
    recurrent = "controller.hidden" in weights
    if recurrent:
        hidden, cell = weights["controller.hidden"][0], weights["controller.cell"][0]
    for present in inputs:
        x = np.concatenate((present, reads.ravel()))
        if recurrent:
            hidden, cell = lstm_step(weights, x, hidden, cell)
        else:
            hidden = np.tanh(linear(weights, "controller.layers.0", x))
        emitted = linear(weights, "heads", hidden)
        width = memory.shape[1]
        addressing, writing = np.split(emitted, [len(weighting) * (width + 3 + shifts)])
        heads = zip(weighting, addressing.reshape(len(weighting), -1), strict=True)
        weighting = [address(memory, *head, shifts, squash) for head in heads]
        reads = np.stack([head @ memory for head in weighting[:read_heads]])

        write_heads = weighting[read_heads:]
        vectors = writing.reshape(len(write_heads), 2, width)
        for head, (erase, _) in zip(write_heads, vectors, strict=True):
            memory = memory * (1 - np.outer(head, sigmoid(erase)))
        for head, (_, add) in zip(write_heads, vectors, strict=True):
            memory = memory + np.outer(head, squash(add))
        logits = linear(weights, "output", np.concatenate((hidden, reads.ravel())))
        yield {"logits": logits, "memory": memory, "weighting": np.stack(weighting), "reads": reads}


each_backend = pytest.mark.parametrize("backend", ["reference", "numba"])


@each_backend
@pytest.mark.parametrize("bounded", [True, False], ids=["bounded", "unbounded"])
@pytest.mark.parametrize("shifts", [1, 3, 5])
@pytest.mark.parametrize("write_heads", [1, 2])
@pytest.mark.parametrize("read_heads", [1, 2])
@pytest.mark.parametrize("controller", [Feedforward, LSTM], ids=["feedforward", "lstm"])
def test_ntm_is_the_machine_of_the_paper(
    build_ntm: Callable[..., NTM],
    inputs: Tensor,
    controller: type,
    read_heads: int,
    write_heads: int,
    shifts: int,
    bounded: bool,
    backend: str,
) -> None:
    settings = {"read_heads": read_heads, "write_heads": write_heads, "shift_range": shifts, "bounded": bounded}
    model = build_ntm(controller, backend=backend, **settings)
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    with torch.no_grad():
        logits, state = model(inputs)
    for b, sequence in enumerate(inputs.numpy()):
        steps = list(ntm_steps(weights, sequence, read_heads, shifts, np.tanh if bounded else np.array))
        np.testing.assert_allclose(logits[b].numpy(), [step["logits"] for step in steps], rtol=0, atol=1e-10)
        for name, part in (state.access._asdict() | {"reads": state.reads}).items():
            np.testing.assert_allclose(part[b].numpy(), steps[-1][name], rtol=0, atol=1e-10)
