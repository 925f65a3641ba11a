"""Multi-query associative recall by every model at every rate: against bits of state, and how narrow the window is."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ntm_lab.studies.contrasts import Contrast, contrasts
from ntm_lab.studies.drawing import GREY, legend_above
from ntm_lab.studies.field.arms import ARM, ARMS, chosen, draw_learning, percent, present, style_of, tested
from ntm_lab.studies.results import read_runs
from ntm_lab.studies.study import MIN_SEEDS, NOT_REPRODUCED, REPRODUCED, TOO_FEW, Study, Verdict, verdict_of_parts
from ntm_lab.zoo.find import find

ATTENTION = "transformer_convolution"
TRANSFORMERS = (ATTENTION, "transformer")
WORKS = 0.9  # of the answers are right


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """As `tested`, with ``bits``, the size of the model's state after a sequence."""
    (folder,) = folders.values()
    table = tested([folder])
    sizes = []
    for run in read_runs(folder).drop_duplicates(ARM).to_dict("records"):
        model, steps = find(run["run"]).model, run["test"][0]["difficulty"]["length"]
        sizes.append({"arm": run[ARM], "bits": model.state_bits(steps)})
    return table.merge(pd.DataFrame(sizes), on="arm")


def hardest_of(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the test of most pairs: one for every run."""
    return table[table["pairs"] == table["pairs"].max()]


def windows(table: pd.DataFrame, arm: str) -> pd.Series:
    """At how many of the rates a model works, by seed."""
    here = hardest_of(table)
    here = here[here["arm"] == arm]
    return (here["right"] >= WORKS).groupby(here["seed"]).sum()


def compare(table: pd.DataFrame) -> dict[str, Contrast]:
    """The numbers of rates at which a recurrent model and the Transformer with a short convolution work, by model:
    Mann and Whitney's test, adjusted for all."""
    attention = windows(table, ATTENTION).to_numpy()
    recurrent = [arm for arm in present(table, "arm", ARMS) if arm not in TRANSFORMERS]
    return contrasts({arm: (windows(table, arm).to_numpy(), attention) for arm in recurrent}) if len(attention) else {}


def judge(table: pd.DataFrame) -> Verdict:
    """Do recurrent models work at fewer rates than the Transformer with a short convolution?

    A run works if at least 90 % is right with most pairs. It takes enough seeds for which the Transformer works at some
    rate, to have something to compare with. By Mann and Whitney's test of the numbers of rates, adjusted after Holm, at
    a level of 5 %: a part for every model, `verdict_of_parts`.
    """
    found = compare(table)
    seeds = min((table.loc[table["arm"] == arm, "seed"].nunique() for arm in (*found, ATTENTION)), default=0)
    if seeds < MIN_SEEDS:
        return Verdict(TOO_FEW, f"There are {seeds} seeds of some model, and it takes {MIN_SEEDS}.")
    learned = int((windows(table, ATTENTION) > 0).sum())
    if learned < MIN_SEEDS:
        return Verdict(TOO_FEW, f"The Transformer works at some rate for {learned} seeds, and it takes {MIN_SEEDS}.")
    parts = {ARMS[arm]: REPRODUCED if each.first_lower else NOT_REPRODUCED for arm, each in found.items()}
    told = ", ".join(f"{ARMS[arm]} at {each.first:g} (p = {each.p:.2g})" for arm, each in found.items())
    rates = table["rate"].nunique()
    transformer = next(iter(found.values())).second
    return verdict_of_parts(
        parts,
        f"Of {rates} rates from {table['rate'].min():g} to {table['rate'].max():g} the Transformer works at"
        f" {transformer:g}, {told} (medians of {seeds} seeds; the tests are against the Transformer).",
    )


def draw(table: pd.DataFrame) -> Figure:
    """Right answers with most pairs: against the rate, and at the chosen one against bits of state, with quartiles;
    and how soon each model learned at the chosen rate."""
    figure = Figure((16, 4.4), dpi=110, layout="constrained")
    by_rate, by_bits, *curves = figure.subplots(1, 4)
    best = hardest_of(chosen(table))
    style = style_of(table)
    for arm, line in style.items():
        here = hardest_of(table)
        medians = here[here["arm"] == arm].groupby("rate")["right"].median()
        by_rate.plot(medians.index, medians, marker="o", markersize=4, label=ARMS[arm], **line)
        own = best[best["arm"] == arm]
        low, middle, high = np.quantile(own["right"], [0.25, 0.5, 0.75])
        ends = [[middle - low], [high - middle]]
        by_bits.errorbar([own["bits"].iloc[0]], [middle], ends, fmt="o", color=line["color"], capsize=3)
    for axis, title in ((by_rate, "learning rate"), (by_bits, "bits of state")):
        axis.set(xscale="log", xlabel=title, ylabel="right answers", ylim=(-0.02, 1.03))
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(color=GREY, linewidth=0.6)
    by_bits.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    draw_learning(curves, best, style)
    legend_above(figure)
    return figure


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A line for every model at its chosen rate."""
    best = chosen(table)
    rows = []
    for arm in present(table, "arm", ARMS):
        here = best[best["arm"] == arm]
        runs = here.drop_duplicates("seed")
        rows.append(
            {
                "model": ARMS[arm],
                "bits of state": f"{runs['bits'].iloc[0]:,}",
                "parameters": f"{runs['parameters'].iloc[0]:,}",
                f"rates that work, of {table['rate'].nunique()}": f"{windows(table, arm).median():g}",
                "best rate": f"{runs['rate'].iloc[0]:g}",
                **{f"% right, {pairs} pairs": percent(of["right"]) for pairs, of in here.groupby("pairs")},
                "seconds": f"{runs['seconds'].median():.1f}",
            }
        )
    return pd.DataFrame(rows)


STUDY = Study(
    name="recall",
    claim="Recurrent models have an extremely narrow window of learning rates on associative recall (arXiv "
    "2508.19029).",
    sweeps=("recall",),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
    page="field",
)
