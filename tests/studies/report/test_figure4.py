"""Figure 4: what is measured of a tiny sweep, and the verdict on made-up runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ntm_lab.studies.report.figure4 import STUDY
from ntm_lab.studies.results import read_curves
from ntm_lab.studies.study import NOT_REPRODUCED, REPRODUCED, TOO_FEW


def made_up(solved: Sequence[float | None]) -> pd.DataFrame:
    """Runs of 8,000 sequences at the cost of guessing, 60 bits, until they are solved, and at 0.1 bits from then on."""
    rows = [
        {"seed": seed, "sequences": sequences, "chance_bits": 60.0, "sequences_to_solve": time, "ended": 8000}
        | {"cost_bits": 60.0 if time is None or sequences < time else 0.1}
        for seed, time in enumerate(solved)
        for sequences in range(400, 8001, 400)
    ]
    table = pd.DataFrame(rows)
    return table.assign(wrong_bits=table["cost_bits"] // 2)


@pytest.mark.parametrize(
    ("solved", "outcome", "part"),
    [
        ([4000] * 5, REPRODUCED, "5 of 5 (57% to 100%) of the seeds, in the median after 4,000 sequences"),
        ([4000] * 8 + [None] * 2, TOO_FEW, "8 of 10 (49% to 94%)"),
        ([4000] * 3 + [None] * 2, TOO_FEW, "3 of 5 (23% to 88%)"),
        ([4000] * 9 + [None], REPRODUCED, "9 of 10 (60% to 98%)"),
        ([None] * 5, NOT_REPRODUCED, "in the median not within 8,000 sequences"),
        ([4000] * 4, TOO_FEW, "4 of 4"),
    ],
    ids=["all", "not-surely-most", "neither", "surely-most", "none", "too-few"],
)
def test_the_verdict_is_whether_most_seeds_solve_it(solved: Sequence[float | None], outcome: str, part: str) -> None:
    verdict = STUDY.judge(made_up(solved))
    assert verdict.outcome == outcome
    assert part in verdict.sentence


@pytest.mark.slow
def test_measure_has_the_training_curve_of_every_run(
    train: Callable[..., Any], tmp_path: Path, tiny_ntm: list[str]
) -> None:
    params = ["seed=0,1", "log_every=2", f"hydra.sweep.dir={tmp_path}", "hydra.sweep.subdir=${hydra.job.num}"]
    ended = train("-m", "experiment=report/copy", *tiny_ntm, "test.difficulties=[{length: 2}]", *params)
    assert ended.status == 0, ended.err
    table = STUDY.measure({"copy": tmp_path}, False)
    assert table.groupby("seed")["sequences"].apply(list).to_dict() == {0: [8, 16, 24], 1: [8, 16, 24]}
    curve = read_curves(tmp_path, ["train/cost"])
    assert table["cost_bits"].tolist() == curve["value"].tolist()
    assert set(table["chance_bits"]) == {10.0}  # 4 bits and lengths 1 to 4, 2.5 in the mean
    assert set(table["ended"]) == {24} and table["sequences_to_solve"].isna().all()


def test_the_figure_has_every_seed_thin_and_the_median_bold(tmp_path: Path) -> None:
    figure = STUDY.draw(made_up([2000, 4000, 6000, None, None]))
    for axis, height in zip(figure.get_axes(), (60, 30), strict=True):
        thin, bold = ([line for line in axis.get_lines() if line.get_linewidth() == width] for width in (0.6, 2))
        assert (len(thin), len(bold)) == (5, 1)
        assert np.asarray(bold[0].get_ydata())[[0, -1]].tolist() == [height, 0.1 if height == 60 else 0]
        assert axis.get_xlabel() == "sequences seen"
    figure.savefig(tmp_path / "figure.png")


def test_the_line_below_it_tells_of_runs_that_did_not_finish() -> None:
    line = STUDY.summarise(made_up([4000] * 3 + [None] * 2)).iloc[0]
    assert line["seeds solved"].startswith("3 of 5")
    assert line["sequences until solved"] == "4,000 (4,000 to –; –), 3 of 5 runs"
    assert line["cost of the last batches, bits"] == "0.10"
