"""The figure of the study of collapse: how often, when, and what a model knows without its memory."""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntm_lab.figures.style import BLACK, BLUE, VERMILION
from ntm_lab.studies.drawing import GREY, draw_curves, in_thousands
from ntm_lab.studies.report.collapse_table import LENGTHS, RECIPE, REPORT, of_part, runs_that
from ntm_lab.studies.statistics import quartiles, success_rate

STYLES = {"collapsed": {"color": VERMILION, "linestyle": "--"}, "solved": {"color": BLUE, "linestyle": "-"}}
NAMES = {
    RECIPE: "our recipe",
    REPORT: "the report's combination",
    f"{REPORT}_random_memory": "the report's, but random memory",
}
LINES = {  # ablation: line style, marker
    "intact": ("-", "o"),
    "reads zeroed": (":", "s"),
    "slots shuffled": ("-.", "^"),
    "memory frozen": ("--", "v"),
}


def draw(table: pd.DataFrame) -> Figure:
    """Left: the share of collapsed runs by settings. Middle: entropy of the write head while storing, through training.
    Right: wrong bits by length, intact and under ablations, of models that collapsed and of those that were solved."""
    figure = Figure((15, 4.8), dpi=85, layout="constrained")
    rates, entropy, ablations = figure.subplots(1, 3, width_ratios=(1, 1, 1.25))
    _draw_rates(rates, of_part(table, "run"))
    _draw_entropy(entropy, table)
    _draw_ablations(ablations, table)
    return figure


def label(arm: str) -> str:
    """The readable name of an arm."""
    return NAMES.get(arm, arm.replace("_", " "))


def _draw_rates(axis: Axes, runs: pd.DataFrame) -> None:
    rates = {str(arm): success_rate(own["collapsed"]) for arm, own in runs.groupby("arm")}
    ordered = sorted(rates, key=lambda arm: (rates[arm].successes / rates[arm].trials, arm))
    for place, arm in enumerate(ordered):
        rate = rates[arm]
        style = STYLES["solved" if arm == RECIPE else "collapsed"]
        axis.plot([rate.low, rate.high], [place, place], color=style["color"], linewidth=2)
        axis.plot(rate.successes / rate.trials, place, color=style["color"], marker="s" if arm == RECIPE else "o")
        axis.text(1.07, place, f"{rate.successes} of {rate.trials}", va="center", fontsize="small")
    axis.set_yticks(range(len(ordered)), [label(arm) for arm in ordered])
    axis.set_xlim(-0.03, 1.27)
    axis.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    axis.set_xlabel("runs that end collapsed, 95 % interval")
    axis.set_title("which settings", loc="left")
    axis.grid(axis="x", color=GREY, linewidth=0.6)


def _draw_entropy(axis: Axes, table: pd.DataFrame) -> None:
    curves = of_part(table, "curve").assign(value=lambda own: own["write_storing"])
    curves["run"] = curves["arm"] + curves["seed"].astype(str)
    for outcome, style in STYLES.items():
        group = runs_that(outcome, table)
        if len(group):
            each = outcome == "collapsed"  # lines of solved runs go everywhere
            draw_curves(axis, curves.merge(group), style, f"{outcome}, {len(group)} runs", seeds=each, band=not each)
    slots = int(of_part(table, "run")["slots"].iloc[0])
    bits = math.log2(slots)
    axis.axhline(bits, color=BLACK, linewidth=1, linestyle=":", label=f"uniform over {slots} slots")
    axis.set_ylim(-0.2, bits + 0.4)
    axis.set_ylabel("entropy of the write weighting while storing, bits")
    axis.xaxis.set_major_formatter(in_thousands)
    axis.set_title("when", loc="left")
    axis.legend(fontsize="small", loc="center right")


def _draw_ablations(axis: Axes, table: pd.DataFrame) -> None:
    ablations = of_part(table, "ablation")
    ablations["share"] = ablations["wrong_bits"] / ablations["chance"]
    for outcome in STYLES:
        own = ablations.merge(runs_that(outcome, table))
        if len(own):
            _draw_group(axis, own, outcome)
    axis.axhline(1, color=BLACK, linewidth=1, linestyle=":")
    axis.text(LENGTHS[0], 1.02, "chance", fontsize="small", va="bottom")
    axis.set_xscale("log")
    axis.set_xticks(LENGTHS, [str(length) for length in LENGTHS])
    axis.minorticks_off()
    axis.set_ylim(-0.04, 1.15)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.set_xlabel("length of the sequence")
    axis.set_ylabel("wrong bits, share of chance")
    axis.set_title("what is known without the memory", loc="left")
    axis.grid(color=GREY, linewidth=0.6)
    axis.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def _draw_group(axis: Axes, ablations: pd.DataFrame, outcome: str) -> None:
    """The median of the runs of one outcome for every ablation, the quartiles as bars."""
    colour = STYLES[outcome]["color"]
    for ablation, (dashes, marker) in LINES.items():
        shares = ablations[ablations["ablation"] == ablation].groupby("length")["share"]
        middle = pd.DataFrame({length: quartiles(share) for length, share in shares}, index=["low", "median", "high"]).T
        axis.errorbar(
            middle.index,
            middle["median"],
            yerr=[middle["median"] - middle["low"], middle["high"] - middle["median"]],
            color=colour,
            linestyle=dashes,
            marker=marker,
            markersize=5,
            markerfacecolor="white" if outcome == "collapsed" else colour,
            elinewidth=0.8,
            label=f"{outcome}: {ablation}",
        )
