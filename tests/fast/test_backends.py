"""Which backend runs a model: the fast one of the device, or with a reason the reference."""

import logging
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from ntm_lab.fast import backends
from ntm_lab.fast.contract import leaves
from ntm_lab.fast.numba import backend as numba_backend
from ntm_lab.nn import NTM, MemoryNetwork, NTMAccess
from ntm_lab.nn.controllers import Feedforward

Build = Callable[..., MemoryNetwork]


class Untold(Feedforward):
    """A controller of which no more is known than that it is one."""

    def weights(self) -> None:
        return None


class Plain(NTMAccess):
    """An access without kernels."""

    machine = None


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What was said and loaded before, or here, does not count."""
    for cached in (backends._load, backends.say_once):
        cached.cache_clear()
    yield
    for cached in (backends._load, backends.say_once):
        cached.cache_clear()


@pytest.fixture
def without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("numba", "numba.core", "ntm_lab.fast.numba.backend", "ntm_lab.fast.numba.sequence"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)


@pytest.fixture
def broken_numba(without_numba: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "numba.py").write_text("raise RuntimeError('made for another numpy')")
    monkeypatch.delitem(sys.modules, "numba")
    monkeypatch.syspath_prepend(tmp_path)


REASONS = {
    "bfloat16": "it computes in float32 and float64, not in torch.bfloat16",
    "float16": "it computes in float32 and float64, not in torch.float16",
    "controller": "Untold does not give its weights as layers",
    "access": "it has no kernels for Plain",
    "missing": "it cannot be imported (",
    "broken": "it cannot be imported (made for another numpy)",
}


@pytest.fixture(params=REASONS)
def refused(request: pytest.FixtureRequest, build: Build) -> tuple[MemoryNetwork, torch.dtype, str]:
    """A model that no fast backend can serve here, the type of its inputs, and the reason."""
    case: str = request.param
    if case in ("missing", "broken"):
        request.getfixturevalue({"missing": "without_numba", "broken": "broken_numba"}[case])
    dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(case, torch.float32)
    if case == "access":
        model: MemoryNetwork = MemoryNetwork(5, 4, partial(Feedforward, size=6), partial(Plain, slots=7, width=3))
    else:
        model = build(Untold if case == "controller" else "LSTM")
    return model.to(dtype), dtype, REASONS[case]


def results(model: MemoryNetwork, backend: str, inputs: Tensor) -> list[Tensor]:
    model.backend = backend
    logits, state = model(inputs)
    return [logits, *leaves(state)]


def test_auto_runs_the_reference_and_says_why_once(
    refused: tuple[MemoryNetwork, torch.dtype, str], caplog: pytest.LogCaptureFixture
) -> None:
    model, dtype, reason = refused
    inputs = torch.randn(3, 4, 5).to(dtype)
    expected, first, second = (results(model, backend, inputs) for backend in ("reference", "auto", "auto"))
    assert all(map(torch.equal, expected, first)) and all(map(torch.equal, expected, second))
    check_said_once(caplog, reason)


def check_said_once(caplog: pytest.LogCaptureFixture, reason: str) -> None:
    (said,) = (record for record in caplog.records if record.name.startswith("ntm_lab"))
    assert said.levelno == logging.WARNING
    assert "numba" in said.getMessage() and reason in said.getMessage()


def test_a_backend_chosen_by_name_is_that_or_an_error(refused: tuple[MemoryNetwork, torch.dtype, str]) -> None:
    model, dtype, reason = refused
    with pytest.raises(ValueError, match=r"^model\.backend=numba: ") as error:
        results(model, "numba", torch.randn(3, 4, 5).to(dtype))
    assert reason in str(error.value)


def test_under_autocast_the_fast_path_runs_in_the_type_of_the_weights(caplog: pytest.LogCaptureFixture) -> None:
    """And a line says so, once."""
    model, inputs = NTM(5, 4, backend="numba"), torch.randn(3, 4, 5)
    expected = results(model, "numba", inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = [results(model, "numba", inputs) for _ in range(2)]
    assert all(torch.equal(one, other) for each in found for one, other in zip(each, expected, strict=True))
    assert ["under autocast" in record.getMessage() for record in caplog.records].count(True) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_auto_is_numba_on_the_cpu(build: Build, dtype: torch.dtype, caplog: pytest.LogCaptureFixture) -> None:
    inputs = torch.randn(3, 4, 5).to(dtype)
    assert backends.choose("auto", inputs, "ntm") is backends.choose("numba", inputs, "ntm") is numba_backend
    model = build().to(dtype)
    assert all(map(torch.equal, results(model, "auto", inputs), results(model, "numba", inputs)))
    # the backend itself may tell that it is being compiled
    assert [record for record in caplog.records if record.name == backends.log.name] == []


def test_the_reference_is_never_another(caplog: pytest.LogCaptureFixture) -> None:
    assert backends.choose("reference", torch.zeros(1), "ntm", "an obstacle") is None
    assert caplog.records == []


@pytest.mark.parametrize("name", ["numba", "triton"])
def test_a_backend_of_another_device_is_refused(name: str) -> None:
    inputs = torch.zeros(1, device="meta" if name == "numba" else "cpu")
    with pytest.raises(ValueError, match=f"^model.backend={name}: .*; backend=reference can$"):
        backends.choose(name, inputs, "ntm")


def test_a_device_without_a_backend_takes_the_reference(caplog: pytest.LogCaptureFixture) -> None:
    assert [backends.choose("auto", torch.zeros(1, device="meta"), "ntm") for _ in range(2)] == [None, None]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("name", ["cuda", "Numba", "", None])
def test_an_unknown_name_is_an_error_that_lists_the_known(build: Build, name: Any) -> None:
    with pytest.raises(ValueError, match=f"^model.backend={name}: must be one of auto, reference, numba, triton$"):
        build(backend=name)


def _grad(model: NTM, inputs: Tensor) -> Tensor:
    return torch.func.grad(lambda inputs: model(inputs)[0].sum())(inputs)


def _jvp(model: NTM, inputs: Tensor) -> Tensor:
    return torch.func.jvp(lambda inputs: model(inputs)[0], (inputs,), (inputs,))[1]


def _dual(model: NTM, inputs: Tensor) -> Tensor:
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(model(forward_ad.make_dual(inputs, inputs))[0]).tangent


def _exported(model: NTM, inputs: Tensor) -> Tensor:
    return torch.export.export(model, (inputs,)).module()(inputs)[0]


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # PyTorch's own affair
@pytest.mark.parametrize(
    "transform",
    [_grad, _jvp, _dual, pytest.param(_exported, marks=pytest.mark.slow)],
    ids=["grad", "jvp", "dual", "exported"],
)
def test_auto_gives_way_to_transforms_of_pytorch(
    transform: Callable[[NTM, Tensor], Tensor], build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    inputs, model = torch.randn(3, 4, 5), build("Recurrent")
    found = []
    for backend in ("reference", "auto"):
        model.backend = backend
        found.append(transform(model, inputs))
    assert torch.equal(*found) and found[0].any()
    (said,) = [record.getMessage() for record in caplog.records if record.name == backends.log.name]
    assert said.startswith("the reference equations run instead of the backend numba: ")
    model.backend = "numba"
    with pytest.raises(ValueError, match=r"^model\.backend=numba: .*; backend=reference can$"):
        transform(model, inputs)
