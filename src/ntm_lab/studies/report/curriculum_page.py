"""The figure of `curriculum`, and the lines below it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntm_lab.studies.drawing import COLOURS, GREY, Style, draw_survival, legend_above, progress_scale, styles
from ntm_lab.studies.report.curriculum_table import CURRICULA, TASKS, TESTED, by_task, compare, times_of
from ntm_lab.studies.report.learning import UNITS
from ntm_lab.studies.statistics import (
    NONE,
    median_time,
    p_value,
    quartiles,
    spread_of_times,
    success_rate,
    time_to_event,
)


def draw(table: pd.DataFrame) -> Figure:
    """Tasks across; down: runs that have not learned yet, against sequences and against seconds; what is wrong after
    training, at its hardest and beyond it."""
    figure = Figure((11.5, 9), dpi=95, layout="constrained")
    panels = figure.subplots(3, len(TASKS), squeeze=False, sharey="row", height_ratios=[1, 1, 1.1])
    style = styles(CURRICULA)
    for column, (task, runs) in zip(panels.T, by_task(table), strict=False):
        for axis, unit in zip(column, TESTED, strict=False):
            for name, title in CURRICULA.items():
                arm = runs[runs["curriculum"] == name]
                if len(arm):
                    draw_survival(axis, arm[f"learned_{unit}"], arm[f"ended_{unit}"], style[name], title, against=unit)
            axis.set_ylabel("runs that have not learned yet" if axis is panels[0, 0] or axis is panels[1, 0] else "")
            progress_scale(axis, unit, runs[f"ended_{unit}"])
        column[0].set_title(TASKS[task])
    legend_above(figure)
    for axis, (_, runs) in zip(panels[2], by_task(table), strict=False):
        _draw_errors(axis, runs)  # with legends of their own
    panels[2, 0].invert_yaxis()  # of all that share it
    return figure


def _draw_errors(axis: Axes, runs: pd.DataFrame) -> None:
    """The median and the quartiles of every curriculum at the two difficulties."""
    names = [name for name in CURRICULA if name in set(runs["curriculum"])]
    for shift, part, marker, colour in ((-0.17, "hardest", "o", COLOURS[0]), (0.17, "beyond", "s", COLOURS[3])):
        arms = [quartiles(runs.loc[runs["curriculum"] == name, f"{part}_error"]) for name in names]
        low, middle, high = np.array(arms).T
        places, spread = np.arange(len(names)) + shift, [middle - low, high - middle]
        mark: Style = {"fmt": marker, "color": colour, "markerfacecolor": "white", "markersize": 5, "capsize": 3}
        axis.errorbar(middle, places, xerr=spread, label=runs[part].iloc[0], **mark)
    axis.set_yticks(range(len(names)), [CURRICULA[name] for name in names])
    axis.set_xlim(-0.02, 0.56)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.set_xlabel("wrong bits after training")
    axis.grid(axis="x", color=GREY, linewidth=0.6)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False, fontsize="small", handletextpad=0)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A line for every task and curriculum: how many learned and were solved, when, against uniform, and what is wrong
    after training."""
    found = compare(table).set_index(["task", "curriculum", "unit"])["p"]
    rows = []
    for task, runs in by_task(table):
        uniform = runs[runs["curriculum"] == "uniform"]
        for name in (name for name in CURRICULA if name in set(runs["curriculum"])):
            arm = runs[runs["curriculum"] == name]
            line = {
                "task": TASKS[task],
                "curriculum": CURRICULA[name],
                "learned": str(success_rate(arm["learned_sequences"].notna())),
                "solved": f"{int(arm['solved'].sum())} of {len(arm)}",
            }
            for unit in UNITS:
                digits = 1 if unit == "seconds" else 0
                line[f"{unit} to learn"] = spread_of_times(arm[f"learned_{unit}"], arm[f"ended_{unit}"], digits)
            for unit in TESTED:
                line[f"{unit}, times uniform"] = (
                    NONE
                    if name == "uniform"
                    else (f"{_ratio(arm, uniform, unit)} ({p_value(found[task, name, unit])})")
                )
            for part in ("hardest", "beyond"):
                line[f"wrong, {part}"] = f"{arm[f'{part}_error'].median():.1%} ({arm[part].iloc[0]})"
            rows.append(line)
    return pd.DataFrame(rows)


def _ratio(one: pd.DataFrame, other: pd.DataFrame, unit: str) -> str:
    """The ratio of the medians; a dash if one is not known."""
    first, second = (median_time(time_to_event(*times_of(arm, unit))) for arm in (one, other))
    return f"{first / second:.2f}" if first and second else NONE
