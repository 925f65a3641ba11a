"""Difficulties beyond training, logged while it goes on: the numbers are right, and the training does not notice."""

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ntm_lab.evaluation import far_beyond
from ntm_lab.runs.run import Run
from ntm_lab.tasks import Copy, NGrams, RepeatCopy
from ntm_lab.tasks.answers import cost_bits, wrong_bits
from ntm_lab.tasks.difficulties import seeded
from ntm_lab.training.callbacks.far import beyond
from ntm_lab.training.data import VALIDATION_SEED

FAR = ("callbacks=far", "callbacks.far.sequences=5", "callbacks.far.difficulties=[{length: 2}, {length: 9}]")


def logged(folder: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv that have a value beyond training."""
    with (folder / "metrics.csv").open() as file:
        return [row for row in csv.DictReader(file) if row.get("far_wrong_bits/length_009")]


def test_the_last_row_is_what_the_trained_model_does(started: Callable[..., Run], tiny_ntm: list[str]) -> None:
    run = started(*tiny_ntm, *FAR)
    run.fit()
    generator = seeded(VALIDATION_SEED, "far")
    last = logged(run.folder)[-1]
    for length in (2, 9):
        batch = run.task.sample(5, {"length": length}, generator)
        with torch.no_grad():
            logits, _ = run.learner.model(batch.inputs)
        for name, measure in (("cost", cost_bits), ("wrong_bits", wrong_bits)):
            expected = measure(logits, batch.targets, batch.mask).double().mean()
            assert float(last[f"far_{name}/length_{length:03d}"]) == pytest.approx(float(expected))


@pytest.mark.parametrize("model", ["ntm", "lstm"])
def test_training_does_not_notice(
    model: str, started: Callable[..., Run], tiny_ntm: list[str], tiny_lstm: list[str]
) -> None:
    """Curves, weights and generators are the same to the bit."""
    curves, weights, generators = [], [], []
    for callbacks in (("callbacks=none",), FAR):
        run = started(*(tiny_ntm if model == "ntm" else tiny_lstm), *callbacks, "log_every=1")
        run.fit()
        with (run.folder / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        curves.append([(row["sequences"], row["train/cost"]) for row in rows if row["train/cost"]])
        weights.append(run.learner.model.state_dict())
        generators.append((torch.get_rng_state(), *(run.learner.data.state_dict()[name] for name in GENERATORS)))
    assert curves[0] == curves[1] and len(curves[0]) == 6
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert all(torch.equal(one, other) for one, other in zip(*generators, strict=True))


GENERATORS = ("sequence_generator", "curriculum_generator")


@pytest.mark.parametrize(("every", "expected"), [(1, [0, 4, 8, 12, 16, 20, 24]), (2, [0, 8, 16, 24]), (4, [0, 16, 24])])
def test_it_comes_every_so_many_validations_at_the_beginning_and_at_the_end(
    every: int, expected: list[int], started: Callable[..., Run], tiny_ntm: list[str]
) -> None:
    run = started(*tiny_ntm, *FAR, "data.validate_every=4", f"callbacks.far.every={every}")
    run.fit()
    assert [int(row["sequences"]) for row in logged(run.folder)] == expected


def test_a_run_that_is_solved_ends_with_a_row(started: Callable[..., Run], tiny_ntm: list[str]) -> None:
    """Two validations below a mark that every model is below: it ends at 16 sequences of 24."""
    run = started(*tiny_ntm, *FAR, "stop_at_cost=1000", "schedule=constant", "callbacks.far.every=10")
    run.fit()
    assert [int(row["sequences"]) for row in logged(run.folder)] == [0, 16]


def test_its_time_is_not_of_training(
    started: Callable[..., Run], tiny_ntm: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that moves while the callback evaluates, and then only."""
    run = started(*tiny_ntm, *FAR)
    clock = {"now": 0.0}
    monkeypatch.setattr("ntm_lab.training.learner.time", SimpleNamespace(perf_counter=lambda: clock["now"]))
    (far,) = [callback for callback in run.trainer.callbacks if hasattr(callback, "batches")]  # type: ignore[attr-defined]
    evaluate = far._evaluate

    def slowly(learner: object) -> None:
        clock["now"] += 100
        evaluate(learner)
        clock["now"] += 100

    far._evaluate = slowly
    run.fit()
    assert clock["now"] == 800
    assert run.learner.seconds == 0
    assert {float(row["seconds"]) for row in logged(run.folder)} == {0.0}


def test_a_resumed_run_logs_nothing_twice(
    started: Callable[..., Run], train: Callable[..., object], tiny_ntm: list[str]
) -> None:
    run = started(*tiny_ntm, *FAR)
    run.fit()
    train(f"resume={run.folder}", "max_sequences=40")
    assert [int(row["sequences"]) for row in logged(run.folder)] == [0, 8, 16, 24, 32, 40]


def test_a_difficulty_that_the_task_has_not_is_named(started: Callable[..., Run], tiny_ntm: list[str]) -> None:
    run = started(*tiny_ntm, "callbacks=far", "callbacks.far.difficulties=[{items: 2}]")
    with pytest.raises(ValueError, match=r"callbacks\.far\.difficulties=\{'items': 2\}: difficulty has the axes"):
        run.fit()


@pytest.mark.parametrize(
    ("task", "multiples", "expected"),
    [
        (Copy((1, 20)), (2, 0.5, 1), [{"length": 10}, {"length": 20}, {"length": 40}]),
        (Copy((4, 5)), (0.1, 0.5, 1.5), [{"length": 4}, {"length": 8}]),
        (RepeatCopy((1, 10), (3, 3)), (1, 2), [{"length": 10, "repeats": 3}, {"length": 20, "repeats": 3}]),
        (RepeatCopy((1, 10), (1, 6)), (0.5, 2), [{"length": 5, "repeats": 3}, {"length": 20, "repeats": 12}]),
        (NGrams(50), (2,), [far_beyond(NGrams(50))[1]]),
    ],
    ids=["sorted", "not-below-the-easiest-and-each-once", "one-axis-grows", "both-grow", "no-axis-has-a-range"],
)
def test_beyond_multiplies_what_has_a_range(task: Copy, multiples: list[float], expected: list[dict[str, int]]) -> None:
    assert beyond(task, multiples) == expected
