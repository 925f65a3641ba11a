"""Collapse to uniform weightings: by which settings, when, and where such a model keeps what it knows."""

import math

import pandas as pd

from ntm_lab.studies.report.collapse_figure import draw, label
from ntm_lab.studies.report.collapse_table import ENTROPIES, RECIPE, REPORT, measure, of_part, runs_that
from ntm_lab.studies.statistics import NONE, Rate, quartiles, success_rate
from ntm_lab.studies.study import TOO_FEW, Study, Verdict, outcome_of_every, outcome_of_most, verdict_of_parts

KEPT = 0.9  # of what a model knows


def without_reads(table: pd.DataFrame) -> dict[int, Rate]:
    """By length, the share of collapsed models that keep at least 90 % of what they know when reads are zeroed: the
    distance of their wrong bits from chance."""
    ablations = of_part(table, "ablation").merge(runs_that("collapsed", table))
    model = ["arm", "seed", "length", "chance"]
    wrong = ablations.pivot(index=model, columns="ablation", values="wrong_bits").reset_index()
    kept = wrong["chance"] - wrong["reads zeroed"] >= KEPT * (wrong["chance"] - wrong["intact"])
    return {int(length): success_rate(of_length) for length, of_length in kept.groupby(wrong["length"])}


def judge(table: pd.DataFrame) -> Verdict:
    """The claim has two halves. The weightings collapse: most runs do, with the report's combination of settings.
    Everything is then in the controller: at every length most collapsed models, of any settings, keep 90 % of what they
    know without reads."""
    runs = of_part(table, "run")
    report = runs[runs["arm"] == REPORT]
    if report.empty:
        return Verdict(TOO_FEW, "There are no runs with the report's combination.")
    rate = success_rate(report["collapsed"])
    collapsed = runs_that("collapsed", table)
    parts = {"the weightings collapse": outcome_of_most(rate)}
    said = f"With the report's combination {rate} runs collapse"
    if not len(collapsed):
        return verdict_of_parts(parts, f"{said}.")

    kept = without_reads(table)
    parts["everything is then in the controller"] = outcome_of_every(map(outcome_of_most, kept.values()))
    inside = [str(length) for length, known in kept.items() if known.is_most]
    where = {0: "clearly most of them at no length", len(kept): "clearly most of them at all lengths"}.get(
        len(inside), f"clearly most of them at {', '.join(inside)} only"
    )
    if report["collapsed"].any():
        said += f", half of them since {report['since'].median():,.0f} sequences or earlier"
    recipe = success_rate(runs.loc[runs["arm"] == RECIPE, "collapsed"])
    counts = ", ".join(str(known.successes) for known in kept.values())
    return verdict_of_parts(
        parts,
        f"{said}; with our recipe {recipe}. With zeroed reads {counts} of {len(collapsed)} collapsed models of all "
        f"settings keep {KEPT:.0%} of what they know of sequences of {', '.join(map(str, kept))} vectors: {where}.",
    )


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A line for every arm, those that collapse most often first."""
    runs = of_part(table, "run")
    lines = []
    for arm, own in runs.groupby("arm"):
        since = own["since"].median() if own["collapsed"].any() else math.nan
        lines.append(
            {
                "settings": label(str(arm)),
                "collapsed": str(success_rate(own["collapsed"])),
                "since (median), sequences": NONE if math.isnan(since) else f"{since:,.0f}",
                "solved": f"{own['solved'].sum()} of {len(own)}",
                **{f"{name.replace('_', ' ')}, bits": f"{quartiles(own[name])[1]:.2f}" for name in ENTROPIES},
                "rate": own["collapsed"].mean(),
            }
        )
    return pd.DataFrame(lines).sort_values(["rate", "settings"], ascending=[False, True]).drop(columns="rate")


STUDY = Study(
    name="collapse",
    claim="My model would often learn to output a uniform distribution over read/write weightings, somehow memorizing "
    "everything in the controller.",
    sweeps=("collapse",),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
)
