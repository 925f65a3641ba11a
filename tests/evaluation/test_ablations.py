"""Taking the memory away: by models whose memory is known to matter, or not to."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor

import ntm_lab
from ntm_lab.evaluation import ABLATIONS, Ablated, ablations_of, evaluate, evaluate_ablations
from ntm_lab.evaluation.ablations import by_steps, intact, renumber, shuffle, storing_steps, without_links
from ntm_lab.nn import DNC, LSTM, MANN, NTM, MemoryNetwork, NetworkState, controllers
from ntm_lab.nn.contents import Random
from ntm_lab.tasks import AssociativeRecall, Copy, RepeatCopy, Sort
from ntm_lab.types import Batch, Task

TASK = Copy(lengths=(1, 5), bits=3)
LENGTH = 4
STORING = LENGTH + 1  # with the delimiter
SIZE, WIDTH, HEADS = 7, 5, 2
Network = TypeVar("Network", bound=MemoryNetwork)
BENT = [name for name in ABLATIONS if name not in ("intact", "links cut")]  # of every machine
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
def answer(model: MemoryNetwork, name: str, batch: Batch) -> Tensor:
    return Ablated(model, ABLATIONS[name], STORING)(batch.inputs)[0]


@torch.no_grad()
def answer_of_two(first: MemoryNetwork, second: MemoryNetwork, batch: Batch) -> Tensor:
    """The first model hears, and the second goes on from its state."""
    heard, stored = first(batch.inputs[:, :STORING])
    return torch.cat((heard, second(batch.inputs[:, STORING:], stored)[0]), 1)


def changed(model: Network, change: Callable[[Network], None]) -> Network:
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
    assert [*rows] == ["intact", *BENT]
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


def test_storing_never_ends_where_asking_and_telling_take_turns(batch: Batch) -> None:
    assert storing_steps(TASK.sample(2, {"length": torch.tensor([2, 3])}, torch.Generator())) == 0
    assert storing_steps(batch._replace(mask=batch.mask.roll(1, 1))) == 0


def test_what_cannot_be_ablated_says_so(model: NTM, batch: Batch) -> None:
    baseline = LSTM(TASK.input_size, TASK.output_size, size=4, layers=1)
    with pytest.raises(ValueError, match="LSTM has no memory"):
        evaluate_ablations(baseline, TASK, [{"length": 2}])
    with pytest.raises(ValueError, match="lengths"):
        Ablated(model, intact, STORING)(batch.inputs, lengths=batch.lengths)


@pytest.fixture(params=[NTM, DNC, MANN], ids=lambda model: model.__name__)
def network(request: pytest.FixtureRequest) -> MemoryNetwork:
    """Of every kind of access, with weights at random and in float64."""
    torch.manual_seed(1)
    model: MemoryNetwork = request.param(
        TASK.input_size, TASK.output_size, "lstm", size=SIZE, slots=9, width=WIDTH, init=Random
    ).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.7)
    return model


def double(batch: Batch) -> Batch:
    return batch._replace(inputs=batch.inputs.double())


def test_every_memory_can_be_taken_away(network: MemoryNetwork, batch: Batch) -> None:
    """What was heard is the same, each ablation answers in its own way, and the model is left as it was.

    Only the number of a slot changes nothing, but for an NTM, which goes to the next."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    answers = {name: answer(network, name, double(batch)) for name in ablations_of(network)}
    assert ("links cut" in answers) == isinstance(network, DNC)
    for name, other in answers.items():
        assert torch.equal(other[:, :STORING], answers["intact"][:, :STORING])
        same = name == "intact" or (name == "slots renumbered" and not isinstance(network, NTM))
        assert torch.allclose(other, answers["intact"], rtol=0, atol=1e-9 if same else 1e-3) == same, name
    assert torch.equal(answer(network, "intact", double(batch)), answers["intact"])
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_renumbering_moves_all_that_a_slot_has(network: MemoryNetwork, batch: Batch) -> None:
    with torch.no_grad():
        before = network(double(batch).inputs[:, :STORING])[1]
    after = renumber(before, torch.Generator().manual_seed(0))
    order = (after.memory.unsqueeze(2) == before.memory.unsqueeze(1)).all(3).int().argmax(2)  # (B, N)
    assert order.sort(1).values.tolist() == [[*range(9)]] * len(order) and order[0].tolist() != [*range(9)]
    for name, part in before.access._asdict().items():
        for old, new, places in zip(part, getattr(after.access, name), order, strict=True):
            if name == "link":
                old = old[:, places]
            expected = old[places] if name in ("memory", "link") else old[..., places]
            assert torch.equal(new, expected), name


@torch.no_grad()
def test_cut_links_lead_nowhere(batch: Batch) -> None:
    """No link comes to be in any step, and of a read weighting only the part that looks by content is left."""
    torch.manual_seed(1)
    model = DNC(TASK.input_size, TASK.output_size, "lstm", size=SIZE, slots=9, width=WIDTH, init=Random)
    state = model(batch.inputs[:, :STORING])[1]
    assert state.access.link.max() > 0.1
    logits = []
    for present in batch.inputs[:, STORING:].split(1, 1):
        signals = model.trace(present, without_links(state), signals=["link", "read_mode", "read_weighting"])
        assert not signals["link"].any()
        torch.testing.assert_close(signals["read_weighting"].sum(-1), signals["read_mode"][..., 1])
        logits.append(signals["logits"])
        state = model(present, without_links(state))[1]
    torch.testing.assert_close(answer(model, "links cut", batch)[:, STORING:], torch.cat(logits, 1))


class TakingTurns(Copy):
    """Copy that scores every step."""

    def sample(self, *arguments: Any) -> Batch:
        batch = super().sample(*arguments)
        return batch._replace(mask=torch.ones_like(batch.mask))

    def solve(self, batch: Batch) -> Tensor:
        return batch.targets


@torch.no_grad()
def test_where_asking_and_telling_take_turns_an_ablation_acts_at_every_step(
    network: MemoryNetwork, batch: Batch
) -> None:
    inputs = double(batch).inputs
    initial = network.initial_state(len(inputs))
    without_reads = Ablated(network, ABLATIONS["reads zeroed"], 0)(inputs)[0]
    torch.testing.assert_close(without_reads, ABLATIONS["reads zeroed"](network, inputs, initial, torch.Generator())[0])
    cleared = Ablated(network, ABLATIONS["memory cleared"], 0)(inputs)[0]
    torch.testing.assert_close(cleared, by_steps(network, inputs, initial, lambda s: s.with_memory(initial.memory))[0])
    shuffled, whole = Ablated(network, ABLATIONS["slots shuffled"], 0)(inputs)[0], network(inputs)[0]
    assert not torch.allclose(shuffled[:, 2], whole[:, 2], atol=1e-3)  # while it is told, too

    rows = evaluate_ablations(network, TakingTurns(lengths=(1, 5), bits=3), [{"length": LENGTH}], sequences=5)
    assert {row["ablation"] for row in rows} == {*ablations_of(network)} - {"memory frozen"}
    assert rows[0]["cost_bits"] != rows[1]["cost_bits"]


def test_reads_are_zeroed_whatever_was_written_in_the_same_step(network: MemoryNetwork, batch: Batch) -> None:
    def unseen(model: MemoryNetwork) -> None:
        model.controller.cells[0].weight_ih[:, TASK.input_size :] = 0
        model.output.weight[:, SIZE:] = 0

    expected = answer_of_two(network, changed(network, unseen), double(batch))
    torch.testing.assert_close(answer(network, "reads zeroed", double(batch)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["memory frozen", "slots shuffled", "memory cleared"])
def test_only_the_contents_change(name: str, network: MemoryNetwork, batch: Batch) -> None:
    """Of the state that the model goes on from: weightings, usage, links and precedence are the very same tensors."""
    began: list[NetworkState] = []
    forward = network.forward

    def noting(inputs: Tensor, state: NetworkState, *others: Tensor) -> tuple[Tensor, NetworkState]:
        began.append(state)
        return forward(inputs, state, *others)

    inputs = double(batch).inputs
    with torch.no_grad():
        stored = network(inputs[:, :STORING])[1]
        network.forward = noting  # type: ignore[method-assign, assignment]
        ABLATIONS[name](network, inputs[:, STORING:], stored, torch.Generator().manual_seed(0))
    assert began[0].with_memory(stored.memory) == stored
    contents = {
        "memory frozen": stored.memory,
        "memory cleared": network.initial_state(len(inputs)).memory,
        "slots shuffled": shuffle(stored, torch.Generator().manual_seed(0)).memory,
    }
    assert torch.equal(began[0].memory, contents[name])
    if name == "memory frozen":
        assert len(began) == LENGTH and all(torch.equal(state.memory, stored.memory) for state in began)
