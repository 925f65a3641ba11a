"""What the tests of the fast backends share: a small NTM, of any shape, whose every parameter is at random."""

from collections.abc import Callable
from functools import partial

import pytest
import torch

from ntm_lab.nn import NTM, controllers
from ntm_lab.nn.contents import Random
from ntm_lab.nn.weightings import Learned
from ntm_lab.types import Controller


@pytest.fixture(scope="session")
def build() -> Callable[..., NTM]:
    """NTM in float32 with these settings; no parameter is left at a value, like 0, that could hide a mistake."""

    def build_ntm(
        controller: str | type[Controller] = "LSTM",
        layers: int = 1,
        size: int = 11,
        inputs: int = 5,
        heads: tuple[int, int] = (1, 1),
        shifts: int = 3,
        memory: tuple[int, int] = (7, 3),
        bounded: bool = True,
        every: int = 3,
        scale: float = 1.0,
        backend: str = "numba",
    ) -> NTM:
        """``scale`` multiplies the weights of the heads: 10 makes them sharp."""
        slots, width = memory
        kind = getattr(controllers, controller) if isinstance(controller, str) else controller
        init, weighting = partial(Random, std=1.0, trainable=True), partial(Learned, focus=2.0, std=0.5)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = NTM(
                inputs,
                4,
                partial(kind, size=size, layers=layers),
                slots=slots,
                width=width,
                init=init,
                weighting=weighting,
                read_heads=heads[0],
                write_heads=heads[1],
                shift_range=shifts,
                bounded=bounded,
                backend=backend,
                recompute_every=every,
                write_gate_bias=0.0,
                write_shift_bias=0.0,
            )
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.3 * torch.randn_like(parameter))
                model.heads.weight.mul_(scale)
        return model

    return build_ntm
