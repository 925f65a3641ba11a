"""How far a model holds: measures against difficulty, as curves, a grid of cells, or the gap to an optimum.

Shape and lightness tell things apart as well as colour: markers and dashes for lines, numbers for cells, and a
colour map that runs from dark to light for any eye.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ntm_lab.figures.style import BLUE, VERMILION, Picture
from ntm_lab.tasks.answers import measures_of, unit_of
from ntm_lab.tasks.difficulties import in_words
from ntm_lab.types import Measure, Ranges

Row = Mapping[str, Any]

GREY = "#E4E4E4"
DASHES = ("-.", ":", (0, (6, 2)))


def _panels(rows: Sequence[Row]) -> list[Measure]:
    """The measures in the order in which they are drawn: errors, cost, exact sequences."""
    return sorted(measures_of(rows[0]), key=lambda measure: ("wrong", "cost", "exact").index(measure.kind))


def draw_generalisation(rows: Sequence[Row], ranges: Ranges, title: str = "") -> Figure:
    """A panel for every measure of the rows: curves over the axis of difficulty that varies, or cells where two do.

    Where even the perfect answer has a cost, the gap to it at every position of the sequence instead. What lies within
    the training ranges is shaded or framed, chance is a dashed line, bands and bars are intervals of 95 %.

    Args:
        rows: of `ntm_lab.evaluation.evaluate`, with details.
        ranges: of training.
        title: of the whole.

    Raises ValueError if there are no rows, or three axes or more that vary.
    """
    if not rows:
        raise ValueError("a figure of generalisation needs at least one row")
    axes = [axis for axis in ranges if len({row["difficulty"][axis] for row in rows}) > 1] or [next(iter(ranges))]
    if all("gap_by_step" in row for row in rows):
        figure = _gaps(rows, ranges)
    elif len(axes) == 1:
        figure = _curves(rows, axes[0], ranges)
    elif len(axes) == 2:
        figure = _grids(rows, axes[0], axes[1], ranges)
    else:
        raise ValueError(f"{', '.join(axes)} vary: a figure shows two axes of difficulty at most")
    figure.suptitle(title)
    return figure


# One axis: curves


def _curves(rows: Sequence[Row], axis: str, ranges: Ranges) -> Figure:
    rows = sorted(rows, key=lambda row: row["difficulty"][axis])
    values = [row["difficulty"][axis] for row in rows]
    measures = _panels(rows)
    figure = Picture((8, 1 + 2.5 * len(measures)), dpi=130, layout="constrained")
    panels = figure.subplots(len(measures), 1, sharex=True, squeeze=False)[:, 0]
    for panel, measure in zip(panels, measures, strict=True):
        _shade(panel, ranges[axis], "training")
        means = [row[measure.name] for row in rows]
        ends = [row[measure.interval] or (row[measure.name],) * 2 for row in rows]
        _band(panel, values, ends)
        panel.plot(values, means, color=BLUE, marker="o", markersize=4, label="model")
        panel.set_ylabel(measure.title)
        panel.grid(axis="y", color=GREY, linewidth=0.6)
        if measure.name in rows[0]["chance"]:
            chance = [row["chance"][measure.name] for row in rows]
            panel.plot(values, chance, color=VERMILION, linestyle="--", label="chance")
            panel.set_yscale("symlog", linthresh=0.1, linscale=0.5)  # from no wrong bit at all to hundreds
            finite = [value for value in (*chance, *(high for _, high in ends)) if math.isfinite(value)]
            panel.set_ylim(-0.03, 2 * max(finite))
            panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        else:
            panel.set_ylim(-0.03, 1.03)
            panel.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    panels[0].legend(ncols=4, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    panels[-1].set_xlabel(_name(axis, rows[0], (axis,)))
    panels[-1].locator_params(axis="x", integer=True)
    margin = max(1, 0.02 * (values[-1] - values[0]))
    panels[-1].set_xlim(values[0] - margin, values[-1] + margin)
    return figure


def _shade(panel: Axes, trained: tuple[float, float], label: str) -> None:
    panel.axvspan(trained[0], trained[1], color=GREY, linewidth=0, zorder=0, label=label)


def _band(panel: Axes, positions: Sequence[float], ends: Sequence[tuple[float, float]]) -> None:
    low, high = zip(*ends, strict=True)
    panel.fill_between(positions, low, high, color=BLUE, alpha=0.25, linewidth=0, label="95 %")


# Two axes: cells


def _grids(rows: Sequence[Row], down: str, across: str, ranges: Ranges) -> Figure:
    lines = sorted({row["difficulty"][down] for row in rows})
    columns = sorted({row["difficulty"][across] for row in rows})
    at = {(row["difficulty"][down], row["difficulty"][across]): row for row in rows}
    measures = _panels(rows)
    size = (max(6.0, 2.2 + 0.75 * len(columns)), len(measures) * max(2.2, 1.0 + 0.38 * len(lines)))
    figure = Picture(size, dpi=130, layout="constrained")
    panels = figure.subplots(len(measures), 1, sharex=True, squeeze=False)[:, 0]
    for panel, measure in zip(panels, measures, strict=True):
        _cells(figure, panel, measure, [[at.get((line, column)) for column in columns] for line in lines])
        panel.set_yticks(range(len(lines)), [str(value) for value in lines])
        panel.set_xticks(range(len(columns)), [str(value) for value in columns])
        panel.set_ylabel(down)
        _frame(panel, columns, ranges[across], lines, ranges[down])
    panel.set_xlabel(_name(across, rows[0], (down, across)) + "   (framed: training)")
    return figure


def _cells(figure: Figure, panel: Axes, measure: Measure, table: Sequence[Sequence[Row | None]]) -> None:
    """Numbers are the measure itself; lightness is its share of chance, since cells have unequally many bits."""
    of_chance = measure.kind != "exact"
    kind: Callable[[Row], float] = (
        (lambda row: row[measure.name] / row["chance"][measure.name]) if of_chance else (lambda row: row[measure.name])
    )
    shares = np.array([[np.nan if row is None else kind(row) for row in line] for line in table])
    image = panel.imshow(
        shares, vmin=0, vmax=1, cmap="cividis" if of_chance else "cividis_r", aspect="auto", origin="lower"
    )
    for y, line in enumerate(table):
        for x, row in enumerate(line):
            if row is not None:
                dark = (shares[y, x] < 0.5) == of_chance
                panel.text(x, y, _short(row[measure.name], measure), ha="center", va="center", fontsize="small",
                           color="white" if dark else "black")  # fmt: skip
    panel.set_title(measure.title, loc="left", fontsize="medium")
    extend = "max" if of_chance and np.nanmax(shares) > 1 else "neither"
    bar = figure.colorbar(image, ax=panel, pad=0.01, extend=extend, ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["0", "½", "chance"] if of_chance else ["0", "½", "all"])


def _short(value: float, measure: Measure) -> str:
    if measure.kind == "exact":
        return f"{value:.0%}"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _frame(
    panel: Axes, columns: Sequence[int], across: tuple[int, int], lines: Sequence[int], down: tuple[int, int]
) -> None:
    """Around the cells of the training range."""
    inside = [
        [place for place, value in enumerate(values) if low <= value <= high]
        for values, (low, high) in ((columns, across), (lines, down))
    ]
    if all(inside):
        (left, right), (bottom, top) = ((places[0], places[-1]) for places in inside)
        corner = (left - 0.5, bottom - 0.5)
        panel.add_patch(
            Rectangle(
                corner, right - left + 1, top - bottom + 1, fill=False, edgecolor=VERMILION, linewidth=3, clip_on=False
            )
        )


# An optimum that has a cost: positions


def _gaps(rows: Sequence[Row], ranges: Ranges) -> Figure:
    figure = Picture((9, 5.5), dpi=130, layout="constrained")
    panel, unit = figure.subplots(), unit_of(rows[0])
    rows = sorted(rows, key=lambda row: len(row["gap_by_step"]))
    trained = [
        row for row in rows if all(low <= row["difficulty"][axis] <= high for axis, (low, high) in ranges.items())
    ]
    if trained:
        _shade(panel, (0.5, len(trained[-1]["gap_by_step"]) + 0.5), "positions in training")
    for place, row in enumerate(rows):
        longest = row is rows[-1]
        window = row["gap_by_window"]
        gaps, positions = window[f"gap_{unit}"], _middles(len(row["gap_by_step"]), window["steps"])
        if longest:
            ends = [pair or (gap, gap) for pair, gap in zip(window["gap_interval"], gaps, strict=True)]
            _band(panel, positions, ends)
        panel.plot(
            positions,
            gaps,
            color=BLUE if longest else str(0.5 - 0.5 * place / len(rows)),
            linestyle="-" if longest else DASHES[place % len(DASHES)],
            linewidth=1.8 if longest else 1.2,
            label=in_words(row["difficulty"]),
        )
    _chance_gap(panel, rows[-1])
    panel.axhline(0, color="black", linewidth=0.8)
    panel.set_xlim(0, len(rows[-1]["gap_by_step"]) + 1)
    panel.set_xlabel(f"position of the prediction (means of {rows[-1]['gap_by_window']['steps']})")
    panel.set_ylabel(f"cost above the optimum, {unit.replace('_', ' ')} per prediction")
    panel.grid(axis="y", color=GREY, linewidth=0.6)
    panel.legend(ncols=3, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    return figure


def _chance_gap(panel: Axes, row: Row) -> None:
    """What an answer that knows nothing costs more than the optimum; it costs as much at every step."""
    count, window = len(row["gap_by_step"]), row["gap_by_window"]["steps"]
    cost = measures_of(row)[0].name
    gaps = row["chance"][cost] / count - (np.array(row["by_step"][cost]) - np.array(row["gap_by_step"]))
    means = [part.mean() for part in np.split(gaps, range(window, count, window))]
    panel.plot(_middles(count, window), means, color=VERMILION, linestyle="--", linewidth=1.2, label="chance")


def _middles(count: int, window: int) -> list[float]:
    """The labels of windows of positions, which count from 1."""
    return [(first + 1 + min(first + window, count)) / 2 for first in range(0, count, window)]


def _name(axis: str, row: Row, varying: Sequence[str]) -> str:
    """The axis, and the fixed values of the others."""
    fixed = {name: value for name, value in row["difficulty"].items() if name not in varying}
    return axis + (f" ({in_words(fixed)})" if fixed else "")
