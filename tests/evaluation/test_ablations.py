"""Taking the memory away: by models whose memory is known to matter, or not to."""

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

import ntm_lab
from ntm_lab.evaluation import ABLATIONS, Ablated, evaluate, evaluate_ablations
from ntm_lab.evaluation.ablations import by_steps, intact, shuffle, storing_steps
from ntm_lab.nn import LSTM, NTM, MemoryNetwork, controllers
from ntm_lab.nn.contents import Random
from ntm_lab.tasks import AssociativeRecall, Copy, RepeatCopy, Sort
from ntm_lab.types import Batch, Task

TASK = Copy(lengths=(1, 5), bits=3)
LENGTH = 4
STORING = LENGTH + 1  # with the delimiter
SIZE, WIDTH, HEADS = 7, 5, 2
BENT = [name for name in ABLATIONS if name != "intact"]
each = pytest.mark.parametrize("name", BENT)


@pytest.fixture(params=["reference", "numba"])
def model(request: pytest.FixtureRequest) -> NTM:
    """With two heads of each kind and weights at random, so that everything matters."""
    memory = {"slots": 9, "width": WIDTH, "init": Random}
    heads = {"read_heads": HEADS, "write_heads": HEADS}
    controller = partial(controllers.LSTM, size=SIZE)
    torch.manual_seed(0)
    model = NTM(TASK.input_size, TASK.output_size, controller, **memory, **heads, backend=request.param)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.7)
    return model


@pytest.fixture
def batch() -> Batch:
    return TASK.sample(6, {"length": LENGTH}, torch.Generator().manual_seed(1))


@torch.no_grad()
def answer(model: NTM, name: str, batch: Batch) -> Tensor:
    return Ablated(model, ABLATIONS[name], STORING)(batch.inputs)[0]


@torch.no_grad()
def answer_of_two(first: NTM, second: NTM, batch: Batch) -> Tensor:
    """The first model hears, and the second goes on from its state."""
    heard, stored = first(batch.inputs[:, :STORING])
    return torch.cat((heard, second(batch.inputs[:, STORING:], stored)[0]), 1)


def changed(model: NTM, change: Callable[[NTM], None]) -> NTM:
    other = copy.deepcopy(model)
    with torch.no_grad():
        change(other)
    return other


def deaf(model: NTM) -> None:
    """Neither controller nor output layer sees what is read."""
    model.controller.cells[0].weight_ih[:, TASK.input_size :] = 0
    model.output.weight[:, SIZE:] = 0


def mute(model: NTM) -> None:
    """Erases and adds nothing."""
    weights, biases = fields(model)
    for name, value in (("erase", -200.0), ("add", 0.0)):
        weights[name].zero_()
        biases[name].fill_(value)


def by_content(model: NTM) -> None:
    """Heads look for their keys only, and do not move."""
    weights, biases = fields(model)
    for name, values in (("gate", [200.0]), ("shift", [-200.0, 200.0, -200.0])):
        weights[name].zero_()
        biases[name][:] = torch.tensor(values)


def fields(model: MemoryNetwork) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Views of the heads' weights (size, heads, ·) and biases (heads, ·) by field."""
    layout = model.access.layout
    return layout.split(model.heads.weight.T), layout.split(model.heads.bias)


def test_nothing_taken_away_changes_nothing(model: NTM, batch: Batch) -> None:
    model, inputs = model.double(), batch.inputs.double()
    with torch.no_grad():
        whole = model(inputs)[0]
        single, _ = by_steps(model, inputs, model.initial_state(len(inputs)), lambda state: state)
        in_two, _ = Ablated(model, intact, STORING)(inputs)
    torch.testing.assert_close(single, whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(in_two, whole, rtol=0, atol=1e-12)


@each
def test_what_was_heard_is_the_same_and_the_answer_another(name: str, model: NTM, batch: Batch) -> None:
    whole, other = answer(model, "intact", batch), answer(model, name, batch)
    assert torch.equal(other[:, :STORING], whole[:, :STORING])
    assert not torch.allclose(other[:, STORING:], whole[:, STORING:], atol=1e-3)


def test_reads_of_0_are_as_good_as_a_model_that_does_not_see_them(model: NTM, batch: Batch) -> None:
    expected = answer_of_two(model, changed(model, deaf), batch)
    torch.testing.assert_close(answer(model, "reads zeroed", batch), expected)


def test_a_frozen_memory_is_as_good_as_a_model_that_writes_nothing(model: NTM, batch: Batch) -> None:
    expected = answer_of_two(model, changed(model, mute), batch)
    torch.testing.assert_close(answer(model, "memory frozen", batch), expected)


def test_a_cleared_memory_is_as_good_as_nothing_stored(model: NTM, batch: Batch) -> None:
    """A model that writes nothing keeps its initial memory anyway."""
    silent = changed(model, mute)
    torch.testing.assert_close(answer(silent, "memory cleared", batch), answer(silent, "intact", batch))


def test_content_is_found_wherever_it_is(model: NTM, batch: Batch) -> None:
    finder = changed(model, by_content)
    whole = answer(finder, "intact", batch)
    torch.testing.assert_close(answer(finder, "slots shuffled", batch), whole)
    assert not torch.allclose(answer(finder, "memory cleared", batch), whole, atol=1e-3)


def test_shuffling_moves_slots_and_loses_none(model: NTM, batch: Batch) -> None:
    with torch.no_grad():
        before = model(batch.inputs[:, :STORING])[1]
    after = shuffle(before, torch.Generator().manual_seed(0))
    assert not torch.equal(before.memory, after.memory)
    for old, new in zip(before.memory, after.memory, strict=True):
        assert sorted(old.tolist()) == sorted(new.tolist())
    assert after.with_memory(before.memory) == before  # the very same tensors


@each
def test_who_never_reads_the_memory_does_not_miss_it(name: str, model: NTM, batch: Batch) -> None:
    loner = changed(model, deaf)
    torch.testing.assert_close(answer(loner, name, batch), answer(loner, "intact", batch))


def test_the_shipped_model_is_lost_without_its_memory() -> None:
    """It says nothing then, at 24 bits of chance; that nothing new is written it does not notice."""
    model, task = ntm_lab.load("copy-ntm-lstm"), Copy()
    rows = {row["ablation"]: row for row in evaluate_ablations(model, task, [{"length": 6}], sequences=50)}
    assert [*rows] == [*ABLATIONS]
    assert rows["intact"]["exact"] == rows["memory frozen"]["exact"] == 1
    for name in ("reads zeroed", "slots shuffled", "memory cleared"):
        assert rows[name]["wrong_bits"] > 18, name


def test_rows_are_those_of_evaluate_on_the_same_sequences(model: NTM) -> None:
    difficulties = [{"length": 2}, {"length": LENGTH}]
    rows = evaluate_ablations(model, TASK, difficulties, sequences=30, seed=5, ablations={"none": intact})
    for row, plain in zip(rows, evaluate(model, TASK, difficulties, 30, seed=5), strict=True):
        assert row == {"ablation": "none"} | plain | {"cost_bits": pytest.approx(plain["cost_bits"], rel=1e-5)}
    assert evaluate_ablations(model, TASK, difficulties, 30) == evaluate_ablations(model, TASK, difficulties, 30)


@pytest.mark.parametrize(
    ("task", "difficulty", "storing"),
    [
        pytest.param(Copy(start_code=True), {"length": 4}, 6, id="copy"),  # start, four vectors, delimiter
        pytest.param(RepeatCopy(), {"length": 3, "repeats": 2}, 4, id="repeat copy"),  # three and their number
        pytest.param(AssociativeRecall(rows=3), {"items": 2}, 4 + 4 + 5, id="recall"),  # two items and a framed query
        pytest.param(Sort(items=5, outputs=4), {"items": 5}, 6, id="sort"),
    ],
)
def test_storing_ends_where_the_first_answer_is_due(task: Task, difficulty: dict[str, int], storing: int) -> None:
    batch = task.sample(3, difficulty, torch.Generator().manual_seed(0))
    assert storing_steps(batch) == storing
    assert batch.mask.tolist() == [[step >= storing for step in range(batch.mask.shape[1])]] * 3


def test_what_cannot_be_ablated_says_so(model: NTM, batch: Batch) -> None:
    baseline = LSTM(TASK.input_size, TASK.output_size, size=4, layers=1)
    with pytest.raises(ValueError, match="LSTM has no memory"):
        evaluate_ablations(baseline, TASK, [{"length": 2}])
    with pytest.raises(ValueError, match="first told and then asked"):
        storing_steps(TASK.sample(2, {"length": torch.tensor([2, 3])}, torch.Generator()))
    with pytest.raises(ValueError, match="first told and then asked"):
        storing_steps(batch._replace(mask=batch.mask.roll(1, 1)))
    with pytest.raises(ValueError, match="lengths"):
        Ablated(model, intact, STORING)(batch.inputs, lengths=batch.lengths)
