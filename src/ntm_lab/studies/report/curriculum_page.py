"""The figure of `curriculum`, and the lines below it."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntm_lab.studies.drawing import COLOURS, GREY, Style, draw_dots, legend_above
from ntm_lab.studies.report.curriculum_table import CURRICULA, TASKS, TESTED, by_task, compare, times_of
from ntm_lab.studies.report.learning import UNITS
from ntm_lab.studies.statistics import (
    NONE,
    median_time,
    p_value,
    spread_of_times,
    success_rate,
    time_to_event,
)


def draw(table: pd.DataFrame) -> Figure:
    """A dot for every run. Tasks across; down: sequences and seconds until it learned, and what is wrong after
    training, at its hardest and beyond it."""
    figure = Figure((12, 9.2), dpi=95, layout="constrained")
    panels = figure.subplots(3, len(TASKS), squeeze=False, sharey=True)
    for column, (task, runs) in zip(panels.T, by_task(table), strict=False):
        for axis, unit in zip(column, TESTED, strict=False):
            draw_dots(axis, _arms(runs), learned=f"learned_{unit}", ended=f"ended_{unit}", against=unit)
            axis.set_xlabel(f"{unit} until it learned")
        column[0].set_title(TASKS[task])
    legend_above(figure)
    for axis, (_, runs) in zip(panels[2], by_task(table), strict=False):
        _draw_errors(axis, _arms(runs))  # with legends of their own
    return figure


def _arms(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {title: runs[runs["curriculum"] == name] for name, title in CURRICULA.items()}


def _draw_errors(axis: Axes, arms: Mapping[str, pd.DataFrame]) -> None:
    """The share of wrong bits of every run at two difficulties."""
    marks: dict[str, Style] = {
        "hardest": {"marker": "o", "color": COLOURS[0], "markerfacecolor": "white"},
        "beyond": {"marker": "s", "color": COLOURS[3]},
    }
    for shift, (part, mark) in zip((-0.15, 0.15), marks.items(), strict=True):
        for row, runs in enumerate(arms.values()):
            errors = runs[f"{part}_error"]
            label = runs[part].iloc[0] if len(runs) and row == 0 else ""
            axis.plot(errors, [row + shift] * len(runs), linestyle="none", markersize=5, alpha=0.7, label=label, **mark)
    axis.set_xlim(-0.02, 0.56)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.set_xlabel("wrong bits after training")
    axis.grid(axis="x", color=GREY, linewidth=0.6)
    axis.tick_params(axis="y", length=0)
    for row in range(len(arms)):
        axis.axhline(row, color=GREY, linewidth=0.6, zorder=0)
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
