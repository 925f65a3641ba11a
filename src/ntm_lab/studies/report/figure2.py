"""Figures 2 and 3 of the report on one page: an LSTM learns to copy from one sequence a batch, or from thirty-two."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ntm_lab.studies.contrasts import Contrast, contrasts
from ntm_lab.studies.report.figure2_page import draw, summarise
from ntm_lab.studies.report.figure2_table import AXES, NAMES, REGIMES, arm_of, ends_of, measure
from ntm_lab.studies.statistics import LEVEL, on_grid, p_value
from ntm_lab.studies.study import MIN_SEEDS, TOO_FEW, Study, Verdict, outcome_under, verdict_of_parts

MARGIN = 0.01  # of the cost of guessing: the validation set is a sample, and the same one for all seeds


def judge(table: pd.DataFrame) -> Verdict:
    """Three parts, each in every sense that it may have (`outcome_under`). A sense holds at a level of 5 %.

    Batch 1 is faster: its validation costs less than that of batch 32 at equal sequences, steps and seconds, each on
    fresh and on 160 sequences (Mann–Whitney, Holm over the six). It overfits: at the end its validation costs more than
    its training, on either, by more than `MARGIN` of guessing (Wilcoxon over the seeds, one-sided). Batch 32 is better:
    its validation costs less when the training of both first costs as little as it comes to in all runs, on either
    (Mann–Whitney, Holm over the two).
    """
    seeds = min(len(ends_of(table, arm)) for arm in NAMES)
    if seeds < MIN_SEEDS:
        return Verdict(TOO_FEW, f"An arm has only {seeds} seeds.")
    speed, gaps, quality = _speed(table), _gaps(table), _quality(table)
    held = {
        "batch 1 converges faster": [contrast.first_lower for contrast in speed.values()],
        "batch 1 overfits": [gap.p < LEVEL for gap in gaps],
        "batch 32 validates better": [contrast.second_lower for contrast in quality.values()],
    }
    counts = [f"{sum(senses)} of {len(senses)}" for senses in held.values()]
    return verdict_of_parts(
        {part: outcome_under(senses) for part, senses in held.items()},
        f"Batch 1 converges faster than 32 in {counts[0]} senses (validation in bits of 1 against 32: "
        f"{_listed(speed)}), it overfits in {counts[1]} (validation − training at the end: "
        f"{'; '.join(map(str, gaps))}), and batch 32 validates better where training costs the same in {counts[2]} "
        f"(1 against 32: {_listed(quality)}); {seeds} seeds of each.",
    )


def _listed(found: Mapping[str, Contrast]) -> str:
    return "; ".join(f"{condition} {contrast}" for condition, contrast in found.items())


def _speed(table: pd.DataFrame) -> dict[str, Contrast]:
    """Validation as late on an axis as all runs of both arms have come."""
    conditions = {}
    for regime, pair in REGIMES.items():
        one, many = (arm_of(table, arm) for arm in pair)
        for against, name in AXES.items():
            place = min(arm.groupby("run")[against].max().min() for arm in (one, many))
            values = (on_grid(arm, [place], against).to_numpy()[0] for arm in (one, many))
            conditions[f"at equal {name} on {regime}"] = (next(values), next(values))
    return contrasts(conditions)


def _quality(table: pd.DataFrame) -> dict[str, Contrast]:
    """Validation when training first costs as little as it comes to in all runs of both arms."""
    conditions = {}
    for regime, pair in REGIMES.items():
        one, many = (arm_of(table, arm, "training").groupby("run") for arm in pair)
        cost = max(arm["training"].min().max() for arm in (one, many))
        values = (np.array([_validation_at(curve, cost) for _, curve in arm]) for arm in (one, many))
        conditions[f"on {regime}"] = (next(values), next(values))
    return contrasts(conditions)


def _validation_at(curve: pd.DataFrame, cost: float) -> float:
    """The point of a run at which its training first comes down to a cost; curves start at guessing and are
    interpolated."""
    training, validation = ([curve["chance"].iloc[0], *curve[part]] for part in ("training", "validation"))
    place = next(place for place, value in enumerate(training) if value <= cost)
    if place == 0:
        return float(validation[0])
    way = (training[place - 1] - cost) / (training[place - 1] - training[place])
    return float(validation[place - 1] + way * (validation[place] - validation[place - 1]))


class Gap(NamedTuple):
    """The excess of batch 1's validation cost over its training cost at the end."""

    regime: str
    median: float
    p: float  # of Wilcoxon's signed ranks over the seeds, that it is above the margin by chance

    def __str__(self) -> str:
        return f"{self.median:.2f} bits on {self.regime} ({p_value(self.p)})"


def _gaps(table: pd.DataFrame) -> list[Gap]:
    gaps = []
    for regime, (one, _) in REGIMES.items():
        ends = ends_of(table, one)
        above = ends["gap"] - MARGIN * ends["chance"]
        p = float(stats.wilcoxon(above, alternative="greater").pvalue)
        gaps.append(Gap(regime, float(ends["gap"].median()), p))
    return gaps


STUDY = Study(
    name="figure2",
    claim='"Fig. 2. LSTM with batch size 1. Faster convergence, easily overfits." "Fig. 3. LSTM with batch size 32. '
    'Slower convergence, better test performance." "The larger batch size took longer to train but had better '
    'validation performance."',
    sweeps=("figure2",),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
)
