"""What the tests of the models share: small models in float64 whose every parameter is at random."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from ntm_lab.nn import LSTM, NTM, MemoryNetwork, access, controllers
from ntm_lab.nn.baselines import GRU, RNN, XLSTM, LinearMemory, Mamba2, Transformer
from ntm_lab.nn.contents import Random
from ntm_lab.nn.controllers import CONTROLLERS, make_controller
from ntm_lab.nn.encoders import Words
from ntm_lab.nn.weightings import Learned
from ntm_lab.types import SequenceModel

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


ACCESSES = {name.removesuffix("Access"): getattr(access, name) for name in access.__all__}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "NTM-2_reads-3_writes-5_shifts": ("NTM", {"read_heads": 2, "write_heads": 3, "shift_range": 5}),
    "NTM-unbounded": ("NTM", {"bounded": False, "read_heads": 2, "write_heads": 2}),
    "DNC-2_reads": ("DNC", {"read_heads": 2}),
    "DNC-no_links": ("DNC", {"links": "none", "read_heads": 2}),
    "DNC-all_repairs": ("DNC", {"masking": True, "deallocation": True, "link_sharpness": True, "read_heads": 2}),
    "DNC-cut_usage-unbounded": ("DNC", {"cut_usage_gradient": True, "bounded": False}),
    "Tape-oracle": ("Tape", {"oracle": True}),
    "MANN-2_heads": ("MANN", {"heads": 2}),
    "MANN-2_heads-to_written-after": ("MANN", {"heads": 2, "gate_to": "written", "read_first": False}),
    "MANN-santoro": (
        "MANN",
        {
            "heads": 2,
            "key_strength": False,
            "separate_add": False,
            "late_write": False,
            "read_first": False,
            "own_slots": False,
            "usage_decay": 0.99,
        },
    ),
}
"""Accesses with settings that are not the defaults; the first of the pair names the access."""


def plain(name: str, controller: str = "feedforward", layers: int = 1, **settings: Any) -> MemoryNetwork:
    """A network of an access or a variant, its settings as they come, on a small constant memory."""
    kind, own = VARIANTS.get(name, (name, {}))
    slots = {"slots": SLOTS, "width": WIDTH}
    access = partial(ACCESSES[kind], **{**slots, **own, **settings})
    return MemoryNetwork(I, O, make_controller(controller, SIZE, layers), access)


@pytest.fixture(name="plain")
def plain_fixture() -> Callable[..., MemoryNetwork]:
    """``plain(name, controller, layers, …)``: a network of an access or a variant as it begins, in float32."""
    return plain


@pytest.fixture(name="double")
def double_fixture() -> Callable[..., MemoryNetwork]:
    """The same in float64, with every parameter at random."""

    def build(name: str, *arguments: Any, **settings: Any) -> MemoryNetwork:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return randomized(plain(name, *arguments, **settings).double())

    return build


@pytest.fixture(params=[*ACCESSES, *VARIANTS])
def name(request: pytest.FixtureRequest) -> str:
    """Every access that there is, and every variant."""
    return request.param


def learned(name: str, controller: str, layers: int = 1) -> MemoryNetwork:
    """A network whose initial contents, and of an NTM weightings, are learned."""
    weighting = {"weighting": Learned} if name.startswith("NTM") else {}
    return plain(name, controller, layers, init=LEARNED, **weighting)


MODELS: dict[str, Callable[[], SequenceModel]] = {
    **{f"{name}-{kind}": partial(learned, name, kind) for name in ACCESSES for kind in CONTROLLERS},
    **{f"{name}-lstm": partial(learned, name, "lstm") for name in VARIANTS},
    **{f"NTM-{kind}-2_layers": partial(learned, "NTM", kind, 2) for kind in ("feedforward", "lstm")},
    **{f"LSTM-{layers}_layers": partial(LSTM, I, O, SIZE, layers) for layers in (1, 2)},
}


ENCODED = {"embedded": partial(Words, words=I, size=4), "places": partial(Words, words=1, size=4)}  # one place, three
MODELS |= {
    f"{name}-{kind}": partial(build, encoder=encoder)
    for name, build in {
        "NTM": partial(NTM, I, O, size=SIZE, slots=SLOTS, width=WIDTH, init=LEARNED, weighting=Learned),
        "LSTM": partial(LSTM, I, O, SIZE, 1),
    }.items()
    for kind, encoder in ENCODED.items()
}


MODELS |= {
    f"{model.__name__}-{layers}_layers": partial(model, I, O, SIZE, layers) for model in (GRU, RNN) for layers in (1, 2)
}
MODELS |= {
    f"Transformer-{positions}": partial(Transformer, I, O, size=8, heads=2, positions=positions)
    for positions in ("rotary", "alibi", "sinusoidal", "none")
}
MODELS["Transformer-convolution"] = partial(Transformer, I, O, size=8, heads=2, kernel=3)
MODELS |= {
    f"LinearMemory-{forget}-{delta=}": partial(
        LinearMemory, I, O, size=8, heads=2, forget=forget, delta=delta, kernel=kernel
    )
    for forget, delta, kernel in (
        ("none", False, 1),
        ("fixed", False, 4),
        ("vector", False, 2),
        ("none", True, 4),
        ("scalar", True, 3),
        ("vector", True, 9),
    )
}
MODELS |= {f"Mamba2-{heads=}": partial(Mamba2, I, O, size=4, heads=heads, state=3) for heads in (1, 2)}
MODELS |= {
    f"XLSTM-{kind}": partial(XLSTM, I, O, size=4, layers=layers, kind=kind, heads=2)
    for kind, layers in (("mlstm", 2), ("slstm", 1), ("both", 3))
}


def numba(build: Callable[[], Any]) -> Any:
    model = build()
    model.backend = "numba"
    return model


MODELS |= {f"{name}-numba": partial(numba, build) for name, build in MODELS.items() if name.startswith("NTM")}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> SequenceModel:
    """Every access with every controller, every variant, two layers, the fast backend where there is one, baselines."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return randomized(MODELS[request.param]().double())


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(4, 6, I, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
