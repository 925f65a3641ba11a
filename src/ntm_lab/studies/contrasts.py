"""Pairs of groups of runs, compared at once: their p-values are adjusted by Holm for all pairs."""

import math
from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
from scipy import stats

from ntm_lab.studies.statistics import LEVEL, holm, logrank, median_time, p_value, time_to_event

ORDERS = 9999  # for ties: all permutations of the runs up to this number, else a sample of this size

Condition = TypeVar("Condition", bound=Hashable)
Times = tuple[pd.Series, pd.Series]
"""When the event came in each run (NaN: never), and when the run ended."""


class Contrast(NamedTuple):
    """Two groups of runs, and the probability that chance alone makes them differ as much."""

    first: float  # the median of the first group; infinite for times where fewer than half of the runs had the event
    second: float
    order: float  # below 0 where the first group is lower, or sooner; above 0 where the second is
    p: float  # two-sided, adjusted by Holm for all contrasts made at once

    @property
    def first_lower(self) -> bool:
        return self.p < LEVEL and self.order < 0

    @property
    def second_lower(self) -> bool:
        return self.p < LEVEL and self.order > 0

    def __str__(self) -> str:
        """The two medians, with p if the difference is not significant."""
        apart = "" if self.p < LEVEL else f" ({p_value(self.p)})"
        return f"{self.first:.2f} against {self.second:.2f}{apart}"


def contrasts(pairs: Mapping[Condition, tuple[np.ndarray, np.ndarray]]) -> dict[Condition, Contrast]:
    """Two groups of values under every condition, by Mann and Whitney's test; the order is that of the medians."""
    medians = [(float(np.median(first)), float(np.median(second))) for first, second in pairs.values()]
    p_values = holm([mann_whitney(*pair) for pair in pairs.values()])
    found = [Contrast(first, second, first - second, p) for (first, second), p in zip(medians, p_values, strict=True)]
    return dict(zip(pairs, found, strict=True))


def contrasts_of_times(pairs: Mapping[Condition, tuple[Times, Times]]) -> dict[Condition, Contrast]:
    """Two groups of times under every condition, by the logrank test; the order is that of most pairs of runs."""
    data = [(time_to_event(*first), time_to_event(*second)) for first, second in pairs.values()]
    orders = [behind(first, second) for (first, _), (second, _) in pairs.values()]
    p_values = holm([logrank(*both) for both in data])
    found = [
        Contrast(_median(first), _median(second), order, p)
        for (first, second), order, p in zip(data, orders, p_values, strict=True)
    ]
    return dict(zip(pairs, found, strict=True))


def _median(times: stats.CensoredData) -> float:
    median = median_time(times)
    return math.inf if median is None else median


def mann_whitney(first: np.ndarray, second: np.ndarray) -> float:
    """The exact two-sided p-value; with ties it is computed from all permutations or a sample of them. 1 if a group has
    a single value, which tells nothing of how values spread."""
    distinct = len(np.unique(np.concatenate([first, second])))
    if distinct == 1 or min(len(first), len(second)) == 1:
        return 1.0
    tied = distinct < len(first) + len(second)
    orders = stats.PermutationMethod(n_resamples=ORDERS, rng=np.random.default_rng(0))
    return float(stats.mannwhitneyu(first, second, method=orders if tied else "exact").pvalue)


def behind(one: pd.Series, other: pd.Series) -> int:
    """The number of pairs of runs in which the other had the event first, minus those in which the one did; NaN:
    never."""
    first, second = (times.fillna(np.inf).to_numpy() for times in (one, other))
    return int((first[:, None] > second).sum()) - int((first[:, None] < second).sum())
