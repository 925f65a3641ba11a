"""NTM against LSTM: how fast each learns to copy, and how well it copies beyond the lengths it was trained on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from ntm_lab.studies.drawing import GREY, Style, draw_curves, in_thousands, legend_above, styles
from ntm_lab.studies.report.chance import GUESSING
from ntm_lab.studies.report.copying import read_copying, share_of_tests
from ntm_lab.studies.results import read_curves
from ntm_lab.studies.statistics import LEVEL, p_value, quartiles, spread, success_rate
from ntm_lab.studies.study import (
    MIN_SEEDS,
    NOT_REPRODUCED,
    REPRODUCED,
    TOO_FEW,
    Study,
    Verdict,
    outcome_of_every,
)

GROUP = "choices.experiment/report/baseline"
NAMES = {
    "ntm_lstm": "NTM, LSTM controller",
    "ntm_feedforward": "NTM, feedforward controller",
    "lstm_3x256": "LSTM 3x256",
    "lstm_1x256": "LSTM 1x256",
    "short_ntm": "NTM, lengths 1 to 5",
    "short_lstm": "LSTM 1x256, lengths 1 to 5",
}
PAIRS = (("ntm_lstm", "lstm_3x256"), ("short_ntm", "short_lstm"))  # trained on the same lengths
ROWS = ([*NAMES][:4], [*NAMES][4:])  # of the figure, by the lengths of training
LIKE = ("ntm_lstm", "lstm_1x256")  # the same models in the first row
KNOWN = 0.1  # share of wrong bits below which a length counts as learned
KEPT = ["arm", "seed", "parameters", "longest"]


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """A row for every validation of every run (``curve``, its ``value`` the cost in bits) and for every length it was
    tested at (``test``, its ``value`` the share of wrong bits), with the ``longest`` sequence of training."""
    runs = read_copying(folders["baseline"])
    runs = runs.assign(arm=runs[GROUP])
    curves = read_curves(folders["baseline"], ["val/cost"]).merge(runs[["run", *KEPT]], on="run").assign(kind="curve")
    columns = ["kind", *KEPT, "length", "sequences", "seconds", "value"]
    return pd.concat([curves, share_of_tests(runs, KEPT)], ignore_index=True)[columns]


def _curves(table: pd.DataFrame, arm: str) -> pd.DataFrame:
    rows = table[(table["kind"] == "curve") & (table["arm"] == arm)]
    return rows.assign(run=rows["seed"])


def _shares(table: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Shares of wrong bits: a row for every seed, a column for every length tested."""
    rows = table[(table["kind"] == "test") & (table["arm"] == arm)]
    return rows.pivot(index="seed", columns="length", values="value")


def _known(table: pd.DataFrame, arm: str) -> tuple[pd.Series, pd.Series]:
    """For every seed, whether it has learned the longest sequences of training, and those twice as long."""
    longest, shares = int(table.loc[table["arm"] == arm, "longest"].iloc[0]), _shares(table, arm)
    return shares[longest] < KNOWN, shares[2 * longest] < KNOWN


def judge(table: pd.DataFrame) -> Verdict:
    """A run has learned if fewer than 10 % of the bits are wrong at the longest sequences of training; it generalises
    if fewer are at twice that length. NTM and LSTM are compared if they were trained on the same lengths and at least
    `MIN_SEEDS` runs of each have learned: by Fisher's exact test, at 5 %, of how many of those generalise.

    A pair reproduces it if more NTMs than LSTMs do, most of the NTMs and fewer than half of the LSTMs;
    `outcome_of_every` combines the pairs. Without a pair there are too few seeds, of those that learned.
    """
    seeds = min(len(_shares(table, arm)) for arm in NAMES)
    if seeds < MIN_SEEDS:
        return Verdict(TOO_FEW, f"An arm has only {seeds} seeds.")
    held, said = zip(*(_compare(table, pair) for pair in PAIRS), strict=True)
    compared = [holds for holds in held if holds is not None]
    cases = [REPRODUCED if holds else NOT_REPRODUCED for holds in compared]
    return Verdict(outcome_of_every(cases), f"{'; '.join(said)}; {seeds} seeds of each.")


def _compare(table: pd.DataFrame, pair: tuple[str, str]) -> tuple[bool | None, str]:
    """Whether the claim holds for an NTM and an LSTM, None if not enough of them have learned; and why, in words."""
    longest = int(table.loc[table["arm"] == pair[0], "longest"].iloc[0])
    said = f"trained on lengths up to {longest},"
    learned, beyond = zip(*(_known(table, arm) for arm in pair), strict=True)
    counts = [int(known.sum()) for known in learned]
    if min(counts) < MIN_SEEDS:
        return None, f"{said} {counts[0]} NTMs and {counts[1]} LSTMs learn them, too few to ask what they do beyond"
    rates = [success_rate(far[known]) for known, far in zip(learned, beyond, strict=True)]
    p = float(stats.fisher_exact(np.array([[rate.successes, rate.trials - rate.successes] for rate in rates])).pvalue)
    ntm, lstm = (rate.successes / rate.trials for rate in rates)
    said += f" of those that learn them {rates[0]} NTMs and {rates[1]} LSTMs know twice the length ({p_value(p)})"
    return p < LEVEL and ntm > 0.5 > lstm, said


# The page


def draw(table: pd.DataFrame) -> Figure:
    """Validation against sequences and against seconds, and tests against length, on lengths 1 to 20 and 1 to 5."""
    figure = Figure((12, 6.6), dpi=90, layout="constrained")
    panels = figure.subplots(2, 3)
    style = styles(ROWS[0])
    style |= {arm: style[like] for arm, like in zip(ROWS[1], LIKE, strict=True)}
    for row, arms in zip(panels, ROWS, strict=True):
        for axis, against in zip(row, ("sequences", "seconds"), strict=False):
            for arm in arms:
                seeds, label = against == "sequences", NAMES[arm] if arm in ROWS[0] else ""
                draw_curves(axis, _curves(table, arm), style[arm], label, against=against, seeds=seeds)
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter(in_thousands)
            axis.set_ylim(bottom=0)
        longest = int(table.loc[table["arm"] == arms[0], "longest"].iloc[0])
        row[0].set_ylabel(f"trained on lengths 1 to {longest}\nvalidation cost, bits per sequence")
        _draw_tests(row[2], table, {arm: style[arm] for arm in arms}, longest)
    legend_above(figure)
    return figure


def _draw_tests(axis: Axes, table: pd.DataFrame, arms: Mapping[str, Style], longest: int) -> None:
    axis.axvspan(1, longest, color=GREY, linewidth=0)
    for arm, style in arms.items():
        shares = _shares(table, arm)
        low, middle, high = zip(*(quartiles(shares[length]) for length in shares), strict=True)
        axis.fill_between(shares.columns, low, high, color=style["color"], alpha=0.2, linewidth=0)
        axis.plot(shares.columns, middle, linewidth=2, marker="o", markersize=4, **style)
    axis.axhline(GUESSING, color="black", linewidth=0.8)
    axis.set(xlabel="length (grey: of training)", ylabel="wrong bits (guessing: 50%)", ylim=(-0.02, 0.6))
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.grid(color=GREY, linewidth=0.6)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A line for every arm."""
    return pd.DataFrame([_line(table, arm) for arm in NAMES])


def _line(table: pd.DataFrame, arm: str) -> dict[str, Any]:
    ends, shares = _curves(table, arm).groupby("seed").last(), 100 * _shares(table, arm)
    longest = int(ends["longest"].iloc[0])
    learned, beyond = _known(table, arm)
    return {
        "arm": NAMES[arm],
        "parameters": f"{ends['parameters'].iloc[0]:,.0f}",
        "sequences": spread(ends["sequences"], 0),
        "seconds": spread(ends["seconds"], 1),
        "validation, bits": spread(ends["value"], 2),
        "% wrong at the longest of training": spread(shares[longest], 1),
        "learned": str(success_rate(learned)),
        "% wrong at twice that": spread(shares[2 * longest], 1),
        "generalises": str(success_rate(beyond)),
        "% wrong at 120": spread(shares[120], 1),
    }


STUDY = Study(
    name="baseline",
    claim='"First we train an LSTM on the copy task as a baseline." An NTM generalises beyond the lengths of training, '
    "an LSTM does not (Graves et al. 2014, section 4.1).",
    sweeps=("baseline",),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
)
