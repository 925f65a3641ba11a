"""What the tests of the fast backends share: a small machine, of any shape, whose every parameter is at random."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from ntm_lab import nn
from ntm_lab.nn import MemoryNetwork, controllers
from ntm_lab.nn.contents import Random
from ntm_lab.nn.weightings import Learned
from ntm_lab.types import Controller


def ntm_settings(heads: tuple[int, int] = (1, 1), shifts: int = 3, bounded: bool = True) -> dict[str, Any]:
    return {
        "weighting": partial(Learned, focus=2.0, std=0.5),
        "read_heads": heads[0],
        "write_heads": heads[1],
        "shift_range": shifts,
        "bounded": bounded,
        "write_gate_bias": 0.0,
        "write_shift_bias": 0.0,
    }


def mann_settings(heads: int = 2, **options: Any) -> dict[str, Any]:
    return {"heads": heads, "gate_bias": 0.0, "strength_bias": 0.0, "gain": 1.0} | options


SETTINGS: dict[str, Callable[..., dict[str, Any]]] = {"NTM": ntm_settings, "MANN": mann_settings}
"""Of a machine's access, from what the tests set; with nothing that makes heads begin one way or another."""


@pytest.fixture(scope="session")
def build() -> Callable[..., MemoryNetwork]:
    """A machine in float32 with these settings; no parameter is left at a value, like 0, that could hide a mistake."""

    def build_machine(
        controller: str | type[Controller] = "LSTM",
        machine: str = "NTM",
        layers: int = 1,
        size: int = 11,
        inputs: int = 5,
        memory: tuple[int, int] = (7, 3),
        every: int = 3,
        scale: float = 1.0,
        backend: str = "numba",
        **own: Any,
    ) -> MemoryNetwork:
        """``scale`` multiplies the weights of the heads: 10 makes them sharp."""
        slots, width = memory
        kind = getattr(controllers, controller) if isinstance(controller, str) else controller
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model: MemoryNetwork = getattr(nn, machine)(
                inputs,
                4,
                partial(kind, size=size, layers=layers),
                slots=slots,
                width=width,
                init=partial(Random, std=1.0, trainable=True),
                backend=backend,
                recompute_every=every,
                **SETTINGS[machine](**own),
            )
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.3 * torch.randn_like(parameter))
                model.heads.weight.mul_(scale)
        return model

    return build_machine
