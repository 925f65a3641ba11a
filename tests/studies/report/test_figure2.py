"""Figures 2 and 3: what is measured of a tiny sweep, and the verdict on made-up curves."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ntm_lab.studies.report.figure2 import STUDY
from ntm_lab.studies.study import DEPENDS, NOT_REPRODUCED, REPRODUCED, TOO_FEW

TINY = [
    *("data.batch_size=2", "max_sequences=12", "data.validate_every=4", "data.validation_sequences=3"),
    *("task.lengths=[1,3]", "task.held_out=0.5", "model.size=4", "test.sequences=2", "log_every=1"),
]
ARMS = {  # arm: batch size, validations, cost of guessing, seconds a step
    "one": (1, 40, 30.0, 1.0),
    "thirty_two": (32, 20, 30.0, 1.5),
    "repeated_one": (1, 40, 12.0, 1.0),
    "repeated_thirty_two": (32, 20, 12.0, 1.5),
    "packed": (32, 20, 75.0, 2.0),
    "padded": (32, 20, 75.0, 1.0),
}


def made_up(rate: Mapping[int, float], gap: Mapping[int, float], fresh: float = 0.0, seeds: int = 5) -> pd.DataFrame:
    """Validations every ten steps. Training costs less and less, at a rate a step of each batch size; validation stays
    above by a gap of each batch size as it comes down, on fresh sequences by a share `fresh` of that."""
    rows: list[dict[str, Any]] = []
    for arm, (batch, validations, chance, seconds) in ARMS.items():
        for seed in range(seeds):
            for step in range(10, 10 * validations + 1, 10):
                share = np.exp(-rate[batch] * step * (1 + 0.01 * seed))
                above = gap[batch] * (1 if "repeated" in arm else fresh) * (1 - share) * (1 + 0.01 * seed)
                time = {"sequences": batch * step, "step": step, "seconds": seconds * step}
                costs = {"training": chance * share, "validation": chance * share + above, "chance": chance}
                rows.append({"kind": "curve", "arm": arm, "batch": batch, "seed": seed} | time | costs)
        rows.append({"kind": "overlap", "arm": arm, "length": 1, "overlap": 0.0, "overlap_otherwise": 0.8})
        rows.append({"kind": "overlap", "arm": arm, "length": 2, "overlap": 0.0, "overlap_otherwise": 0.001})
    return pd.DataFrame(rows)


GAP = {1: 3.0, 32: 0.5}
REPORT = made_up({1: 0.02, 32: 0.005}, GAP, fresh=0.3)


@pytest.mark.slow
def test_measure_tells_training_from_validation(train: Callable[..., Any], tmp_path: Path) -> None:
    params = ["experiment/report/figure2=repeated_one,padded", "seed=0,1", f"hydra.sweep.dir={tmp_path}"]
    ended = train("-m", "experiment=report/figure2", *params, *TINY)
    assert ended.status == 0, ended.err
    table = STUDY.measure({"figure2": tmp_path}, False)
    curves, overlaps = table[table["kind"] == "curve"], table[table["kind"] == "overlap"]
    assert curves.groupby(["arm", "seed"])["sequences"].apply(list).tolist() == 4 * [[4, 8, 12]]
    assert (curves["chance"] == 15).all()  # validated on lengths 2 and 3 of 6 bits
    assert overlaps.groupby("arm")["length"].apply(list).tolist() == 2 * [[1, 2, 3]]
    assert (overlaps["overlap"] == 0).all()
    expected = 1 - (1 - 2.0**-6) ** 4  # of twelve sequences every third has length 1
    assert overlaps["overlap_otherwise"].iloc[0] == pytest.approx(expected)

    logged = pd.concat([pd.read_csv(path) for path in sorted(tmp_path.rglob("*figure2=padded*seed=0*/metrics.csv"))])
    of_run = curves[(curves["arm"] == "padded") & (curves["seed"] == 0)]
    assert of_run["validation"].tolist() == pytest.approx(logged["val/cost"].dropna().tolist())
    steps = logged["train/cost"].dropna().tolist()  # one of two sequences each: two before a validation, two after
    assert of_run["training"].tolist()[:2] == pytest.approx([np.mean(steps[:4]), np.mean(steps[2:])])
    assert np.isnan(of_run["training"].iloc[-1])


def test_reproduced_if_all_parts_hold_in_all_senses() -> None:
    verdict = STUDY.judge(REPORT)
    assert verdict.outcome == REPRODUCED
    for part in ("faster than 32 in 6 of 6 senses", "overfits in 2 of 2", "costs the same in 2 of 2", "5 seeds"):
        assert part in verdict.sentence


def test_not_reproduced_if_none_holds_in_any() -> None:
    verdict = STUDY.judge(made_up({1: 1e-4, 32: 0.02}, {1: 0.1, 32: 0.1}))
    assert verdict.outcome == NOT_REPRODUCED
    for part in ("faster than 32 in 0 of 6 senses", "overfits in 0 of 2", "costs the same in 0 of 2"):
        assert part in verdict.sentence


def test_it_may_depend_on_what_is_held_equal() -> None:
    """A step of batch 32 does as much as four of batch 1: faster a step and a second, slower a sequence."""
    verdict = STUDY.judge(made_up({1: 0.005, 32: 0.02}, GAP))
    assert verdict.outcome == DEPENDS
    for part in ("faster than 32 in 2 of 6 senses", "overfits in 1 of 2", "costs the same in 1 of 2"):
        assert part in verdict.sentence


def test_too_few_seeds() -> None:
    verdict = STUDY.judge(made_up({1: 0.02, 32: 0.005}, GAP, seeds=4))
    assert verdict.outcome == TOO_FEW and "4 seeds" in verdict.sentence


def test_a_gap_within_the_error_of_the_validation_set_is_none() -> None:
    verdict = STUDY.judge(made_up({1: 0.02, 32: 0.005}, GAP, fresh=0.09))  # 0.27 bits, of 30
    assert "overfits in 1 of 2" in verdict.sentence


def test_the_figure_has_both_batch_sizes_on_all_three_axes() -> None:
    figure = STUDY.draw(REPORT)
    labels = [axis.get_xlabel() for axis in figure.axes]
    assert [sum(unit in label for label in labels) for unit in ("sequences seen", "steps", "seconds")] == [2, 2, 3]
    first = figure.axes[0]
    assert [line.get_label() for line in first.lines[:4]] == [
        f"batch {batch}, {part}" for batch in (1, 32) for part in ("validation", "training")
    ]
    figure.draw_without_rendering()


def test_the_summary_has_a_line_for_every_arm_and_what_padding_costs() -> None:
    summary = STUDY.summarise(REPORT)
    assert len(summary) == 7
    assert summary["seconds"].iloc[-1].startswith("0.50 times")
    assert summary["the same were none held out"].iloc[0] == "length 1: 80%, others below 1%"
    assert summary["gap, bits"].iloc[2].startswith("3.0")
