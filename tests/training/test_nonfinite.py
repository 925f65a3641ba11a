"""Where a NaN began, and the batch that is kept as evidence."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ntm_lab.fast.numba import backend as numba_backend
from ntm_lab.nn import DNC, LSTM, MANN, NTM, controllers
from ntm_lab.nn.access import NTMAccess
from ntm_lab.nn.contents import Random
from ntm_lab.nn.weightings import Learned
from ntm_lab.training.nonfinite import NonFiniteError, first_signal, stop_nonfinite
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
        ("Feedforward", "access.contents", "access.contents.value"),
        ("Feedforward", "access.weightings", "access.weightings.logits"),
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


def poisoned(batch: Batch, sequence: int, step: int, value: float = torch.inf) -> Batch:
    """With one input that is not finite."""
    inputs = batch.inputs.clone()
    inputs[sequence, step] = value
    return batch._replace(inputs=inputs)


@pytest.mark.parametrize("model", [NTM, DNC, MANN], ids=lambda model: model.__name__)
def test_the_earliest_step_is_named_and_its_sequence(model: type[NTM], batch: Batch, tmp_path: Path) -> None:
    """Step 3 of sequence 0 comes after step 1 of sequence 1; the first parameter of the heads is where it is seen."""
    network = model(3, 2, "feedforward", size=5, slots=6, width=4)
    spoilt = poisoned(poisoned(batch, 0, 3, torch.nan), 1, 1, torch.nan)
    first = next(iter(network.signals))
    heads = ", all heads" if network.access.layout.places()[first].heads > 1 else ""
    assert first_signal(network, spoilt) == f"{first} at step 1 of sequence 1{heads}"
    assert f"first signal that is not finite: {first} at step 1 of sequence 1{heads}; " in report(
        network, spoilt, tmp_path
    )


def test_padding_is_not_looked_at(batch: Batch) -> None:
    assert first_signal(build("LSTM"), poisoned(batch, 1, 3, torch.nan)) == "none"


@pytest.mark.parametrize(
    ("field", "head"), [("strength", 1), ("gate", 2), ("sharpness", 0), ("erase", None), ("add", None)]
)
def test_the_head_parameter_that_began_it_is_named(field: str, head: int | None, batch: Batch) -> None:
    """That one alone, of all that the layer ``heads`` emits; and its head where there are several."""
    model = NTM(3, 2, "feedforward", size=5, slots=6, width=4, read_heads=2)
    with torch.no_grad():
        model.access.layout.split(model.heads.bias)[field][head or 0].fill_(torch.nan)
    assert first_signal(model, batch) == f"{field} at step 0 of sequence 0" + ("" if head is None else f", head {head}")


class Overflowing(NTMAccess):
    """Its seventh step divides by 0 while it addresses slot 4."""

    def step(self, heads: Mapping[str, Tensor], state: Any) -> tuple[Tensor, Any, dict[str, Tensor]]:
        self.steps = getattr(self, "steps", -1) + 1
        reads, after, signals = super().step(heads, state)
        if self.steps == 6:  # four steps of the first sequence, then the third of the second
            signals["write_weighting"] = signals["write_weighting"] / torch.tensor([1.0, 1, 1, 1, 0, 1])
        return reads, after, signals


def test_a_stage_of_addressing_is_named_where_every_module_is_finite(batch: Batch, tmp_path: Path) -> None:
    network = NTM(3, 2, "feedforward", size=5, slots=6, width=4)
    network.access.__class__ = Overflowing
    whole = batch._replace(lengths=torch.tensor([4, 4]))
    text = report(network, whole, tmp_path)
    assert "first signal that is not finite: write_weighting at step 2 of sequence 1, slot 4; " in text
    assert "first module with an output that is not finite: none; " in text


def test_what_only_the_fast_backend_spoils_is_said_to_be_its_own(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("LSTM", "numba")
    forward = numba_backend.forward

    def spoiling(plan: Any, lengths: Tensor, inputs: Tensor, weights: Any, initial: Any, tape: Any) -> Any:
        final = forward(plan, lengths, inputs, weights, initial, tape)
        tape.series.weighting[-1, 0, 1, 2] = torch.nan
        return final

    monkeypatch.setattr(numba_backend, "forward", spoiling)
    assert first_signal(model, batch) == (
        "write_weighting at step 1 of sequence 1, slot 2 (of the fast backend; by the equations all are finite)"
    )
