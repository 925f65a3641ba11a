"""Statistics of several runs: success rates, spreads, time to solve as censored data, comparisons by seed.

Time to solve is known for the solved runs; for the others it is only known to be longer than they ran. A median over
the solved ones alone would favour arms that rarely solve, so such times are treated as censored.
"""

import math
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ntm_lab.evaluation.intervals import wilson

Grid = Sequence[float] | np.ndarray
NONE = "–"  # in a table, where there is no value
LEVEL = 0.05  # p-values below this are significant


class Rate(NamedTuple):
    """The number of successful runs, and Wilson's 95 % interval of the success rate."""

    successes: int
    trials: int
    low: float
    high: float

    @property
    def is_most(self) -> bool:
        """Whether the whole interval is above one half."""
        return self.low > 0.5

    @property
    def is_few(self) -> bool:
        """Whether the whole interval is below one half."""
        return self.high < 0.5

    def __str__(self) -> str:
        return f"{self.successes} of {self.trials} ({self.low:.0%} to {self.high:.0%})"


def success_rate(successes: Iterable[bool]) -> Rate:
    """The number of successes with its interval; ValueError without any run."""
    known = [bool(success) for success in successes]
    if not known:
        raise ValueError("a success rate needs at least one run")
    return Rate(sum(known), len(known), *wilson(sum(known), len(known)))


def quartiles(values: Iterable[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile, linearly interpolated; ValueError for NaN."""
    known = np.asarray([*values], dtype=float)
    if not len(known) or np.isnan(known).any():
        raise ValueError("quartiles need at least one value, and no NaN among them")
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)


def spread(values: Iterable[float | None], digits: int, extreme: str = "largest") -> str:
    """``median (lower to upper quartile; largest)`` for a table; a single value stands alone.

    Args:
        values: None and NaN are left out; the number of the other runs is then appended.
        digits: after the decimal point.
        extreme: ``largest`` or ``smallest``: the last number, the worse end.
    """
    given = [*values]
    known = [float(value) for value in given if value is not None and not math.isnan(value)]
    if not known:
        return NONE
    counted = f", {len(known)} of {len(given)} runs" if len(known) < len(given) else ""
    if len(known) == 1:
        return f"{known[0]:,.{digits}f}{counted}"
    low, middle, high = quartiles(known)
    last = {"largest": max, "smallest": min}[extreme](known)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f}; {last:,.{digits}f}){counted}"


# Time to solve


def time_to_event(times: Iterable[float | None], ended: Iterable[float]) -> stats.CensoredData:
    """Times of an event; a run that ended without it is censored on the right.

    Args:
        times: of the event, in sequences, steps or seconds; None or NaN where it never came.
        ended: of the end of each run, in the same unit; only those of runs without the event are used.

    Raises ValueError without any run, and if a run without the event has no end either.
    """
    happened = np.array([math.nan if time is None else time for time in times], dtype=float)
    ends = np.array([*ended], dtype=float)
    if not len(happened) or len(happened) != len(ends):
        raise ValueError(f"time to an event needs runs, each with an end: {len(happened)} times, {len(ends)} ends")
    censored = np.isnan(happened)
    known = np.where(censored, ends, happened)
    if np.isnan(known).any():
        raise ValueError("time to an event: a run has neither the event nor an end")
    return stats.CensoredData.right_censored(known, censored)


def solving(runs: pd.DataFrame, unit: str = "sequences") -> stats.CensoredData:
    """Time to solve of runs as `read_runs` gives them, in ``sequences``, ``steps`` or ``seconds``."""
    return time_to_event(runs[f"{unit}_to_solve"], runs[unit])


def survival(data: stats.CensoredData) -> pd.DataFrame:
    """The share without the event after each time: Kaplan and Meier 1958, J. Am. Stat. Assoc. 53:457.

    Columns ``time`` (0 and all times of the data, once each), ``share``, and ``low`` and ``high``, its 95 % interval by
    Greenwood's variance of log(−log share), which stays between 0 and 1. Where that is undefined, before the first
    event and when no run is left, the previous bound is kept (0 below a share of 0).
    """
    curve = stats.ecdf(data).sf
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings(action="ignore"):
        interval: Any = curve.confidence_interval(0.95, method="log-log")
    table = pd.DataFrame(
        {
            "time": curve.quantiles,
            "share": curve.probabilities,
            "low": interval.low.probabilities,
            "high": interval.high.probabilities,
        }
    )
    table.loc[table["share"] == 0, "low"] = 0.0
    start = pd.DataFrame({"time": [0.0], "share": [1.0], "low": [1.0], "high": [1.0]})
    return pd.concat([start, table[table["time"] > 0]], ignore_index=True).ffill()


def time_until(share: float, data: stats.CensoredData) -> float | None:
    """The time by which this share has had the event, by Kaplan and Meier's estimate; None if it was not reached.

    If the curve is flat at that height, the middle of the flat part (Miller 1981, Survival Analysis, section 3.3), so
    that without censoring the time until 0.5 is the usual median.
    """
    curve = survival(data)
    left = curve["share"] - (1 - share)
    reached = curve["time"][left <= 1e-9]
    if reached.empty:
        return None
    beyond = curve["time"][left < -1e-9]
    flat = abs(left[reached.index[0]]) < 1e-9 and not beyond.empty
    return float((reached.iloc[0] + beyond.iloc[0]) / 2 if flat else reached.iloc[0])


def median_time(data: stats.CensoredData) -> float | None:
    """The time by which half have had the event; None if that was not reached."""
    return time_until(0.5, data)


def spread_of_times(times: Iterable[float | None], ended: Iterable[float], digits: int) -> str:
    """As `spread`, for the arguments of `time_to_event`.

    If some runs never had the event: the times by which half, a quarter and three quarters had it, a dash for what was
    not reached, and how many had it. A single run without the event is a dash.
    """
    known = [math.nan if time is None else time for time in times]
    data = time_to_event(known, ended)
    if not data.num_censored():
        return spread(known, digits)
    if len(data) == 1:
        return NONE
    reached = [time_until(share, data) for share in (0.5, 0.25, 0.75)]
    middle, low, high = (NONE if time is None else f"{time:,.{digits}f}" for time in reached)
    numbers = NONE if {middle, low, high} == {NONE} else f"{middle} ({low} to {high}; {NONE})"
    return f"{numbers}, {len(data) - data.num_censored()} of {len(data)} runs"


def logrank(first: stats.CensoredData, second: stats.CensoredData) -> float:
    """The two-sided p-value of the logrank test (Mantel 1966) of equal times in two groups.

    It is 1 if the test is undefined: no event in either group, or all at one time.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        p = float(stats.logrank(first, second).pvalue)
    return 1.0 if math.isnan(p) else p


# Curves


def on_grid(curves: pd.DataFrame, grid: Grid, against: str = "sequences") -> pd.DataFrame:
    """The last value that each run logged up to each place: rows are the places, columns the runs.

    A run that ended earlier keeps its last value, as it ended because it was solved. (Runs that exhausted their budgets
    must have equal budgets.) Before its first value a run has NaN.

    Args:
        curves: of one name, as `read_curves` gives them.
        grid: places, ascending.
        against: ``sequences``, ``step`` or ``seconds``.
    """
    places = np.asarray(grid, dtype=float)
    columns = {}
    for run, curve in curves.groupby("run", sort=False):
        ordered = curve.sort_values(against, kind="stable")
        last = np.searchsorted(ordered[against].to_numpy(dtype=float), places, side="right") - 1
        columns[run] = np.where(last >= 0, ordered["value"].to_numpy(dtype=float)[last], math.nan)
    return pd.DataFrame(columns, index=pd.Index(places, name=against))


def quartile_curve(curves: pd.DataFrame, grid: Grid | None = None, against: str = "sequences") -> pd.DataFrame:
    """Columns ``low``, ``median``, ``high`` of the runs' values `on_grid`, in rows from where every run has a value.

    The grid is by default every place at which some run logged a value.
    """
    values = on_grid(curves, np.unique(curves[against]) if grid is None else grid, against).dropna()
    low, middle, high = np.quantile(values.to_numpy(), [0.25, 0.5, 0.75], axis=1)
    return pd.DataFrame({"low": low, "median": middle, "high": high}, index=values.index)


# Comparisons


class Paired(NamedTuple):
    """Two arms compared seed by seed."""

    pairs: int
    lower: int  # in how many the first arm has the lower value
    higher: int
    difference: float  # median of first − second; NaN if a value is infinite
    sign: float  # p-value of the sign test, two-sided
    wilcoxon: float  # p-value of Wilcoxon's signed ranks, two-sided; NaN if a value is infinite

    def __str__(self) -> str:
        tied = f", tied in {self.pairs - self.lower - self.higher}" if self.lower + self.higher < self.pairs else ""
        return f"lower in {self.lower} of {self.pairs} pairs{tied} (sign test {p_value(self.sign)})"


def paired(first: pd.Series, second: pd.Series) -> Paired:
    """The two arms at the seeds they share, which are the indices of both series.

    A run that never had the event may have an infinite value: the sign test (Dixon and Mood 1946; ties left out) needs
    only the order. Wilcoxon 1945 ranks the differences; a tie counts for both sides (Pratt 1959).

    Raises ValueError if a seed occurs twice, a value is NaN, or no seed is in both.
    """
    if not (first.index.is_unique and second.index.is_unique):
        raise ValueError("a comparison by seed needs every seed once in each arm")
    seeds = first.index.intersection(second.index)
    one, other = (arm[seeds].to_numpy(dtype=float) for arm in (first, second))
    if not len(seeds) or np.isnan([one, other]).any():
        raise ValueError("a comparison by seed needs seeds that both arms have, and no NaN among their values")
    lower, higher = int((one < other).sum()), int((one > other).sum())
    sign = float(stats.binomtest(lower, lower + higher).pvalue) if lower + higher else 1.0
    if not np.isfinite([one, other]).all():
        return Paired(len(seeds), lower, higher, math.nan, sign, math.nan)
    differences = one - other
    ranks = float(stats.wilcoxon(differences, zero_method="pratt").pvalue) if differences.any() else 1.0
    return Paired(len(seeds), lower, higher, float(np.median(differences)), sign, ranks)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of several comparisons, adjusted so that the probability of any false positive is at most the level.

    Holm 1979, Scand. J. Stat. 6:65: the k-th smallest of m is multiplied by m − k + 1; never above 1, never below a
    smaller one's.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def p_value(p: float) -> str:
    """``p = 0.012``, ``p < 0.001``."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
