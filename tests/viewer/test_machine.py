"""The machine in JavaScript against `trace`: every signal of random models, with every access option and controller."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import ntm_lab
from ntm_lab.evaluation.ablations import Ablated, ablations_of
from ntm_lab.nn import MemoryNetwork
from ntm_lab.nn.encoders import Words
from ntm_lab.tasks.difficulties import seeded
from ntm_lab.types import SequenceModel
from ntm_lab.viewer.bundle import WEB
from ntm_lab.viewer.description import describe

I, O, STEPS = 5, 3, 12  # noqa: E741
SMALL = {"slots": 7, "width": 4, "size": 6}

MODELS: dict[str, Any] = {
    "NTM": lambda: ntm_lab.NTM(I, O, **SMALL),
    "NTM-heads-shifts-2_layers": lambda: ntm_lab.NTM(
        I, O, **SMALL, layers=2, read_heads=2, write_heads=3, shift_range=5, bounded=False
    ),
    "NTM-feedforward-1_shift": lambda: ntm_lab.NTM(I, O, "feedforward", **SMALL, shift_range=1),
    "NTM-recurrent-learned": lambda: ntm_lab.NTM(
        I, O, "recurrent", **SMALL, init=ntm_lab.nn.contents.Random, weighting=ntm_lab.nn.weightings.Learned
    ),
    "NTM-uniform": lambda: ntm_lab.NTM(
        I, O, **SMALL, init=ntm_lab.nn.contents.Random, weighting=ntm_lab.nn.weightings.Uniform
    ),
    "DNC": lambda: ntm_lab.DNC(I, O, **SMALL, read_heads=2),
    "DNC-no_links": lambda: ntm_lab.DNC(I, O, "feedforward", **SMALL, links="none", bounded=False),
    "DNC-repairs": lambda: ntm_lab.DNC(
        I, O, "recurrent", **SMALL, read_heads=3, masking=True, deallocation=True, link_sharpness=True
    ),
    "MANN": lambda: ntm_lab.MANN(I, O, **SMALL, heads=2),
    "MANN-after-written": lambda: ntm_lab.MANN(
        I, O, "feedforward", **SMALL, heads=2, read_first=False, gate_to="written"
    ),
    "MANN-santoro": lambda: ntm_lab.MANN(
        I, O, **SMALL, heads=3, late_write=False, key_strength=False, separate_add=False, own_slots=False
    ),
    "LSTM": lambda: ntm_lab.LSTM(I, O, size=6, layers=2),
    "LSTM-encoder": lambda: ntm_lab.LSTM(I, O, size=6, layers=1, encoder=partial(Words, words=1, size=3)),
    "NTM-encoder": lambda: ntm_lab.NTM(I, O, **SMALL, encoder=partial(Words, words=1, size=3)),
}

TRACE = """
return descriptions.map((description) => {
  const recording = new Recording(new Machine(decode(description)), inputs, slots ?? undefined);
  return inputs.map((_, t) => ({ logits: recording.at(t).logits, ...recording.at(t).signals }));
});
"""


def randomized(model: SequenceModel) -> SequenceModel:
    """No parameter at a value, like 0, that could hide a mistake; in double precision, as JavaScript computes."""
    if isinstance(model, MemoryNetwork):
        model.backend = "reference"
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.7, generator=generator)
            if len(parameter) == 1 and parameter.dim() == 2:  # the row of constant contents
                parameter.fill_(0.1)
    return model.double()


INPUTS = torch.randn(STEPS, I, generator=torch.Generator().manual_seed(0)).double()


@pytest.fixture(scope="module")
def traced(engine: Any) -> dict[str, Any]:
    """The steps of all models as JavaScript computes them, in one go."""
    descriptions = [describe(randomized(make())) for make in MODELS.values()]
    told = engine("machine.js recording.js", TRACE, descriptions=descriptions, inputs=INPUTS.tolist(), slots=None)
    return dict(zip(MODELS, told, strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_every_signal_is_that_of_trace(name: str, traced: dict[str, Any]) -> None:
    with torch.no_grad():
        expected = randomized(MODELS[name]()).trace(INPUTS)
    assert {*traced[name][0]} == {*expected}
    for signal, values in expected.items():
        ours = torch.tensor([step[signal] for step in traced[name]], dtype=torch.float64)
        assert torch.allclose(ours.view_as(values), values, rtol=0, atol=1e-6), signal


def test_another_number_of_slots(engine: Any) -> None:
    models = [randomized(MODELS[name]()) for name in ("NTM", "DNC", "MANN")]
    descriptions = [describe(model) for model in models]
    told = engine("machine.js recording.js", TRACE, descriptions=descriptions, inputs=INPUTS.tolist(), slots=11)
    for model, steps in zip(models, told, strict=True):
        model.resize(11)
        with torch.no_grad():
            expected = model.trace(INPUTS, signals=["memory"])
        ours = torch.tensor([step["memory"] for step in steps], dtype=torch.float64)
        torch.testing.assert_close(ours, expected["memory"], rtol=0, atol=1e-6)
    assert not describe(MODELS["NTM-recurrent-learned"]())["initial"]["resizable"]


def test_the_equations_have_their_names() -> None:
    equations = Path(ntm_lab.__file__).parent / "equations"
    ours = {*re.findall(r"^export (?:function|const) (\w+)", (WEB / "equations.js").read_text(), re.MULTILINE)}
    theirs = {
        name
        for path in equations.glob("*.py")
        for name in re.findall(r"^def ([a-z]\w*)\(", path.read_text(), re.MULTILINE)
    }
    assert ours == theirs


def test_a_model_that_the_page_cannot_run_is_one_line() -> None:
    class Other(ntm_lab.nn.NTMAccess):
        pass

    model = MemoryNetwork(I, O, ntm_lab.nn.controllers.LSTM, Other)
    with pytest.raises(ValueError, match="show: the page runs NTM, DNC, MANN and LSTM, but no Other"):
        describe(model)


ABLATED = """
return descriptions.map((description) => {
  const machine = new Machine(decode(description));
  const all = { read: [...Array(machine.readHeads).keys()], write: [] };
  const changes = {
    intact: {},
    "reads zeroed": { silent: all },
    "memory frozen": { frozen: true },
    "slots shuffled": { moved: "contents", order },
    "memory cleared": { cleared: true },
    "slots renumbered": { moved: "slots", order },
    "links cut": { cut: true },
  };
  const under = (change) => new Recording(machine, inputs, machine.slots, { ...NO_CHANGE, from: 5, ...change }).logits;
  return Object.fromEntries(Object.keys(ablationsOf(machine)).map((name) => [name, under(changes[name])]));
});
"""


def test_ablations_are_those_of_the_evaluation(engine: Any) -> None:
    """On random models, whose every write matters; each has the same ablations in both, by the same names."""
    names = ("NTM-heads-shifts-2_layers", "DNC-repairs", "DNC-no_links", "MANN")
    models = [randomized(MODELS[name]()) for name in names]
    order = torch.rand(1, SMALL["slots"], generator=seeded(0, "ablation")).argsort(1)[0].tolist()  # as Ablated draws it
    given = {"descriptions": [describe(model) for model in models], "inputs": INPUTS.tolist(), "order": order}
    told = engine("machine.js recording.js", ABLATED, **given)
    for model, ours in zip(models, told, strict=True):
        ablations = ablations_of(model)
        assert [*ours] == [*ablations]
        for name, ablation in ablations.items():
            with torch.no_grad():
                expected, _ = Ablated(model, ablation, storing=5)(INPUTS[None])
            assert torch.allclose(torch.tensor([ours[name]], dtype=torch.float64), expected, rtol=0, atol=1e-6), name
