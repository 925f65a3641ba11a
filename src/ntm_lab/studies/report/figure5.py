"""Figure 5 of the report: wrong bits by the length of the sequence, through training and far beyond it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from ntm_lab.studies.drawing import GREY, UNITS, in_thousands, styles
from ntm_lab.studies.report.copying import read_copying
from ntm_lab.studies.results import read_curves
from ntm_lab.studies.statistics import LEVEL, on_grid, p_value
from ntm_lab.studies.study import MIN_SEEDS, TOO_FEW, Study, Verdict, outcome_under, verdict_of_parts

CURVE = "far_wrong_bits/length_"
SHARES = (0, 1 / 6, 1 / 3, 1 / 2, 1)  # of the median run's length: the checkpoints that are drawn and listed


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """A row for every length at every evaluation of every run.

    Columns: ``seed``, ``sequences`` seen, ``length``, ``wrong_bits`` per sequence, their share of all bits
    (``bit_error_rate``, 0.5 by chance), and ``longest``, the greatest length of training.
    """
    runs = read_copying(folders["copy"]).set_index("run")
    curves = read_curves(folders["copy"], [f"{CURVE}*"])
    of_run = runs.loc[curves["run"]].reset_index()
    length = curves["name"].str.removeprefix(CURVE).astype(int)
    return pd.DataFrame(
        {
            "seed": of_run["seed"],
            "sequences": curves["sequences"],
            "length": length,
            "wrong_bits": curves["value"],
            "bit_error_rate": curves["value"] / (length * of_run["task.bits"]),
            "longest": of_run["longest"],
        }
    ).sort_values(["seed", "sequences", "length"], ignore_index=True)


# The two halves of the claim


def harder(table: pd.DataFrame) -> pd.Series:
    """By seed: Spearman's rank correlation of length and bit error rate, the mean over the evaluations after the first
    step. Where all lengths are alike, as when none has an error, it is 0."""
    trained = table[table["sequences"] > 0]
    ranks = {
        key: _correlation(rows["length"], rows["bit_error_rate"])
        for key, rows in trained.groupby(["seed", "sequences"])
    }
    return pd.Series(ranks).groupby(level=0).mean()


def _correlation(lengths: Any, rates: pd.Series) -> float:
    return float(stats.spearmanr(lengths, rates).statistic) if rates.nunique() > 1 else 0.0


def ends(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The bit error rate of the first and of the last evaluation: rows are seeds, columns lengths."""
    ordered = table.sort_values("sequences").groupby(["seed", "length"])["bit_error_rate"]
    return ordered.first().unstack(), ordered.last().unstack()


def _sign(values: pd.Series) -> float:
    """The p-value of the one-sided sign test that values are above 0 no more often than below it."""
    return float(stats.binomtest(int((values > 0).sum()), len(values), alternative="greater").pvalue)


def judge(table: pd.DataFrame) -> Verdict:
    """Half by half, each by one-sided sign tests over the seeds at a level of 5 %.

    Longer is harder: the rank correlation of length and bit error rate, as a mean over training, is above 0. Better
    across the board: at every length the last evaluation has a lower bit error rate than the first, of the untrained
    model. "Every" is all tests at once, so that none needs an adjustment.
    """
    correlations, (begun, ended) = harder(table), ends(table)
    if len(ended) < MIN_SEEDS:
        return Verdict(TOO_FEW, f"There are {len(ended)} seeds of the NTM on copy; it takes {MIN_SEEDS}.")
    longer, above = _sign(correlations), int((correlations > 0).sum())
    gains = {int(str(length)): _sign(begun[length] - ended[length]) for length in ended}
    worst = max(gains, key=lambda length: gains[length])
    perfect = int((ended == 0).all(axis=1).sum())
    sentence = (
        f"Through training longer sequences {'were' if longer < LEVEL else 'were not'} harder (rank correlation of"
        f" length and share of wrong bits: median {correlations.median():.2f}, above 0 for {above} of {len(ended)}"
        f" seeds, sign test {p_value(longer)}); from first to last {'every' if gains[worst] < LEVEL else 'not every'}"
        f" length from {min(gains)} to {max(gains)} got better (the least sure is {worst}: {p_value(gains[worst])}); at"
        f" the end {perfect} of {len(ended)} seeds had no wrong bit at any length."
    )
    halves = {"longer sequences are harder": longer < LEVEL, "every length improves": gains[worst] < LEVEL}
    return verdict_of_parts({half: outcome_under([held]) for half, held in halves.items()}, sentence)


# The page


def _medians(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """The median over the seeds: rows are the places where a run was evaluated, columns lengths. Runs that ended carry
    their last value on."""
    places = np.unique(table["sequences"])
    curves = table.rename(columns={"seed": "run", column: "value"})
    return pd.DataFrame({length: on_grid(curve, places).median(axis=1) for length, curve in curves.groupby("length")})


def checkpoints(table: pd.DataFrame) -> list[int]:
    """Some places where runs were evaluated, from the first to where the median run ended."""
    places = np.unique(table["sequences"])
    end = table.groupby("seed")["sequences"].max().median()
    return sorted({int(places[np.abs(places - share * end).argmin()]) for share in SHARES})


def draw(table: pd.DataFrame) -> Figure:
    """The share of wrong bits by length and sequences seen, and against length at some checkpoints."""
    figure = Figure((11, 4.8), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    _draw_heat(figure, left, table)
    _draw_checkpoints(right, table)
    return figure


def _draw_heat(figure: Figure, axis: Axes, table: pd.DataFrame) -> None:
    rates = _medians(table, "bit_error_rate").T
    places = rates.columns.to_numpy(dtype=float)
    edges = np.concatenate([places[:1], (places[1:] + places[:-1]) / 2, places[-1:]])
    image = axis.pcolormesh(
        edges, np.arange(len(rates) + 1), rates, vmin=0, vmax=0.5, cmap="cividis_r", rasterized=True
    )
    longest = int((rates.index <= table["longest"].iloc[0]).sum())
    axis.axhline(longest, color="black", linewidth=2, linestyle="--")
    for height, vertical, text in ((longest + 0.1, "bottom", "beyond training"), (longest - 0.1, "top", "in training")):
        box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        axis.text(0.98, height, text, ha="right", va=vertical, transform=axis.get_yaxis_transform(), bbox=box)
    axis.set_yticks(np.arange(len(rates)) + 0.5, rates.index.astype(str))
    axis.set_ylabel("length of the sequence")
    axis.set_xlabel(UNITS["sequences"])
    axis.locator_params(axis="x", nbins=6)
    axis.xaxis.set_major_formatter(in_thousands)
    bar = figure.colorbar(image, ax=axis, ticks=[0, 0.25, 0.5])
    bar.ax.set_yticklabels(["0 %", "25 %", "50 %"])
    bar.set_label(f"wrong bits, median of {table['seed'].nunique()} seeds")


def _draw_checkpoints(axis: Axes, table: pd.DataFrame) -> None:
    rates = _medians(table, "bit_error_rate")
    lengths = rates.columns.to_numpy(dtype=int)
    for (place, style), marker in zip(styles(map(str, checkpoints(table))).items(), "osD^v", strict=False):
        label = f"after {int(place):,} sequences" if int(place) else "untrained"
        axis.plot(lengths, rates.loc[int(place)], marker=marker, markersize=4, label=label, **style)
    axis.axvspan(0, table["longest"].iloc[0], color=GREY, linewidth=0, zorder=0, label="lengths of training")
    axis.set_xlim(0, 1.02 * lengths.max())
    axis.set_ylim(-0.02, 0.56)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.set_xlabel("length of the sequence")
    axis.set_ylabel("wrong bits, median")
    axis.grid(color=GREY, linewidth=0.6)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False, handlelength=3)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A line for every checkpoint: the median share of wrong bits at every length, and the rank correlation."""
    rates = _medians(table, "bit_error_rate")
    curves = table.rename(columns={"seed": "run", "bit_error_rate": "value"})
    rows = []
    for place in checkpoints(table):
        then = pd.DataFrame({length: on_grid(curve, [place]).iloc[0] for length, curve in curves.groupby("length")})
        lengths = {f"length {length}": f"{rate:.1%}" for length, rate in rates.loc[place].items()}
        rank = then.apply(lambda run: _correlation(run.index, run), axis=1).median()
        rows.append({"sequences": f"{place:,}", **lengths, "rank correlation": f"{rank:.2f}"})
    return pd.DataFrame(rows)


STUDY = Study(
    name="figure5",
    claim='"Longer sequences are harder to copy, but we see improvement across the board through training."',
    sweeps=("copy",),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
)
