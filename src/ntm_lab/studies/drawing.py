"""What figures of several runs share: arms told apart in grey too, learning curves, time to solve, dots.

An arm is a group of runs that differ in nothing but the seed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntm_lab.figures.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION
from ntm_lab.studies.statistics import median_time, quartile_curve, survival, time_to_event

COLOURS = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, BLACK)  # dark and light in turn
DASHES = ("-", "--", "-.", ":", (0, (7, 1.5, 1, 1.5, 1, 1.5)), (0, (2, 1)), (0, (9, 3)))
MODELS = ("ntm", "ntm, feedforward", "lstm", "dnc", "ntm, recurrent", "mann")
"""In the order of `COLOURS`. An NTM without further words has the LSTM controller, or whichever a task's recipe has."""
GREY = "0.9"
UNITS = {
    "sequences": "sequences seen",
    "step": "steps (updates)",
    "steps": "steps (updates)",
    "seconds": "seconds of training",
}
Style = Mapping[str, Any]
DOTS: tuple[Style, ...] = (  # of a run that learned, that lost it again, that never did
    {"marker": "o", "color": BLUE, "markersize": 5},
    {"marker": "o", "color": BLUE, "markersize": 5, "markerfacecolor": "white"},
    {"marker": ">", "color": VERMILION, "markersize": 5, "markerfacecolor": "white", "clip_on": False},
)


def styles(arms: Iterable[str], models: Mapping[str, str] | None = None) -> dict[str, Style]:
    """A colour and a kind of line for every arm: no two alike, and the first seven differ in each of both.

    ``models`` says what the arms train, as `model_of` does. Where each trains another model of `MODELS`, each has that
    model's colour, the same in every figure; else colours go by the order.
    """
    known = dict.fromkeys(arms)
    trained = [(models or {}).get(arm) for arm in known]
    own = len({*trained}) == len(trained) and {*trained} <= {*MODELS}
    places = [MODELS.index(model) for model in trained if model] if own else range(len(known))
    turns = len(COLOURS)
    return {
        arm: {"color": COLOURS[place % turns], "linestyle": DASHES[(place + place // turns) % len(DASHES)]}
        for arm, place in zip(known, places, strict=True)
    }


def model_of(model: str, controller: str | None = None) -> str:
    """What a run trains, one of `MODELS`, from its choices; other models are called what they are."""
    return f"{model}, {controller}" if model == "ntm" and controller not in (None, "lstm") else model


def draw_curves(
    axis: Axes,
    curves: pd.DataFrame,
    style: Style,
    label: str = "",
    *,
    against: str = "sequences",
    seeds: bool = True,
    band: bool = False,
) -> None:
    """The curves of one arm: every run thin, their median bold, and where asked for the quartiles as a band.

    The median takes every run at the last value it logged up to there, and carries on those that ended (`on_grid`); it
    begins where all runs have a value.

    Args:
        axis: to draw on.
        curves: columns ``run``, ``value`` and the one named by ``against``, as `read_curves` gives them for one name.
        style: of the arm, one of `styles`.
        label: in the legend.
        against: ``sequences``, ``step`` or ``seconds``.
        seeds: whether every run is drawn.
        band: whether the quartiles are drawn.
    """
    if seeds:
        for _, curve in curves.groupby("run", sort=False):
            axis.plot(curve[against], curve["value"], color=style["color"], linewidth=0.6, alpha=0.35)
    middle = quartile_curve(curves, against=against)
    if band:
        axis.fill_between(middle.index, middle["low"], middle["high"], color=style["color"], alpha=0.2, linewidth=0)
    axis.plot(middle.index, middle["median"], linewidth=2, zorder=3, label=label, **style)
    axis.set_xlabel(UNITS[against])
    axis.grid(color=GREY, linewidth=0.6)


def draw_survival(
    axis: Axes,
    times: Iterable[float | None],
    ended: Iterable[float],
    style: Style,
    label: str = "",
    *,
    against: str = "sequences",
    band: bool = False,
) -> None:
    """The share of an arm's runs that are not solved yet, by Kaplan and Meier, of what `time_to_event` takes.

    A tick is a run that ended unsolved there; the band, where asked for, the 95 % interval of `survival`.
    """
    solved, ends = pd.Series([*times], dtype=float), pd.Series([*ended], dtype=float)
    curve = survival(time_to_event(solved, ends))
    axis.step(curve["time"], curve["share"], where="post", linewidth=2, label=label, **style)
    if band:
        axis.fill_between(
            curve["time"], curve["low"], curve["high"], step="post", color=style["color"], alpha=0.15, linewidth=0
        )
    censored = curve[curve["time"].isin(ends[solved.isna()])]
    axis.plot(censored["time"], censored["share"], color=style["color"], linestyle="none", marker="|", markersize=10)
    axis.set_ylim(-0.03, 1.03)
    axis.set_xlabel(UNITS[against])
    axis.set_ylabel("runs not solved yet")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.grid(color=GREY, linewidth=0.6)


def draw_dots(
    axis: Axes,
    arms: Mapping[str, pd.DataFrame],
    *,
    learned: str,
    ended: str,
    against: str = "sequences",
) -> None:
    """A row for every arm, from the top, and in it a dot for every run where it learned, so that no run is hidden.

    A run that did not is an open triangle where it ended; one that lost again what it had learned has a hollow dot. A
    bar is the median, if that is known; at the end of a row stands how many learned.

    Args:
        axis: to draw on.
        arms: runs by the names of the rows, with the columns ``learned``, missing where a run did not, and ``ended``;
            and ``lost``, whether it lost again what it had learned, if that is known.
        against: the unit of these columns.
    """
    for row, runs in enumerate(arms.values()):
        heights = row + np.linspace(-0.24, 0.24, len(runs)) if len(runs) > 1 else np.array([float(row)])
        times, did = runs[learned].to_numpy(float), runs[learned].notna().to_numpy()
        lost = runs["lost"].to_numpy(bool) & did if "lost" in runs else np.zeros(len(runs), dtype=bool)
        kinds = (
            ("learned", did & ~lost, times),
            ("learned, lost again", lost, times),
            ("never, ended there", ~did, runs[ended]),
        )
        for (name, which, at), mark in zip(kinds, DOTS, strict=True):
            if which.any():  # an empty line that is not clipped would upset the layout
                axis.plot(np.asarray(at)[which], heights[which], linestyle="none", label=name, **mark)
        median = median_time(time_to_event(runs[learned], runs[ended]))
        if median:
            axis.plot([median, median], [row - 0.36, row + 0.36], color=BLACK, linewidth=2, label="median")
        count = f"{did.sum()}/{len(runs)}"
        axis.annotate(
            count, (1, row), (3, 0), axis.get_yaxis_transform(), "offset points", va="center", fontsize="small"
        )
    axis.set_yticks(range(len(arms)), [*arms])
    axis.set_ylim(len(arms) - 0.4, -0.6)
    axis.set_xlim(left=0)
    axis.set_xlabel(UNITS[against])
    axis.xaxis.set_major_formatter(in_thousands)
    axis.locator_params(axis="x", nbins=5)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color=GREY, linewidth=0.6)
    for row in range(len(arms)):
        axis.axhline(row, color=GREY, linewidth=0.6, zorder=0)


def in_thousands(value: float, _: object = None) -> str:
    """How axes write a number, to be given to their ``set_major_formatter``: 12,000, not 1.2e+04."""
    return f"{value:,.10g}"


def progress_scale(axis: Axes, against: str, ended: Iterable[float]) -> None:
    """The horizontal axis: logarithmic where the longest run is more than twenty times as long as the shortest."""
    ends = [*ended]
    axis.set_xlabel(UNITS[against])
    if max(ends) > 20 * min(ends):
        axis.set_xscale("log")
    else:
        axis.locator_params(axis="x", nbins=5)
        axis.set_xlim(0, 1.03 * max(ends))
    axis.xaxis.set_major_formatter(in_thousands)


def bits_scale(axis: Axes, smallest: float = 0.1) -> None:
    """From hundreds of bits to none at all: logarithmic above ``smallest`` bits, linear below."""
    axis.set_yscale("symlog", linthresh=smallest, linscale=0.5)
    axis.set_ylim(bottom=-0.2 * smallest)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def legend_above(figure: Figure, columns: int = 4) -> None:
    """One legend for the whole figure, above the panels: of every label once. The layout has to be constrained."""
    handles = {
        label: handle for axis in figure.axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    if handles:
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="outside upper center",
            ncols=min(columns, len(handles)),
            frameon=False,
            handlelength=3.5,
        )
