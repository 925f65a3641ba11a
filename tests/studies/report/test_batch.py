"""Batch sizes: what is measured of a tiny sweep, and the verdict on made-up shares of wrong bits."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ntm_lab.studies.report.batch import STUDY
from ntm_lab.studies.results import read_curves, read_runs
from ntm_lab.studies.study import DEPENDS, NOT_REPRODUCED, REPRODUCED, TOO_FEW

TINY = [
    *("max_sequences=8", "data.validate_every=4", "data.validation_sequences=2", "data.validation_rungs=1"),
    *(
        "task.lengths=[1,2]",
        "task.bits=3",
        "test.difficulties=[{length: 2},{length: 4},{length: 8}]",
        "test.sequences=2",
    ),
]
BATCHES = (1, 2, 64)


def made_up(
    learned: Mapping[int, float], beyond: Mapping[int, float], lstm_beyond: Mapping[int, float], seeds: int = 5
) -> pd.DataFrame:
    """Half of the bits wrong until the second at which a batch size has learned, then a tenth of a percent, with runs
    of 64 / batch seconds; beyond the lengths of training a share of wrong bits of each batch size."""
    rows: list[dict[str, Any]] = []
    for model, shares, longest in (("ntm", beyond, 10), ("lstm", lstm_beyond, 5)):
        for batch in BATCHES:
            for seed in range(seeds):
                run = {"model": model, "batch": batch, "seed": seed, "longest": longest}
                for sequences in range(640, 6401, 640):
                    seconds = sequences / 100 / batch + 0.001 * seed
                    value = 0.001 if seconds > learned[batch] else 0.5 - 0.001 * seed
                    row = {"sequences": sequences, "seconds": seconds, "value": value}
                    rows.append(run | row | {"kind": "curve"})
                for length in (longest, 2 * longest, 4 * longest):
                    rows.append(run | row | {"kind": "test", "length": length, "value": shares[batch] + 0.001 * seed})
    return pd.DataFrame(rows)


ALIKE = {1: 0.1, 2: 0.1, 64: 0.1}
BETTER = {1: 0.4, 2: 0.1, 64: 0.5}
LATE = {1: 60.0, 2: 20.0, 64: 0.5}  # of runs of 64, 32 and 1 seconds: batch 1 has not learned when the others end
NEVER = {1: 99.0, 2: 99.0, 64: 99.0}


@pytest.mark.slow
def test_measure_has_validations_and_tests_of_every_run(train: Callable[..., Any], tmp_path: Path) -> None:
    params = ["experiment/report/batch=ntm,lstm", "data.batch_size=1,4", "seed=0", f"hydra.sweep.dir={tmp_path}"]
    ended = train("-m", "experiment=report/batch", *params, *TINY)
    assert ended.status == 0, ended.err
    table = STUDY.measure({"batch": tmp_path}, False)
    runs = table.groupby(["model", "batch", "kind"])
    assert runs["sequences"].apply(list).to_dict() == {
        (model, batch, kind): sequences
        for model in ("ntm", "lstm")
        for batch in (1, 4)
        for kind, sequences in (("curve", [4, 8]), ("test", [8, 8, 8]))
    }
    assert (table["longest"] == 2).all()
    results = read_runs(tmp_path).set_index(["choices.model", "data.batch_size"])
    wrong = [row["wrong_bits"] for row in results.loc[("lstm", 4), "test"]]
    tests = table[(table["model"] == "lstm") & (table["batch"] == 4) & (table["kind"] == "test")]
    assert tests["value"].tolist() == pytest.approx([wrong[0] / 6, wrong[1] / 12, wrong[2] / 24])


@pytest.mark.slow
def test_the_rate_follows_the_batch_size(train: Callable[..., Any], tmp_path: Path) -> None:
    params = ["experiment/report/batch=lstm", "data.batch_size=4,64", "seed=0", "log_every=1"]
    ended = train("-m", "experiment=report/batch", *params, *TINY, f"hydra.sweep.dir={tmp_path}")
    assert ended.status == 0, ended.err
    batches = read_runs(tmp_path).set_index("run")["data.batch_size"]
    rates = read_curves(tmp_path, ["train/learning_rate"]).groupby("run")["value"].first()
    assert {batches[run]: rate for run, rate in rates.items()} == pytest.approx({4: 0.5e-3, 64: 2e-3})


def test_reproduced_if_a_larger_batch_is_better_in_every_sense() -> None:
    verdict = STUDY.judge(made_up(LATE, BETTER, BETTER))
    assert verdict.outcome == REPRODUCED
    assert "NTM at length 40 after the same sequences better with 2 and worse with 64" in verdict.sentence
    assert "5 seeds" in verdict.sentence


def test_not_reproduced_if_none_is_in_any() -> None:
    verdict = STUDY.judge(made_up(NEVER, ALIKE, ALIKE))
    assert verdict.outcome == NOT_REPRODUCED
    assert verdict.sentence.count("better with none and worse with none") == 4


def test_it_may_depend_on_what_is_held_equal() -> None:
    verdict = STUDY.judge(made_up(LATE, ALIKE, ALIKE))
    assert verdict.outcome == DEPENDS
    assert "LSTM in validation after the same seconds better with 2, 64 and worse with none" in verdict.sentence


def test_too_few_seeds() -> None:
    verdict = STUDY.judge(made_up(LATE, BETTER, BETTER, seeds=4))
    assert verdict.outcome == TOO_FEW and "4 seeds" in verdict.sentence


def test_before_its_first_validation_batch_1_guesses() -> None:
    """Batch 64 has ended after a second, when batch 1 had not been validated."""
    summary = STUDY.summarise(made_up(LATE, BETTER, BETTER)).set_index(["model", "batch"])
    assert summary.loc[("NTM", "64"), "batch 1 after as many seconds"].startswith("50.00 (50.00 to 50.00")


def test_the_figure_shows_both_models_at_every_batch_size() -> None:
    figure = STUDY.draw(made_up(LATE, BETTER, BETTER))
    for axis in (figure.axes[0], figure.axes[1], figure.axes[3], figure.axes[4]):
        assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "2", "64"]
    lengths = [[text.get_text() for text in figure.axes[place].get_legend().get_texts()] for place in (1, 4)]
    assert lengths == [["length 20", "length 40"], ["length 10", "length 20"]]
    assert figure.axes[2].get_xlabel() == "seconds of training"
    figure.draw_without_rendering()
