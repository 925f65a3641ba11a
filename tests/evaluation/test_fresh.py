"""The test on fresh sequences, by models whose answers are known."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ntm_lab.evaluation import evaluate, fresh
from ntm_lab.nn import LSTM
from ntm_lab.tasks import AssociativeRecall, Copy, NGrams, RepeatCopy, Sort
from ntm_lab.tasks.answers import cost_bits, wrong_bits
from ntm_lab.tasks.difficulties import hardest, seeded
from ntm_lab.types import Batch, SequenceModel, Task


class Oracle(SequenceModel):
    """Solves its task, and says so with logits of ±`certainty`; the task's `solve` reads inputs and mask alone."""

    def __init__(self, task: Task, certainty: float = 1000.0) -> None:
        super().__init__()
        self.task, self.certainty = task, certainty
        self.weight = nn.Parameter(torch.zeros(1))

    def initial_state(self, batch_size: int, slots: int | None = None) -> None:
        """There is none."""

    def forward(self, inputs: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        mask = torch.ones(inputs.shape[:2], dtype=torch.bool)
        half = inputs.shape[1] // 2
        mask[:, : half + 1] = False  # of copy: all up to the delimiter
        none = torch.zeros(*inputs.shape[:2], self.task.output_size)
        answer = self.task.solve(Batch(inputs, none, mask, torch.full((len(inputs),), inputs.shape[1])))
        return self.certainty * (2 * answer - 1), state

    def trace(self, inputs: Tensor, *unused: Any, **also_unused: Any) -> dict[str, Tensor]:
        return {"logits": self(inputs)[0]}


def test_the_right_answer_costs_nothing() -> None:
    task = Copy(lengths=(1, 5), bits=3)
    rows = evaluate(Oracle(task), task, [{"length": 5}, {"length": 9}], sequences=20)
    assert rows == [
        {"difficulty": {"length": length}, "n": 20, "cost_bits": 0.0, "wrong_bits": 0.0, "exact": 1.0}
        for length in (5, 9)
    ]


def test_the_opposite_of_the_right_answer_is_all_wrong() -> None:
    task = Copy(lengths=(1, 5), bits=3)
    (row,) = evaluate(Oracle(task, certainty=-1.0), task, [{"length": 5}], sequences=20)
    assert (row["wrong_bits"], row["exact"]) == (15, 0)
    assert row["cost_bits"] == pytest.approx(15 * torch.log2(1 + torch.e ** torch.tensor(1.0)).item(), rel=1e-6)


@pytest.mark.parametrize(
    ("task", "outputs"),
    [
        (Copy(lengths=(1, 5), bits=3), 5 * 3),
        (RepeatCopy(lengths=(1, 3), repeats=(1, 4), bits=2), (3 * 4 + 1) * 3),
        (AssociativeRecall(items=(2, 4), rows=2, bits=5), 2 * 5),
        (NGrams(length=20, context=3), 17),
        (Sort(items=5, outputs=4, min_items=2, bits=6), 4 * 6),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else type(value).__name__,
)
def test_a_model_that_knows_nothing_pays_a_bit_an_output(task: Task, outputs: int) -> None:
    model = LSTM(task.input_size, task.output_size, size=4, layers=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    (row,) = evaluate(model, task, [hardest(task)], sequences=30)
    assert row["cost_bits"] == pytest.approx(outputs)
    assert row["n"] == 30 and row["difficulty"] == hardest(task)


def test_a_row_equals_a_computation_by_hand() -> None:
    """Of the very sequences: the generator's seed is 2 and its purpose the test."""
    task = Copy(lengths=(1, 5), bits=3)
    torch.manual_seed(0)
    model = LSTM(task.input_size, task.output_size, size=8, layers=1)
    batch = task.sample(25, {"length": 4}, seeded(2, "test"))
    logits = model(batch.inputs)[0].detach()
    (row,) = evaluate(model, task, [{"length": 4}], sequences=25)
    assert row["cost_bits"] == pytest.approx(cost_bits(logits, *batch[1:3]).double().mean().item())
    wrong = wrong_bits(logits, *batch[1:3])
    assert row["wrong_bits"] == wrong.double().mean().item() > 0
    assert row["exact"] == (wrong == 0).double().mean().item()


@pytest.mark.parametrize("steps_at_once", [1, 40, 150])
def test_rows_do_not_depend_on_how_they_are_batched(steps_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eleven steps a sequence: one, three or thirteen of the fifty at once."""
    task = Copy(lengths=(1, 5), bits=3)
    torch.manual_seed(0)
    model = LSTM(task.input_size, task.output_size, size=8, layers=1)
    (whole,) = evaluate(model, task, [{"length": 5}], sequences=50)
    monkeypatch.setattr(fresh, "STEPS_AT_ONCE", steps_at_once)
    (pieces,) = evaluate(model, task, [{"length": 5}], sequences=50)
    assert pieces["cost_bits"] == pytest.approx(whole["cost_bits"], rel=1e-6)
    assert pieces | {"cost_bits": 0} == whole | {"cost_bits": 0}


def test_the_optimum_stands_beside_a_cost_that_cannot_be_zero() -> None:
    """The Bayes-optimal predictor pays less than chance, 17 bits, and a model that knows nothing pays just that."""
    task = NGrams(length=20, context=3)
    (row,) = evaluate(LSTM(1, 1, size=4, layers=1), task, [hardest(task)], sequences=200)
    assert 8 < row["optimum_bits"] < 17 < row["cost_bits"] + 0.5


def test_the_same_rows_again_and_others_for_another_seed() -> None:
    task = Copy(lengths=(1, 5), bits=3)
    model = LSTM(task.input_size, task.output_size, size=8, layers=1)
    one, again, other = (evaluate(model, task, [{"length": 5}], 20, seed=seed) for seed in (2, 2, 3))
    assert one == again != other


def test_only_what_was_held_out_is_tested() -> None:
    class Witness(Oracle):
        seen = torch.zeros(0, 3, 2)

        def forward(self, inputs: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
            self.seen = torch.cat([self.seen, inputs[:, :3, :2]])
            return super().forward(inputs, state, lengths)

    task = Copy(lengths=(1, 5), bits=2, held_out=0.25)
    model = Witness(task)
    evaluate(model, task, [{"length": 3}], sequences=100)
    assert len(model.seen) == 100
    assert task.is_held_out(model.seen, torch.full((100,), 3)).all()


def test_no_sequences_are_no_test() -> None:
    task = Copy()
    with pytest.raises(ValueError, match=r"^test\.sequences=0: must be"):
        evaluate(Oracle(task), task, [{"length": 5}], sequences=0)


class Stored(Copy):
    """Seven sequences, of lengths 1 to 7."""

    def stored(self, difficulty: Any) -> Tensor:
        return 2 * torch.arange(1, 8) + 1

    def take(self, numbers: Tensor, difficulty: Any) -> Batch:
        return self.sample(len(numbers), {"length": numbers + 1}, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("sequences", [100, 3])
def test_a_task_with_fixed_data_is_tested_on_every_sequence_once(
    sequences: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short ones first, as many at once as fit, padded, into 20 steps: 2 · 5 and 2 · 9 do, 3 · 7 and 2 · 11 do not."""
    monkeypatch.setattr(fresh, "STEPS_AT_ONCE", 20)
    taken: list[list[int]] = []

    class Heard(Stored):
        def take(self, numbers: Tensor, difficulty: Any) -> Batch:
            taken.append((numbers + 1).tolist())
            return super().take(numbers, difficulty)

    task = Heard(lengths=(1, 5), bits=2)
    model = LSTM(task.input_size, task.output_size, size=4, layers=1)
    (row,) = evaluate(model, task, [{"length": 5}], sequences=sequences, details=True)
    assert row["n"] == len({number for batch in taken for number in batch}) == min(sequences, 7)
    if sequences > 7:
        assert taken == [[1, 2], [3, 4], [5], [6], [7]]
