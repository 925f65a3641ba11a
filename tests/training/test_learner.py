"""What is minimised, logged and counted, and when a run ends: by small runs, against computations of its own."""

import csv
import itertools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from ntm_lab.nn.controllers import Feedforward
from ntm_lab.runs.run import Run
from ntm_lab.training.learner import Learner
from ntm_lab.types import Answer, Batch, Kind

Started = Callable[..., Run]


def rows(folder: Path, column: str) -> list[dict[str, float]]:
    """The rows of metrics.csv that have a value in a column."""
    with (folder / "metrics.csv").open(newline="") as file:
        found = [row for row in csv.DictReader(file) if row[column]]
    return [{name: float(value) for name, value in row.items() if value} for row in found]


class SquaredReads:
    """A penalty of its own: the mean square of what was read, times 3."""

    once_learned = False

    def wanted(self, signals: Mapping[str, Kind]) -> list[str]:
        return ["reads"]

    def __call__(self, signals: Mapping[str, Tensor], batch: Batch) -> Tensor:
        return 3 * signals["reads"].square().mean()


@pytest.mark.parametrize("penalised", [False, True], ids=["cost alone", "with a penalty"])
def test_the_loss_is_the_mean_cost_in_bits_and_the_penalty(
    penalised: bool, started: Started, tiny_ntm: list[str]
) -> None:
    """Cross-entropy in float64 numpy, of sequences of different lengths."""
    run = started(*tiny_ntm, "penalty=none", "data.mixed_lengths=true", "model.write_heads=2", "memory.init.value=0.5")
    run.learner.penalties = [SquaredReads()] if penalised else []
    batch = run.learner.data.next_batch()
    assert len(set(batch.lengths.tolist())) > 1
    with torch.no_grad():
        signals = run.learner.model.trace(batch.inputs, lengths=batch.lengths)
    logits, targets, mask = (part.double().numpy() for part in (signals["logits"], batch.targets, batch.mask))
    of_one = 1 / (1 + np.exp(-logits))
    expected = -(np.log2(np.where(targets == 1, of_one, 1 - of_one)) * mask[..., None]).sum() / len(mask)
    penalty = 3 * signals["reads"].double().square().mean().item()
    assert penalty > 0.01
    expected += penalised * penalty
    assert run.learner.training_step(batch, 0).item() == pytest.approx(expected, rel=1e-5)


def test_training_has_its_own_number_of_slots_and_validation_has_all(started: Started, tiny_ntm: list[str]) -> None:
    run = started(*tiny_ntm, "penalty=none", "memory.slots=16", "training_slots=3")
    model, batch = run.learner.model, run.learner.data.next_batch()
    logits = [model.trace(batch.inputs, model.initial_state(len(batch.inputs), slots))["logits"] for slots in (3, 16)]
    short, whole = (run.learner.answer.cost(each, batch.targets, batch.mask).mean().item() for each in logits)
    assert abs(short - whole) > 1e-4
    assert run.learner.training_step(batch, 0).item() == pytest.approx(short, rel=1e-6)
    run.learner.validation_step(batch, 0)
    validated = run.learner.metrics[0].compute()["cost"].item()
    assert validated == pytest.approx(whole, rel=1e-6)
    assert started(*tiny_ntm, "memory.slots=16", "training_slots=17").learner.slots is None  # all that there are


class Compiled(Feedforward):
    """Takes half a second when it is called first, and draws noise."""

    called = False

    def forward(self, inputs: Tensor, state: Any) -> Any:
        if not self.called:
            self.called = True
            time.sleep(0.5)
        hidden, state = super().forward(inputs, state)
        return hidden + 0 * torch.rand_like(hidden), state


class Watch(pl.Callback):
    """Notes the states of the generators when training begins."""

    def on_train_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        self.seen = torch.get_rng_state(), learner.data.sequence_generator.get_state()
        assert all(part.grad is None for part in learner.parameters())


def test_what_is_compiled_for_training_is_compiled_before_the_clock_starts(
    started: Started, tiny_ntm: list[str]
) -> None:
    """And all else is as if that had not been: gradients, generators and the order of the sequences."""
    run = started(*tiny_ntm, "controller=feedforward", "backend=reference", "max_sequences=4")
    run.learner.model.controller.__class__ = Compiled
    run.learner.model.controller.called = False
    generators = torch.get_rng_state(), run.learner.data.sequence_generator.get_state()
    run.trainer.callbacks.insert(0, Watch())
    run.fit()
    assert 0 < run.learner.seconds < 0.5
    assert all(map(torch.equal, run.trainer.callbacks[0].seen, generators))


def test_between_two_steps_no_graph_is_kept(started: Started, tiny_ntm: list[str]) -> None:
    """It would hold all that a step saved for backward."""
    run = started(*tiny_ntm, "max_sequences=4")
    run.fit()
    kept = [value for value in (*vars(run.learner).values(), *run.learner.costs) if isinstance(value, Tensor)]
    assert len(torch.cat(run.learner.costs)) == 4 and not any(value.requires_grad for value in kept)


def test_a_penalty_waits_for_the_descent_and_grows_with_it(started: Started, tiny_ntm: list[str]) -> None:
    """Learned at the first validation, after two steps of 4 sequences; the descent takes 16."""
    descent = ["schedule=until_solved", "schedule.below=1e9", "schedule.patience=1", "schedule.sequences=16"]
    run = started(*tiny_ntm, *descent, "penalty=shift_entropy", "optimizer.lr=1e-9", "log_every=1")
    run.fit()
    penalties = [row["train/penalty"] for row in rows(run.folder, "train/penalty")]
    assert penalties[:3] == [0, 0, 0]  # none before, and none yet in the first step of the descent
    shares = [penalty / penalties[5] for penalty in penalties[3:]]
    assert shares == pytest.approx([1 / 3, 2 / 3, 1], rel=0.1)  # 4, 8 and 12 of 16 sequences


@pytest.mark.parametrize("clip", ["clip=none", "clip=norm", "clip=elements"])
def test_the_gradient_norm_is_that_before_clipping(clip: str, started: Started, tiny_ntm: list[str]) -> None:
    limit = [] if clip == "clip=none" else ["clip.limit=1e-3"]
    settings = [*tiny_ntm, "optimizer=rmsprop", clip, *limit, "max_sequences=4", "log_every=1"]
    again = started(*settings)
    again.learner.training_step(again.learner.data.next_batch(), 0).backward()
    gradients = [part.grad.double() for part in again.learner.model.parameters() if part.grad is not None]
    expected = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()

    run = started(*settings)
    run.fit()
    (logged,) = rows(run.folder, "train/gradient_norm")
    assert expected > 0.1
    assert logged["train/gradient_norm"] == pytest.approx(expected, rel=1e-5)


def test_results_tell_the_largest_gradient_norm(started: Started, tiny_ntm: list[str]) -> None:
    run = started(*tiny_ntm, "log_every=1")
    run.fit()
    norms = [row["train/gradient_norm"] for row in rows(run.folder, "train/gradient_norm")]
    assert run.report([])["largest_gradient_norm"] == pytest.approx(max(norms)) and max(norms) > min(norms)


def test_the_bit_error_rate_is_wrong_bits_over_scored_bits(started: Started, tiny_ntm: list[str]) -> None:
    """Lengths 2 and 4 of two bits: 6 scored bits a sequence in the mean."""
    run = started(*tiny_ntm, "task.bits=2")
    run.fit()
    for row in rows(run.folder, "val/cost"):
        assert row["val/bit_error_rate"] == pytest.approx(row["val/wrong_bits"] / 6)
        assert 0 < row["val/bit_error_rate"] < 1


def test_results_tell_when_the_task_was_solved_for_good(
    started: Started, tiny_ntm: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Validations after 4, 8, … 24 sequences. The mark is the rate of the one before the last valley: from there on."""
    settings = [*tiny_ntm, "optimizer.lr=0.3", "data.validate_every=4", "recipe=ntm/general"]
    run = started(*settings)
    run.fit()
    rates = [row["val/bit_error_rate"] for row in rows(run.folder, "val/cost")]
    mark = max(rates[2:])  # not below itself
    since = max(place for place, rate in enumerate(rates) if rate >= mark) + 1
    assert run.report([])["sequences_to_solve"] is None and 2 < since < len(rates)

    monkeypatch.setattr(Answer, "solved", mark)
    again = started(*settings)
    again.fit()
    results = again.report([])
    assert results["sequences_to_solve"] == 4 * (since + 1)
    assert results["seconds_to_solve"] == pytest.approx(rows(again.folder, "val/cost")[since]["seconds"])


def test_training_rows_are_means_over_the_steps_since_the_last(started: Started, tiny_ntm: list[str]) -> None:
    single, pairs = started(*tiny_ntm, "log_every=1"), started(*tiny_ntm, "log_every=2")
    single.fit()
    pairs.fit()
    names = [f"train/{name}" for name in ("cost", "wrong_bits", "exact", "gradient_norm")]
    each = [[row[name] for name in names] for row in rows(single.folder, "train/cost")]
    means = [[row[name] for name in names] for row in rows(pairs.folder, "train/cost")]
    assert len(each) == 6
    np.testing.assert_allclose(means, np.array(each).reshape(3, 2, len(names)).mean(1), rtol=1e-9)


def test_validation_is_the_mean_over_the_difficulties(started: Started, tiny_ntm: list[str]) -> None:
    run = started(*tiny_ntm)
    run.fit()
    last = rows(run.folder, "val/cost")[-1]
    assert last["sequences"] == 24
    expected = []
    for batch, length in zip(run.learner.data.validation, ("002", "004"), strict=True):
        with torch.no_grad():
            logits, _ = run.learner.model(batch.inputs)
        wrong = (((logits > 0) != (batch.targets > 0.5)) & batch.mask[..., None]).sum((1, 2))
        assert last[f"val_wrong_bits/length_{length}"] == pytest.approx(wrong.double().mean().item())
        assert last[f"val_exact/length_{length}"] == pytest.approx((wrong == 0).double().mean().item())
        expected.append(last[f"val_cost/length_{length}"])
    assert last["val/cost"] == pytest.approx(np.mean(expected))
    assert expected[0] < expected[1]


NOISY = ["optimizer.lr=0.3", "max_sequences=96", "data.validate_every=4", "recipe=ntm/general"]


def costs(run: Run) -> list[float]:
    return [row["val/cost"] for row in rows(run.folder, "val/cost")]


def second_in_a_row(costs: list[float], mark: float) -> int:
    """How many validations it takes until two in a row are below the mark."""
    return next(end for end in range(2, len(costs) + 1) if max(costs[end - 2 : end]) < mark)


def test_a_run_ends_after_two_validations_in_a_row_below_the_mark(started: Started, tiny_ntm: list[str]) -> None:
    """At so large a rate the cost goes up and down: the mark is such that one below does not count, and then two do."""
    never = started(*tiny_ntm, *NOISY, "schedule=constant", "stop_at_cost=null")
    never.fit()
    seen = costs(never)
    assert len(seen) == 24 and not never.learner.solved
    alone = [after for here, after in itertools.pairwise(seen) if here < after]
    mark = alone[0]  # the second of the two is at the mark, not below
    expected = second_in_a_row(seen, mark)
    assert any(cost < mark for cost in seen[: expected - 2]) and expected < 24

    run = started(*tiny_ntm, *NOISY, "schedule=constant", f"stop_at_cost={mark}")
    run.fit()
    assert costs(run) == seen[:expected]
    assert run.learner.sequences == 4 * expected
    assert run.report([])["stopped_by"] == "stop_at_cost"


def test_a_run_does_not_end_before_its_schedule(started: Started, tiny_ntm: list[str]) -> None:
    """Below the mark from the start; learned at the second validation, after 8; the descent takes 20 more."""
    held = ["schedule=until_solved", "schedule.below=1e9", "schedule.patience=2", "schedule.sequences=20"]
    held += ["schedule.solved=1e9"]
    run = started(*tiny_ntm, *NOISY, *held, "stop_at_cost=1e9")
    run.fit()
    assert run.learner.sequences == 28
    unlearned = started(*tiny_ntm, *NOISY, "schedule=until_solved", "schedule.below=1e-9", "stop_at_cost=1e9")
    unlearned.fit()
    assert unlearned.learner.sequences == 96
    assert unlearned.report([])["stopped_by"] == "max_sequences"


@pytest.mark.parametrize("batch_size", [4, 8])
def test_the_budget_is_in_sequences(batch_size: int, started: Started, tiny_ntm: list[str]) -> None:
    """22 sequences, in whole batches, are 24, and validations come at 8, 16 and the end."""
    run = started(*tiny_ntm, f"data.batch_size={batch_size}", "max_sequences=22")
    run.fit()
    assert run.learner.sequences == 24 == sum(run.learner.data.counts.values())
    assert run.trainer.global_step == 24 / batch_size
    assert [row["sequences"] for row in rows(run.folder, "val/cost")] == [8, 16, 24]
    assert [row["step"] for row in rows(run.folder, "val/cost")] == [at / batch_size for at in (8, 16, 24)]


def test_seconds_are_of_training_and_grow(started: Started, tiny_ntm: list[str]) -> None:
    run = started(*tiny_ntm, "log_every=1")
    run.fit()
    seconds = [row["seconds"] for row in rows(run.folder, "seconds")]
    assert seconds[0] > 0 and seconds == sorted(seconds)
    assert seconds[-1] == run.learner.seconds


def test_it_trains_with_any_trainer(
    started: Started, tiny_ntm: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning's own, which by default validates two batches first."""
    learner = started(*tiny_ntm).learner
    monkeypatch.chdir(tmp_path)
    trainer = pl.Trainer(max_steps=10, accelerator="cpu", log_every_n_steps=1, enable_model_summary=False)
    trainer.fit(learner, datamodule=learner.data)
    assert learner.sequences == 40 == sum(learner.data.counts.values())
    assert trainer.callback_metrics["val/cost"] == pytest.approx(learner.latest["val/cost"])
    assert not [*tmp_path.rglob("nonfinite*")]


@pytest.mark.parametrize("model", ["ntm", "lstm"])
def test_training_lowers_the_cost(model: str, started: Started, tiny_ntm: list[str], tiny_lstm: list[str]) -> None:
    """One or two vectors of two bits: chance is 2 or 4 bits, 3 in the mean."""
    easy = ["task.lengths=[1,2]", "task.bits=2", "data.batch_size=16", "data.validate_every=4800", "max_sequences=4800"]
    run = started(*(tiny_ntm if model == "ntm" else tiny_lstm), *easy, "schedule=constant", "optimizer.lr=1e-2")
    run.fit()
    (last,) = rows(run.folder, "val/cost")
    assert last["val/cost"] < 1.5


def test_the_same_seed_gives_the_same_weights(started: Started, tiny_ntm: list[str]) -> None:
    weights: list[dict[str, Any]] = []
    for seed in (5, 5, 6):
        run = started(*tiny_ntm, f"seed={seed}")
        run.fit()
        weights.append(dict(run.learner.model.state_dict()))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not torch.equal(weights[0]["output.weight"], weights[2]["output.weight"])


def test_a_penalty_that_the_model_cannot_serve_is_refused(started: Started, tiny_lstm: list[str]) -> None:
    says = r"^penalty=weighting_entropy model=lstm: kinds=\[weighting\]: .* has only signals of the kinds vector$"
    with pytest.raises(Exception, match=says):
        started(*tiny_lstm, "penalty=weighting_entropy")
    by_name = ["penalty=weighting_entropy", "penalty.weighting_entropy.kinds=[]"]
    with pytest.raises(Exception, match=r"signal 'read_weighting': this model has only hidden"):
        started(*tiny_lstm, *by_name, "+penalty.weighting_entropy.signals=[read_weighting]")
