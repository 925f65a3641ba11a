"""What the tests of the models share: small models in float64 whose every parameter is at random."""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

from ntm_lab.nn import LSTM, NTM, controllers
from ntm_lab.nn.contents import Random
from ntm_lab.nn.weightings import Learned

I, O, SIZE, SLOTS, WIDTH = 3, 2, 5, 6, 4  # noqa: E741
LEARNED = partial(Random, trainable=True)


def randomized(model: Any) -> Any:
    """No parameter is left at a value, like 0, that could hide a mistake."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.7, generator=generator)
    return model


@pytest.fixture
def build_ntm() -> Callable[..., NTM]:
    """NTM with its settings, by default with a learned memory."""

    def build(
        controller: Callable[..., nn.Module] = controllers.Feedforward,
        size: int = SIZE,
        layers: int = 1,
        slots: int = SLOTS,
        width: int = WIDTH,
        init: Callable[..., nn.Module] = LEARNED,
        weighting: Callable[..., nn.Module] = Learned,
        input_size: int = I,
        at_random: bool = True,
        **settings: Any,
    ) -> NTM:
        plain = {"write_gate_bias": 0.0, "write_shift_bias": 0.0}  # nothing that makes heads begin one way or another
        memory = {"slots": slots, "width": width, "init": init, "weighting": weighting}
        built = partial(controller, size=size, layers=layers)
        model = NTM(input_size, O, built, **plain | memory | settings).double()
        return randomized(model) if at_random else model

    return build


@pytest.fixture(
    params=[
        *product(("Feedforward", "Recurrent", "LSTM"), (1, 2), ("reference", "numba")),
        ("baseline", 1),
        ("baseline", 2),
    ],
    ids=lambda param: "-".join(map(str, param if param[0] == "baseline" else ("NTM", *param))),
)
def model(request: pytest.FixtureRequest, build_ntm: Callable[..., NTM]) -> NTM | LSTM:
    """Each kind of model: the NTM with every controller and backend, and the LSTM; one layer and two."""
    name, layers, *backend = request.param
    if name == "baseline":
        return randomized(LSTM(I, O, SIZE, layers).double())
    return build_ntm(getattr(controllers, name), layers=layers, read_heads=2, write_heads=2, backend=backend[0])


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(4, 6, I, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
