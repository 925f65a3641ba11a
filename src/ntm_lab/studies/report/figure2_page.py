"""The figure of `figure2`, and the lines below it."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntm_lab.studies.drawing import COLOURS, GREY, UNITS, Style, in_thousands, legend_above
from ntm_lab.studies.report.figure2_table import AXES, NAMES, REGIMES, arm_of, ends_of
from ntm_lab.studies.statistics import paired, quartiles, spread

STYLES: dict[tuple[int, str], Style] = {  # of batch and part
    (1, "validation"): {"color": COLOURS[0], "linestyle": "-"},
    (1, "training"): {"color": COLOURS[0], "linestyle": ":"},
    (32, "validation"): {"color": COLOURS[1], "linestyle": "--"},
    (32, "training"): {"color": COLOURS[1], "linestyle": "-."},
}


def draw(table: pd.DataFrame) -> Figure:
    """Rows: fresh sequences, 160 sequences. Columns: curves against the three axes; the gap, and the cost of
    padding."""
    figure = Figure((13, 6.6), dpi=90, layout="constrained")
    panels = figure.subplots(2, 4, width_ratios=[1, 1, 1, 0.8])
    for row, (regime, pair) in zip(panels, REGIMES.items(), strict=True):
        chance = arm_of(table, pair[0])["chance"].iloc[0]
        length = table.loc[(table["arm"] == pair[0]) & (table["kind"] == "overlap"), "length"].iloc[0]
        for axis, against in zip(row, AXES, strict=False):
            for (batch, part), style in STYLES.items():
                _draw_curve(axis, arm_of(table, pair[batch > 1], part), against, style, f"batch {batch}, {part}")
            axis.axhline(chance, color="black", linewidth=0.8)
            axis.set(ylim=(0, 1.1 * chance), xlabel=UNITS[against])
            axis.grid(color=GREY, linewidth=0.6)
        row[0].set_xscale("log")
        for axis in row[: len(AXES)]:
            axis.xaxis.set_major_formatter(in_thousands)
        row[0].set_ylabel(f"{regime} of length {length:.0f}\ncost, bits per sequence")
        row[0].annotate("guessing", (0.03, chance), xycoords=("axes fraction", "data"), va="bottom", fontsize="small")
    _draw_gaps(panels[0, 3], table)
    _draw_padding(panels[1, 3], table)
    legend_above(figure, columns=6)
    return figure


def _draw_curve(axis: Axes, curves: pd.DataFrame, against: str, style: Style, label: str) -> None:
    """Median and quartiles at every validation, all runs of an arm having theirs after the same sequences."""
    validations = curves.groupby("sequences")
    places, (low, middle, high) = (
        validations[against].median(),
        (validations["value"].quantile(share) for share in (0.25, 0.5, 0.75)),
    )
    axis.fill_between(places, low, high, color=style["color"], alpha=0.2, linewidth=0)
    axis.plot(places, middle, linewidth=2, label=label, **style)


def _draw_gaps(axis: Axes, table: pd.DataFrame) -> None:
    arms = [arm for pair in REGIMES.values() for arm in pair]
    for place, arm in enumerate(arms):
        gaps, colour = ends_of(table, arm)["gap"], COLOURS[place % 2]
        axis.plot(np.full(len(gaps), place), gaps, "os"[place % 2], color=colour, markerfacecolor="none")
        axis.plot([place - 0.3, place + 0.3], [gaps.median()] * 2, color=colour, linewidth=2.5)
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set_xticks(range(len(arms)), ["1\nfresh", "32\nfresh", "1\nof 160", "32\nof 160"])
    axis.set_xlim(-0.6, len(arms) - 0.4)
    axis.set_xlabel("batch size and sequences")
    axis.set_ylabel("validation − training, bits")
    axis.grid(axis="y", color=GREY, linewidth=0.6)


def _draw_padding(axis: Axes, table: pd.DataFrame) -> None:
    for arm, colour, marker in (("packed", COLOURS[2], "D"), ("padded", COLOURS[3], "v")):
        ends = ends_of(table, arm)
        axis.plot(ends["seconds"], ends["validation"], marker, color=colour, markerfacecolor="none", label=arm)
    axis.set_xlim(0, 1.15 * max(ends_of(table, arm)["seconds"].max() for arm in ("packed", "padded")))
    axis.margins(y=0.4)
    axis.set_title("lengths 1 to 20 mixed", fontsize="medium")
    axis.set_xlabel("seconds of training")
    axis.set_ylabel("validation at the end, bits")
    axis.grid(color=GREY, linewidth=0.6)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A line for every arm: its training, its end, and the test sequences it would have seen."""
    return pd.DataFrame([_line(table, arm) for arm in NAMES] + [_padding(table)])


def _line(table: pd.DataFrame, arm: str) -> dict[str, Any]:
    ends, overlaps = ends_of(table, arm), table[(table["kind"] == "overlap") & (table["arm"] == arm)]
    seen = overlaps[overlaps["overlap_otherwise"] >= 0.01]
    listed = [f"length {row['length']:.0f}: {row['overlap_otherwise']:.0%}" for _, row in seen.iterrows()]
    others = ["others below 1%"] if listed and len(seen) < len(overlaps) else []
    return {
        "arm": NAMES[arm],
        "seeds": str(len(ends)),
        "sequences": f"{ends['sequences'].max():,.0f}",
        "steps": f"{ends['step'].max():,.0f}",
        "seconds": spread(ends["seconds"], 1),
        "training, bits": spread(ends["training"], 2),
        "validation, bits": spread(ends["validation"], 2),
        "gap, bits": spread(ends["gap"], 2),
        "test sequences seen in training": f"{overlaps['overlap'].max():.0%}",
        "the same were none held out": ", ".join(listed + others) or "below 1%",
    }


def _padding(table: pd.DataFrame) -> dict[str, Any]:
    """Padded against packed, seed by seed."""
    packed, padded = (ends_of(table, arm) for arm in ("packed", "padded"))
    apart = (padded["validation"] - packed["validation"]).abs().dropna()
    low, middle, high = quartiles((padded["seconds"] / packed["seconds"]).dropna())
    return {
        "arm": "padded against packed, by seed",
        "seeds": str(len(apart)),
        "seconds": f"{middle:.2f} times ({low:.2f} to {high:.2f}), {paired(padded['seconds'], packed['seconds'])}",
        "validation, bits": f"apart by {apart.max():.2g} at most",
    }
