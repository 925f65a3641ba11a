"""The figure of `batch`, and the lines below it."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntm_lab.studies.drawing import COLOURS, DASHES, GREY, Style, draw_curves, styles
from ntm_lab.studies.report.batch_table import (
    MODELS,
    batches_of,
    compared_length,
    curves_of,
    ends_of,
    one_meanwhile,
    tests_of,
)
from ntm_lab.studies.report.chance import GUESSING
from ntm_lab.studies.statistics import quartiles, spread

DRAWN = (1, 4, 16, 64)  # batch sizes whose curves are shown
LEGEND: dict[str, Any] = {"fontsize": "small", "framealpha": 0.85, "edgecolor": "none", "handlelength": 3.5}


def draw(table: pd.DataFrame) -> Figure:
    """Rows: NTM, LSTM. Columns: validation and tests beyond training against the batch size; curves against seconds."""
    figure = Figure((12, 6.6), dpi=90, layout="constrained")
    panels = figure.subplots(2, 3)
    for row, (model, name) in zip(panels, MODELS.items(), strict=True):
        _draw_validation(row[0], table, model)
        _draw_tests(row[1], table, model)
        drawn = [batch for batch in DRAWN if batch in batches_of(table)]
        for batch, style in zip(drawn, styles(map(str, drawn)).values(), strict=True):
            curves = curves_of(table, model, batch)
            draw_curves(row[2], curves, style, f"batch {batch}", against="seconds", seeds=False)
        for axis in row:
            axis.axhline(GUESSING, color="black", linewidth=0.8)
            axis.set_ylim(-0.02, 0.56)
            axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
            axis.grid(color=GREY, linewidth=0.6)
        row[0].set_ylabel(f"{name}\nwrong bits (guessing: 50%)")
        row[1].legend(**LEGEND)
    for axis in panels[1, [0, 2]]:  # of both rows; the LSTM's has space
        axis.legend(**LEGEND)
    panels[0, 0].set_title("validation, after the same sequences", fontsize="medium")
    panels[0, 1].set_title("tests beyond the lengths of training", fontsize="medium")
    panels[0, 2].set_title("validation, against seconds", fontsize="medium")
    return figure


def _draw_validation(axis: Axes, table: pd.DataFrame, model: str) -> None:
    batches = batches_of(table)
    own = [ends_of(table, model, batch)["value"].to_numpy() for batch in batches]
    of_one = [one_meanwhile(table, model, batch) for batch in batches]
    _draw_spread(axis, batches, own, 0, "at the end")
    _draw_spread(axis, batches, of_one, 1, "batch 1 after as many seconds")


def _draw_tests(axis: Axes, table: pd.DataFrame, model: str) -> None:
    batches, tests = batches_of(table), table[(table["kind"] == "test") & (table["model"] == model)]
    lengths = sorted(tests.loc[tests["length"] > tests["longest"], "length"].unique())
    for place, length in enumerate(lengths):
        values = [tests_of(table, model, batch, length) for batch in batches]
        _draw_spread(axis, batches, values, place + 2, f"length {length:.0f}")


def _draw_spread(axis: Axes, batches: list[int], values: list[np.ndarray], place: int, label: str) -> None:
    """Median and quartiles over the seeds, drawn slightly beside the batch size."""
    low, middle, high = zip(*(quartiles(group) for group in values), strict=True)
    style: Style = {"color": COLOURS[place], "linestyle": DASHES[place]}
    beside = [batch * 1.07 ** (place % 3) for batch in batches]
    axis.vlines(beside, low, high, color=style["color"], linewidth=1.2)
    axis.plot(beside, middle, marker="osD^v"[place], markersize=5, label=label, linewidth=1.8, **style)
    axis.set_xscale("log", base=2)
    axis.set_xticks(batches, [str(batch) for batch in batches])
    axis.set_xlabel("batch size")


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A line for every model and batch size."""
    return pd.DataFrame([_line(table, model, batch) for model in MODELS for batch in batches_of(table)])


def _line(table: pd.DataFrame, model: str, batch: int) -> dict[str, str]:
    ends, length = ends_of(table, model, batch), compared_length(table, model)
    return {
        "model": MODELS[model],
        "batch": str(batch),
        "seeds": str(len(ends)),
        "sequences": spread(ends["sequences"], 0),
        "seconds": spread(ends["seconds"], 1),
        "validation, % wrong": spread(100 * ends["value"], 2),
        "batch 1 after as many seconds": spread(100 * one_meanwhile(table, model, batch), 2),
        "test, length": str(length),
        "test, % wrong": spread(100 * tests_of(table, model, batch, length), 2),
    }
