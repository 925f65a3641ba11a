"""Where a NaN began, and the batch that is kept as evidence."""

from functools import partial
from pathlib import Path

import pytest
import torch

from ntm_lab.nn import LSTM, NTM, controllers
from ntm_lab.nn.contents import Random
from ntm_lab.nn.weightings import Learned
from ntm_lab.training.nonfinite import NonFiniteError, stop_nonfinite
from ntm_lab.types import Batch, SequenceModel


@pytest.fixture
def batch() -> Batch:
    inputs, targets = torch.randn(2, 4, 3), torch.ones(2, 4, 2)
    return Batch(inputs, targets, targets[..., 0] == 1, torch.tensor([4, 2]))


def build(controller: str, backend: str = "auto") -> NTM:
    memory = {"slots": 6, "width": 4, "init": partial(Random, trainable=True), "weighting": Learned}
    return NTM(3, 2, partial(getattr(controllers, controller), size=5, layers=2), **memory, backend=backend)


def report(model: SequenceModel, batch: Batch, folder: Path) -> str:
    with pytest.raises(NonFiniteError) as error:
        stop_nonfinite("the loss is NaN", model, batch, folder)
    return str(error.value)


def check_names(model: SequenceModel, module: str, parameter: str, batch: Batch, folder: Path) -> None:
    with torch.no_grad():
        model.get_parameter(parameter).fill_(torch.nan)
    text = report(model, batch, folder)
    assert text.startswith("the loss is NaN; ")
    assert f"output that is not finite: {module}; first parameter: {parameter}." in text


@pytest.mark.parametrize("backend", ["reference", "numba"])
@pytest.mark.parametrize(
    ("controller", "module", "parameter"),
    [
        ("Feedforward", "memory.contents", "memory.contents.value"),
        ("Feedforward", "memory.weightings", "memory.weightings.logits"),
        ("Feedforward", "controller.layers.1", "controller.layers.1.bias"),
        ("Feedforward", "heads", "heads.weight"),
        ("Feedforward", "heads", "heads.bias"),
        ("Feedforward", "output", "output.weight"),
        ("Feedforward", "controller.layers.0", "reads"),  # the NTM's own, which the controller is first to see
        ("Recurrent", "controller.cells.1", "controller.cells.1.weight_hh"),
        ("LSTM", "controller.cells.0", "controller.cells.0.bias_ih"),
    ],
)
def test_report_names_module_and_parameter(
    controller: str, module: str, parameter: str, backend: str, batch: Batch, tmp_path: Path
) -> None:
    check_names(build(controller, backend), module, parameter, batch, tmp_path)


@pytest.mark.parametrize(("module", "parameter"), [("lstm", "lstm.weight_hh_l1"), ("output", "output.bias")])
def test_report_names_those_of_the_baseline(module: str, parameter: str, batch: Batch, tmp_path: Path) -> None:
    check_names(LSTM(3, 2, size=5, layers=2), module, parameter, batch, tmp_path)


def test_a_gradient_is_named_where_all_values_are_finite(batch: Batch, tmp_path: Path) -> None:
    model = build("Feedforward")
    model.get_parameter("heads.weight").grad = torch.full_like(model.get_parameter("heads.weight"), torch.inf)
    assert "not finite: none; first parameter: heads.weight (its gradient)." in report(model, batch, tmp_path)


def test_the_largest_parameter_is_named_where_all_is_finite(batch: Batch, tmp_path: Path) -> None:
    model = build("Feedforward")
    with torch.no_grad():
        model.get_parameter("heads.bias")[3] = -1e6
    assert "not finite: none; first parameter: all are finite, the largest is in heads.bias (1e+06)." in report(
        model, batch, tmp_path
    )


def test_the_batch_is_kept(batch: Batch, tmp_path: Path) -> None:
    assert f"The batch is in {tmp_path / 'nonfinite_batch.pt'}" in report(build("Feedforward"), batch, tmp_path)
    kept = Batch(**torch.load(tmp_path / "nonfinite_batch.pt", weights_only=True))
    assert all(torch.equal(part, original) for part, original in zip(kept, batch, strict=True))
