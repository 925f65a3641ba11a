"""Costs and errors of each kind of answer by hand, against float64 numpy, and under what must not change them."""

import math
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from ntm_lab.evaluation import chance, evaluate
from ntm_lab.nn import LSTM
from ntm_lab.tasks import AssociativeRecall, Bits, Copy, NGrams, OneShot, Reals, RepeatCopy, Sort, Symbols
from ntm_lab.tasks.answers import (
    accuracy,
    by_group,
    check_targets,
    cost_bits,
    cost_bits_of_probabilities,
    measures_of,
    wrong_bits,
)
from ntm_lab.tasks.base import BaseTask
from ntm_lab.tasks.difficulties import hardest
from ntm_lab.training.curricula import Uniform
from ntm_lab.training.data import Data
from ntm_lab.training.learner import Learner
from ntm_lab.training.optim import ClipNorm, HoldThenCosine
from ntm_lab.types import Answer, Batch, Difficulty, Ranges, Task

BATCH, STEPS, WIDTH = 12, 7, 3


@pytest.fixture
def example() -> tuple[Tensor, Tensor, Tensor]:
    """Logits, targets and a mask of which every sequence has at least one step."""
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(BATCH, STEPS, WIDTH, generator=generator)
    targets = torch.randint(2, (BATCH, STEPS, WIDTH), generator=generator).float()
    mask = torch.rand(BATCH, STEPS, generator=generator) < 0.6
    mask[:, -1] = True
    return logits, targets, mask


def test_a_logit_of_0_costs_one_bit_for_each_scored_output() -> None:
    """Chance on copy at length 20 and 8 bits, with 22 more steps that are not scored."""
    targets = torch.randint(2, (2, 42, 8), generator=torch.Generator().manual_seed(0)).float()
    mask = torch.arange(42).expand(2, 42) >= 22
    assert cost_bits(torch.zeros(2, 42, 8), targets, mask).tolist() == pytest.approx([160, 160])
    assert cost_bits_of_probabilities(torch.full((2, 42, 8), 0.5), targets, mask).tolist() == [160, 160]


def test_values_by_hand() -> None:
    """σ(ln 3) = 3/4: a target of 1 costs log₂ 4/3, a target of 0 costs log₂ 4 = 2 bits and is wrong."""
    logits = torch.full((1, 2, 2), math.log(3))
    targets = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    mask = torch.tensor([[True, True]])
    assert cost_bits(logits, targets, mask).item() == pytest.approx(math.log2(4 / 3) + 3 * 2)
    assert wrong_bits(logits, targets, mask).tolist() == [3]


def test_equal_to_numpy_in_float64(example: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, targets, mask = (tensor.double().numpy() for tensor in example)
    of_one = 1 / (1 + np.exp(-logits))
    bits = -np.log2(np.where(targets == 1, of_one, 1 - of_one)) * mask[..., None]
    wrong = ((of_one > 0.5) != (targets == 1)) * mask[..., None]

    np.testing.assert_allclose(cost_bits(*example).numpy(), bits.sum((1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(wrong_bits(*example).numpy(), wrong.sum((1, 2)))
    probabilities = example[0].double().sigmoid()
    np.testing.assert_allclose(cost_bits_of_probabilities(probabilities, *example[1:]), bits.sum((1, 2)), rtol=1e-9)


@pytest.mark.parametrize("garbage", [math.nan, math.inf, -math.inf, 1e4], ids=str)
def test_steps_that_are_not_scored_count_for_nothing(example: tuple[Tensor, Tensor, Tensor], garbage: float) -> None:
    logits, targets, mask = example
    spoilt = logits.masked_fill(~mask.unsqueeze(-1), garbage)
    clean, spoilt = logits.clone().requires_grad_(), spoilt.requires_grad_()
    cost_bits(clean, targets, mask).sum().backward()
    cost_bits(spoilt, targets, mask).sum().backward()
    assert torch.equal(cost_bits(spoilt, targets, mask), cost_bits(logits, targets, mask))
    assert torch.equal(wrong_bits(spoilt, targets, mask), wrong_bits(logits, targets, mask))
    assert clean.grad is not None and spoilt.grad is not None
    assert torch.equal(spoilt.grad, clean.grad)
    assert (spoilt.grad[~mask] == 0).all()


def test_the_gradient_is_that_of_the_formula(example: tuple[Tensor, Tensor, Tensor]) -> None:
    """d cost / d logit = (P(1) − target) / ln 2."""
    logits, targets, mask = example
    logits = logits.double().requires_grad_()
    cost_bits(logits, targets, mask).sum().backward()
    expected = (logits.detach().sigmoid() - targets) / math.log(2) * mask.unsqueeze(-1)
    torch.testing.assert_close(logits.grad, expected)


@pytest.mark.parametrize("logit", [1e4, -1e4], ids=["certainly 1", "certainly 0"])
def test_extreme_logits_cost_a_finite_amount(logit: float) -> None:
    logits = torch.full((2, 1, 1), logit, requires_grad=True)
    targets = torch.tensor([[[float(logit > 0)]], [[float(logit < 0)]]])  # right, wrong
    cost = cost_bits(logits, targets, torch.ones(2, 1, dtype=torch.bool))
    cost.sum().backward()
    assert cost.tolist() == pytest.approx([0, 1e4 / math.log(2)])
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_certain_probabilities_cost_nothing_or_everything() -> None:
    targets = torch.tensor([[[1.0], [0.0]], [[0.0], [0.0]]])
    probabilities = torch.tensor([[[1.0], [0.0]], [[1.0], [0.0]]])
    both, second = torch.ones(2, 2, dtype=torch.bool), torch.tensor([[False, True]] * 2)
    assert cost_bits_of_probabilities(probabilities, targets, both).tolist() == [0, math.inf]
    assert cost_bits_of_probabilities(probabilities, targets, second).tolist() == [0, 0]


def test_a_logit_of_nan_is_wrong_whatever_the_target() -> None:
    targets = torch.tensor([[[0.0, 1.0]]])
    assert wrong_bits(torch.full((1, 1, 2), math.nan), targets, torch.tensor([[True]])).tolist() == [2]


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_an_undecided_output_counts_as_a_0(target: float) -> None:
    """A logit of exactly 0 says 0.5."""
    wrong = wrong_bits(torch.zeros(1, 1, 1), torch.full((1, 1, 1), target), torch.tensor([[True]]))
    assert wrong.tolist() == [target]
    assert Bits(1).wrong(torch.zeros(1, 1, 1), torch.full((1, 1, 1), target)).item() is bool(target)


# Every kind

ANSWERS: list[Answer] = [Bits(3), Symbols(4), Symbols(3, count=2), Reals(3, guess=0.5)]
each = pytest.mark.parametrize("answer", ANSWERS, ids=str)


def outputs_and_targets(answer: Answer, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs, targets and a mask of which every sequence has at least one step."""
    generator = torch.Generator().manual_seed(2)
    outputs = 2 * torch.randn(BATCH, STEPS, answer.size, generator=generator, dtype=dtype)
    mask = torch.rand(BATCH, STEPS, generator=generator) < 0.6
    mask[:, 0] = True
    if isinstance(answer, Bits):
        targets = torch.randint(2, outputs.shape, generator=generator).to(dtype)
    elif isinstance(answer, Symbols):
        targets = torch.randint(answer.k, (BATCH, STEPS, answer.count), generator=generator)
    else:
        targets = torch.randn(outputs.shape, generator=generator, dtype=dtype)
    return outputs, targets, mask


@each
def test_measures_are_the_sequences_own_cost_first(answer: Answer) -> None:
    measured = answer.measure(*outputs_and_targets(answer))
    assert [*measured] == [measure.name for measure in answer.measures]
    assert [part.shape for part in measured.values()] == [(BATCH,)] * len(measured)
    assert answer.measures[0].kind == "cost" and answer.measures[0].logged == "cost"
    assert measures_of(measured) == [*answer.measures]


@each
@pytest.mark.parametrize("garbage", [math.nan, math.inf, 1e4], ids=str)
def test_what_is_not_scored_counts_for_nothing_and_gets_no_gradient(answer: Answer, garbage: float) -> None:
    outputs, targets, mask = outputs_and_targets(answer)
    unscored = ~mask.unsqueeze(-1)
    spoilt = outputs.masked_fill(unscored, garbage).requires_grad_()
    clean = outputs.clone().requires_grad_()
    other = targets.masked_fill(unscored, garbage) if targets.is_floating_point() else targets.masked_fill(unscored, -1)
    answer.cost(spoilt, other, mask).sum().backward()
    answer.cost(clean, targets, mask).sum().backward()
    for name, values in answer.measure(outputs, targets, mask).items():
        assert torch.equal(answer.measure(spoilt, other, mask)[name], values), name
    for name, values in answer.chance(targets, mask).items():
        assert torch.equal(answer.chance(other, mask)[name], values), name
    assert torch.equal(answer.worst(other, mask), answer.worst(targets, mask))
    answer.check(other, mask)
    assert spoilt.grad is not None and clean.grad is not None
    assert torch.equal(spoilt.grad, clean.grad) and (spoilt.grad[~mask] == 0).all()


@each
def test_the_gradient_of_the_cost_is_right(answer: Answer) -> None:
    outputs, targets, mask = outputs_and_targets(answer, torch.float64)
    part = (outputs[:2, :3].clone().requires_grad_(), targets[:2, :3], mask[:2, :3])
    assert torch.autograd.gradcheck(lambda logits: answer.cost(logits, *part[1:]), part[:1])


@each
def test_a_sequence_is_measured_alone(answer: Answer) -> None:
    """In a batch as by itself."""
    example = outputs_and_targets(answer)
    whole = answer.measure(*example)
    for place in range(BATCH):
        alone = answer.measure(*(part[place : place + 1] for part in example))
        for name, values in whole.items():
            torch.testing.assert_close(alone[name][0], values[place])


@each
def test_a_solution_is_measured_as_the_outputs_that_say_it(answer: Answer) -> None:
    """Outputs whose image a solution is: sigmoid or softmax of logits, or the numbers themselves."""
    outputs, targets, mask = outputs_and_targets(answer, torch.float64)
    solution = answer.image(outputs)
    of_solution = answer.measure_solution(solution, targets, mask)
    for name, values in answer.measure(outputs, targets, mask).items():
        torch.testing.assert_close(of_solution[name], values)


@each
def test_the_right_solution_is_free(answer: Answer) -> None:
    _, targets, mask = outputs_and_targets(answer)
    cost, *others = answer.measure_solution(answer.image_of_targets(targets), targets, mask).values()
    assert (cost == 0).all()
    assert [part.tolist() for part in others] == [[0] * BATCH, [True] * BATCH][: len(others)]


def test_symbols_by_hand() -> None:
    """P = 1/2, 1/4, 1/4: the first costs 1 bit, the others 2 and are wrong; of two symbols a step each counts."""
    logits = torch.tensor([math.log(2), 0.0, 0.0]).expand(1, 3, 3)
    targets = torch.tensor([[[0], [1], [2]]])
    answer = Symbols(3)
    for mask, cost, wrong in (([1, 1, 1], 5, 2), ([1, 0, 0], 1, 0), ([0, 1, 0], 2, 1)):
        measured = answer.measure(logits, targets, torch.tensor([mask], dtype=torch.bool))
        assert measured["cost_bits"].item() == pytest.approx(cost)
        assert (measured["wrong_symbols"].item(), measured["exact"].item()) == (wrong, wrong == 0)
    two = Symbols(3, count=2).measure(torch.cat((logits, logits), 2), targets.repeat(1, 1, 2), torch.ones(1, 3).bool())
    assert (two["cost_bits"].item(), two["wrong_symbols"].item()) == (pytest.approx(10), 4)


def test_symbols_agree_with_torch_and_numpy() -> None:
    answer = Symbols(3, count=2)
    outputs, targets, mask = outputs_and_targets(answer, torch.float64)
    logits = outputs.unflatten(-1, (2, 3))
    nats = F.cross_entropy(logits.flatten(0, 2), targets.flatten(), reduction="none").view(BATCH, STEPS, 2)
    wrong = (logits.numpy().argmax(-1) != targets.numpy()) & mask.numpy()[..., None]
    measured = answer.measure(outputs, targets, mask)
    torch.testing.assert_close(measured["cost_bits"], (nats * mask[..., None]).sum((1, 2)) / math.log(2))
    np.testing.assert_array_equal(measured["wrong_symbols"], wrong.sum((1, 2)))


@pytest.mark.parametrize(
    ("logits", "said"),
    [([1.0, 1.0, 0.0], 0), ([0.0, 1.0, 1.0], 1), ([0.0, 0.0, 0.0], 0), ([-math.inf, -1.0, -math.inf], 1)],
    ids=["first two", "last two", "all", "infinite"],
)
def test_of_equal_logits_the_lowest_symbol_is_said(logits: list[float], said: int) -> None:
    targets = torch.arange(3).view(1, 3, 1)
    wrong = Symbols(3).wrong(torch.tensor(logits).expand(1, 3, 3), targets)
    assert wrong.flatten().tolist() == [symbol != said for symbol in range(3)]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_symbol_with_a_logit_of_nan_is_wrong_whatever_the_target(place: int) -> None:
    logits = torch.zeros(1, 3, 3)
    logits[..., place] = math.nan
    assert Symbols(3).wrong(logits, torch.arange(3).view(1, 3, 1)).all()


def test_reals_by_hand() -> None:
    """Errors 1, 2 and, not scored, 10: a cost of 1 + 4; of the guess ½ they are ½ and 3½."""
    answer = Reals(1, guess=0.5)
    targets, mask = torch.tensor([[[0.0], [4.0], [10.0]]]), torch.tensor([[True, True, False]])
    outputs = torch.tensor([[[1.0], [2.0], [0.0]]])
    assert answer.measure(outputs, targets, mask) == {"squared_error": torch.tensor([5.0])}
    assert answer.chance(targets, mask) == {"squared_error": torch.tensor([12.5])}
    assert answer.errors.name == "squared_error" and answer.worst(targets, mask).item() == 12.5
    assert answer.wrong(outputs, targets) is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Bits(3), {"cost_bits": 6, "wrong_bits": 3}),
        (Symbols(4), {"cost_bits": 4, "wrong_symbols": 1.5}),
        (Symbols(8, count=3), {"cost_bits": 18, "wrong_symbols": 5.25}),
    ],
    ids=str,
)
def test_chance_of_two_scored_steps(answer: Answer, expected: dict[str, float]) -> None:
    """As much as it costs to say all alike, and as many errors as a fair draw makes."""
    targets = torch.zeros(1, 3, answer.count).long() if isinstance(answer, Symbols) else torch.zeros(1, 3, answer.size)
    mask = torch.tensor([[False, True, True]])
    found = {name: float(value) for name, value in answer.chance(targets, mask).items()}
    assert found == expected
    assert answer.cost(torch.zeros(1, 3, answer.size), targets, mask).item() == pytest.approx(expected["cost_bits"])
    assert answer.worst(targets, mask).item() == 2 * targets.shape[2]


@pytest.mark.parametrize(
    ("task", "bits"),
    [
        (Copy(bits=3), 60),
        (RepeatCopy(lengths=(1, 3), repeats=(1, 4), bits=2), (3 * 4 + 1) * 3),
        (AssociativeRecall(items=(2, 4), rows=2, bits=5), 10),
        (Sort(items=5, outputs=4, min_items=2, bits=6), 24),
        (NGrams(length=20, context=3), 17),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, int) else "",
)
def test_chance_of_a_difficulty(task: Task, bits: int) -> None:
    assert chance(task, hardest(task)) == {"cost_bits": bits, "wrong_bits": bits / 2}


# Targets of another kind


@pytest.mark.parametrize(
    ("answer", "targets", "message"),
    [
        (Bits(1), torch.full((2, 3, 1), 3.0), "a scored target is 3: Bits(n=1) allows 0 or 1"),
        (Bits(1), torch.full((2, 3, 1), math.nan), "a scored target is nan: Bits(n=1) allows 0 or 1"),
        (Bits(2), torch.zeros(2, 3, 1), "targets have the shape (2, 3, 1): Bits(n=2) needs (2, 3, 2)"),
        (Bits(1), torch.zeros(2, 3), "targets have the shape (2, 3): Bits(n=1) needs (2, 3, 1)"),
        (Bits(1), torch.zeros(2, 3, 1).long(), "targets are of torch.int64: Bits(n=1) needs a floating dtype"),
        (Symbols(4), torch.full((2, 3, 1), 4), "a scored target is 4: Symbols(k=4, count=1) allows from 0 to 3"),
        (Symbols(4), torch.full((2, 3, 1), -1), "a scored target is -1: Symbols(k=4, count=1) allows from 0 to 3"),
        (Symbols(4), torch.zeros(2, 3, 1), "targets are of torch.float32: Symbols(k=4, count=1) needs torch.int64"),
        (Symbols(4), torch.zeros(2, 3, 4), "targets have the shape (2, 3, 4): Symbols(k=4, count=1) needs (2, 3, 1)"),
        (
            Reals(1),
            torch.full((2, 3, 1), math.inf),
            "a scored target is inf: Reals(n=1, guess=0.0) allows a finite number",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, Answer) else "",
)
def test_a_target_of_another_kind_names_the_task(answer: Answer, targets: Tensor, message: str) -> None:
    task = Copy(bits=1)
    task.answer = answer
    batch = Batch(torch.zeros(2, 3, 2), targets, torch.ones(2, 3, dtype=torch.bool), torch.tensor([3, 3]))
    with pytest.raises(ValueError) as error:
        check_targets(task, batch)
    assert str(error.value) == f"task Copy: {message}"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Bits(0), "Bits.n=0: must be"),
        (lambda: Symbols(1), "Symbols.k=1: must be a whole number of at least 2"),
        (lambda: Symbols(4, count=0), "Symbols.count=0: must be"),
        (lambda: Reals(0), "Reals.n=0: must be"),
        (lambda: Reals(1, guess=math.nan), "Reals.guess=nan: must be a finite number"),
    ],
    ids=["no bit", "one symbol", "no symbol", "no number", "no guess"],
)
def test_an_answer_that_cannot_be_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


# Tasks of their own


class Recall(BaseTask):
    """One of three symbols is shown at the first step and asked for ever after; the second half of the steps is told
    apart as ``late``. Symbol 0 comes half of the time."""

    ranges: Ranges = MappingProxyType({"steps": (2, 4)})
    input_size, answer = 3, Symbols(3)

    def draw(self, batch_size: int, difficulty: Any, generator: torch.Generator) -> Batch:
        (steps,) = self.expand(difficulty, batch_size)
        shown = (torch.randint(4, (batch_size,), generator=generator) - 1).clamp(min=0)
        inputs = torch.zeros(batch_size, int(steps.max()), 3)
        inputs[:, 0] = F.one_hot(shown, 3).float()
        mask = (torch.arange(inputs.shape[1]) > 0) & (torch.arange(inputs.shape[1]) < steps[:, None])
        return Batch(inputs, shown[:, None, None].expand(-1, inputs.shape[1], 1), mask, steps)

    def solve(self, batch: Batch) -> Tensor:
        return batch.inputs[:, :1].expand(-1, batch.inputs.shape[1], -1)

    def groups(self, batch: Batch) -> dict[str, Tensor]:
        late = (torch.arange(batch.mask.shape[1]) >= batch.mask.shape[1] / 2).expand(batch.mask.shape)
        return {"early": ~late, "late": late, "never": late & ~late}


class Mean(BaseTask):
    """The mean of what was shown so far, at every step."""

    ranges: Ranges = MappingProxyType({"steps": (2, 4)})
    input_size, answer = 1, Reals(1, guess=0.5)

    def draw(self, batch_size: int, difficulty: Any, generator: torch.Generator) -> Batch:
        (steps,) = self.expand(difficulty, batch_size)
        inputs = torch.rand(batch_size, int(steps.max()), 1, generator=generator)
        mask = torch.arange(inputs.shape[1]) < steps[:, None]
        batch = Batch(inputs, inputs, mask, steps)
        return batch._replace(targets=self.solve(batch).masked_fill(~mask.unsqueeze(2), math.nan))

    def solve(self, batch: Batch) -> Tensor:
        count = torch.arange(1, batch.inputs.shape[1] + 1).view(1, -1, 1)
        return batch.inputs.cumsum(1) / count


def test_right_answers_are_counted_by_group() -> None:
    """Four steps, the last three scored; sequence 0 is right at steps 1 and 3, sequence 1 nowhere."""
    task = Recall()
    batch = task.sample(2, {"steps": 4}, torch.Generator().manual_seed(0))
    outputs = F.one_hot((batch.targets.squeeze(2) + 1) % 3, 3).float()
    outputs[0, [1, 3]] = F.one_hot(batch.targets[0, [1, 3], 0], 3).float()
    counts = by_group(task, outputs, batch)
    assert {name: count.tolist() for name, count in counts.items()} == {
        "early": [[1, 1], [0, 1]],
        "late": [[1, 2], [0, 2]],
        "never": [[0, 0], [0, 0]],
    }
    assert accuracy({name: count.sum(0) for name, count in counts.items()}) == {"early": 0.5, "late": 0.25}
    assert by_group(Copy(), torch.zeros(1, 9, 8), Copy().sample(1, {"length": 4}, torch.Generator())) == {}


class Spelled(Recall):
    """The scored steps are one answer, which ends at the last of them."""

    def groups(self, batch: Batch) -> dict[str, Tensor]:
        return {"all": torch.arange(batch.mask.shape[1]) == batch.lengths[:, None] - 1}


def test_an_answer_of_several_steps_is_right_if_all_of_them_are() -> None:
    """Sequences of 3 and 4 steps; the first is right, the second wrong in its first scored step alone."""
    task = Spelled()
    batch = task.sample(2, {"steps": torch.tensor([3, 4])}, torch.Generator().manual_seed(0))
    outputs = F.one_hot(batch.targets.squeeze(2), 3).float()
    outputs[1, 1] = outputs[1, 1].roll(1)
    assert by_group(task, outputs, batch)["all"].tolist() == [[1, 1], [0, 1]]


def test_an_answer_of_several_symbols_is_right_if_all_of_them_are() -> None:
    task = OneShot(ways=(2, 2), shots=(2, 2), labels="letters")
    batch = task.sample(1, {"ways": 2, "shots": 2}, torch.Generator().manual_seed(0))
    outputs = F.one_hot(batch.targets, 5).flatten(2).float()
    outputs[0, 0, :5] = outputs[0, 0, :5].roll(1)  # one letter of the first label
    counts = by_group(task, outputs, batch)
    assert {name: count.tolist() for name, count in counts.items()} == {"showing_01": [[1, 2]], "showing_02": [[2, 2]]}


def trained(task: Task, sequences: int) -> Learner:
    """The learner of a small LSTM, trained on a task with thirty validations."""
    torch.manual_seed(0)
    model = LSTM(task.input_size, task.output_size, size=16, layers=1)
    data = Data(
        task, Uniform(task), seed=1, max_sequences=sequences, validate_every=sequences // 30, validation_rungs=2
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = HoldThenCosine(optimizer, data.batch_size, sequences)
    learner = Learner(model, data, optimizer, schedule, ClipNorm(1.0))
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=-1,
        max_steps=data.total_steps,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(learner, datamodule=data)
    return learner


def test_a_task_without_settings_is_shown_without_any() -> None:
    assert [repr(Recall()), repr(Recall())] == ["Recall()"] * 2  # the first one changes the class, in some Pythons


def test_a_task_of_symbols_is_learned_end_to_end() -> None:
    task = Recall()
    learner = trained(task, sequences=3000)
    model, logged = learner.model, learner.latest
    assert isinstance(learner.schedule, HoldThenCosine) and learner.schedule.learned_at
    assert {"train/cost", "train/wrong_symbols", "train/exact", "val/wrong_symbols", "val/optimum"} <= logged.keys()
    assert not any("bit" in name or "squared" in name for name in logged)
    assert logged["val/optimum"] == 0
    assert logged["val/symbol_error_rate"] == logged["val/wrong_symbols"] / 2.5  # 2 or 3 answers
    assert logged["val/cost"] < 0.1 * 2.5 * math.log2(3)
    assert "val_accuracy/never" not in logged and "val_wrong_symbols/steps_004" in logged
    right, asked = 0, 0
    for batch in learner.data.validation:
        with torch.no_grad():
            early = by_group(task, model(batch.inputs)[0], batch)["early"].sum(0)
        right, asked = right + int(early[0]), asked + int(early[1])
    assert logged["val_accuracy/early"] == right / asked  # of the last validation alone

    (row,) = evaluate(model, task, [{"steps": 4}], sequences=100, details=True)
    assert row["cost_bits"] < 0.1 * row["chance"]["cost_bits"] and row["exact"] > 0.9
    assert row["chance"] == {"cost_bits": pytest.approx(3 * math.log2(3)), "wrong_symbols": pytest.approx(2)}
    assert row["solve"] == {"cost_bits": 0, "wrong_symbols": 0, "exact": 1}
    assert row["by_group"].keys() == {"early", "late"} and min(row["by_group"].values()) > 0.95
    assert len(row["by_step"]["wrong_symbols"]) == 3 and "errors" not in row


def test_a_task_of_reals_is_learned_end_to_end() -> None:
    task = Mean()
    learner = trained(task, sequences=6000)
    model, logged = learner.model, learner.latest
    assert not any("wrong" in name or "exact" in name or "bit" in name for name in logged)
    assert logged["val/relative_error"] < 0.1

    (row,) = evaluate(model, task, [{"steps": 4}], sequences=100, details=True)
    assert row["squared_error"] < 0.1 * row["chance"]["squared_error"]
    assert row["solve"] == {"squared_error": pytest.approx(0, abs=1e-9)}
    assert len(row["by_step"]["squared_error"]) == 4
    assert not any(name.startswith(("wrong", "exact", "cost_bits")) for name in row)


def test_a_batch_of_another_kind_ends_training_at_the_first_batch() -> None:
    class Numbers(Recall):
        """Class numbers where its answer says bits; told apart only in training."""

        answer = Bits(1)
        part = "validation"

        def split(self, part: str) -> "Numbers":
            task = Numbers()
            task.part = part
            return task

        def draw(self, batch_size: int, difficulty: Difficulty, generator: torch.Generator) -> Batch:
            batch = super().draw(batch_size, difficulty, generator)
            return batch._replace(targets=batch.targets.float().clamp(max=1 if self.part != "training" else 2) * 1.0)

        def solve(self, batch: Batch) -> Tensor:
            return batch.targets

    data = Data(Numbers(), Uniform(Numbers()), seed=0, max_sequences=100)
    with pytest.raises(ValueError, match=r"^task Numbers: a scored target is 2: Bits\(n=1\) allows 0 or 1$"):
        data.next_batch()
    with pytest.raises(ValueError, match=r"^task Recall: targets have the shape \(64, 2, 1\)"):
        wrong = Recall()
        wrong.answer = Bits(3)  # type: ignore[assignment]
        Data(wrong, Uniform(wrong), seed=0, max_sequences=100)
