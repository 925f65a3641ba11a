"""What a detailed row says, of answers made by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ntm_lab.evaluation import evaluate
from ntm_lab.evaluation.scores import Scores, brief, detailed
from ntm_lab.nn import LSTM
from ntm_lab.tasks import AssociativeRecall, Copy, NGrams, RepeatCopy, Sort
from ntm_lab.tasks.difficulties import hardest
from ntm_lab.types import Batch, Task

COPY = Copy(lengths=(1, 10), bits=8)


def batch_of(task: Task, size: int) -> Batch:
    return task.sample(size, hardest(task), torch.Generator().manual_seed(0))


def row_of(task: Task, logits: Tensor, batch: Batch) -> dict[str, Any]:
    scores = Scores.of(logits, batch, task.solve(batch), task)
    return brief(hardest(task), scores, task.answer) | detailed(scores, task.answer)


@pytest.fixture
def batch() -> Batch:
    return batch_of(COPY, 4)


@pytest.fixture
def right(batch: Batch) -> Tensor:
    """Logits that cost next to nothing."""
    return 2000 * (batch.targets - 0.5)


def test_errors_are_counted_by_kind_and_place(batch: Batch, right: Tensor) -> None:
    """One sequence is right, one has two wrong bits at step 3, one says step 5 twice, one skips step 2."""
    answer = right[:, 11:]
    answer[1, 3, [0, 4]] *= -1
    answer[2, 6:] = answer[2, 5:9].clone()
    answer[3, 2:9] = answer[3, 3:10].clone()
    row = row_of(COPY, right, batch)
    wrong = (answer > 0) != (batch.targets[:, 11:] > 0.5)  # (4, 10, 8)
    errors = row["errors"]
    assert {kind: errors[kind] for kind in ("wrong_bits_only", "doubled", "skipped")} == {
        "wrong_bits_only": 1,
        "doubled": 1,
        "skipped": 1,
    }
    assert errors["shifts"] == [[1, 6], [-1, 2]]
    assert errors["local_bits"] == 2 / 4
    assert errors["shifted_bits"] == wrong[2:].sum().item() / 4 > 1
    assert errors["local_bits"] + errors["shifted_bits"] == row["wrong_bits"]
    assert row["by_step"]["wrong_bits"] == pytest.approx((wrong.sum((0, 2)) / 4).tolist())
    assert row["exact"] == 0.25 and row["exact_interval"] == pytest.approx([0.0456, 0.6994], abs=1e-4)


def test_steps_add_up_to_the_sequence(batch: Batch) -> None:
    logits = torch.randn(batch.targets.shape, generator=torch.Generator().manual_seed(1))
    row = row_of(COPY, logits, batch)
    for measure in ("cost_bits", "wrong_bits"):
        assert len(row["by_step"][measure]) == 10
        assert sum(row["by_step"][measure]) == pytest.approx(row[measure], rel=1e-5)
        low, high = row["cost_interval" if measure == "cost_bits" else "wrong_interval"]
        assert low < row[measure] < high


def test_the_place_of_a_cost_is_its_step(batch: Batch, right: Tensor) -> None:
    """A logit of 0 costs one bit, here at the third of the scored steps of every sequence."""
    right[:, 13, :5] = 0
    row = row_of(COPY, right, batch)
    assert row["by_step"]["cost_bits"] == pytest.approx([0, 0, 5, 0, 0, 0, 0, 0, 0, 0])


def test_bits_are_not_negative_even_if_rare(batch: Batch, right: Tensor) -> None:
    right[0, 12] *= -1
    low, high = row_of(COPY, right, batch)["wrong_interval"]
    assert low == 0 and high > 2


TASKS = [
    (COPY, 80),
    (RepeatCopy(lengths=(1, 3), repeats=(1, 4), bits=2), (3 * 4 + 1) * 3),
    (AssociativeRecall(items=(2, 4), rows=2, bits=5), 2 * 5),
    (Sort(items=5, outputs=4, min_items=2, bits=6), 4 * 6),
    (NGrams(length=20, context=3), 17),
]


@pytest.mark.parametrize(
    ("task", "bits"), TASKS, ids=lambda value: str(value) if isinstance(value, int) else type(value).__name__
)
def test_yardsticks(task: Task, bits: int) -> None:
    """Chance is a bit for each scored output, half of them wrong; the task's solution is free or the optimum."""
    batch = batch_of(task, 100)
    chance = row_of(task, torch.zeros(batch.targets.shape), batch)
    assert chance["chance"] == {"cost_bits": bits, "wrong_bits": bits / 2}
    assert chance["cost_bits"] == pytest.approx(bits)
    if isinstance(task, NGrams):
        assert chance["solve"]["cost_bits"] == chance["optimum_bits"] < bits
        assert 0 < chance["solve"]["wrong_bits"] < bits / 2
        assert "errors" not in chance
    else:
        assert chance["solve"] == {"cost_bits": 0, "wrong_bits": 0, "exact": 1}
        assert "gap_bits" not in chance


def test_the_gap_of_the_optimum_itself_is_0() -> None:
    task = NGrams(length=30, context=2)
    batch = batch_of(task, 50)
    row = row_of(task, task.solve(batch).logit(), batch)
    assert row["gap_bits"] == pytest.approx(0, abs=1e-4)
    assert row["gap_by_step"] == pytest.approx([0] * 28, abs=1e-5)
    assert row["wrong_bits"] == row["solve"]["wrong_bits"]


def test_the_gap_by_position_and_window() -> None:
    """Optimal but for the fourth prediction, where the answer is 0.5."""
    task = NGrams(length=30, context=2)
    batch = batch_of(task, 200)
    logits = task.solve(batch).logit()
    logits[:, 4] = 0
    row = row_of(task, logits, batch)
    at = row["gap_by_step"][3]
    assert at > 0.05
    assert row["gap_by_step"] == pytest.approx([0, 0, 0, at] + [0] * 24, abs=1e-5)
    assert row["gap_bits"] == pytest.approx(at, abs=1e-4)
    assert row["gap_by_window"]["steps"] == 10
    assert row["gap_by_window"]["gap_bits"] == pytest.approx([at / 10, 0, 0], abs=1e-5)
    low, high = row["gap_by_window"]["gap_interval"][0]
    assert low < at / 10 < high


def test_details_are_added_to_the_same_row() -> None:
    model = LSTM(COPY.input_size, COPY.output_size, size=4, layers=1)
    told: list[int] = []
    plain = evaluate(model, COPY, [{"length": 3}, {"length": 5}], 30)
    rows = evaluate(model, COPY, [{"length": 3}, {"length": 5}], 30, details=True, advance=told.append)
    assert [{key: row[key] for key in plain[0]} for row in rows] == plain
    assert sum(told) == 60
    assert "slots" not in rows[0]


def test_one_sequence_has_no_interval() -> None:
    (row,) = evaluate(LSTM(9, 8, size=4, layers=1), COPY, [{"length": 3}], sequences=1, details=True)
    assert row["cost_interval"] is None and row["wrong_interval"] is None
    assert row["exact_interval"] == pytest.approx([0, 0.7935], abs=1e-4)


def test_a_difficulty_that_there_is_not_is_told_before_the_work() -> None:
    told: list[int] = []
    model = LSTM(COPY.input_size, COPY.output_size, size=4, layers=1)
    with pytest.raises(ValueError, match=r"length=0: must be at least 1"):
        evaluate(model, COPY, [{"length": 3}, {"length": 0}], 30, advance=told.append)
    assert not told


def test_sequences_with_unequally_many_answers_have_no_steps() -> None:
    """They are scored all the same, and so is a difficulty of which only some batches are uneven."""
    lengths = torch.tensor([2, 5, 3, 3])
    batch = COPY.sample(4, {"length": lengths}, torch.Generator().manual_seed(0))
    logits = torch.zeros(batch.targets.shape)
    uneven = Scores.of(logits, batch, COPY.solve(batch), COPY)
    even = Scores.of(
        *(part[2:] for part in (logits,)), Batch(*(part[2:] for part in batch)), COPY.solve(batch)[2:], COPY
    )
    for scores, bits in ((uneven, 8 * 13 / 4), (Scores.joined([uneven, even]), 8 * 19 / 6), (even, 8 * 3)):
        row = detailed(scores, COPY.answer)
        assert row["chance"] == {"cost_bits": pytest.approx(bits), "wrong_bits": pytest.approx(bits / 2)}
        assert ("by_step" in row) == ("errors" in row) == (scores is even)


def test_targets_of_another_kind_are_refused() -> None:
    class Numbers(Copy):
        def sample(self, *arguments: Any) -> Batch:
            batch = super().sample(*arguments)
            return batch._replace(targets=batch.targets * 3)

    model = LSTM(COPY.input_size, COPY.output_size, size=4, layers=1)
    with pytest.raises(ValueError, match=r"^task Numbers: a scored target is 3: Bits\(n=8\) allows 0 or 1"):
        evaluate(model, Numbers(), [{"length": 3}], 10)
