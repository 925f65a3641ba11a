"""Two groups of runs held against each other under several conditions, such as at equal sequences and equal seconds."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import stats

from ntm_lab.studies.statistics import holm, p_value

LEVEL = 0.05
ORDERS = 9999  # up to so many orders of the runs are all looked at, as with five seeds; of more a sample


class Contrast(NamedTuple):
    """The medians of two groups, and how likely it is that they differ as much by chance."""

    condition: str
    first: float
    second: float
    p: float  # of Mann and Whitney's test, two-sided, adjusted after Holm for all conditions asked at once

    @property
    def first_lower(self) -> bool:
        return self.p < LEVEL and self.first < self.second

    @property
    def second_lower(self) -> bool:
        return self.p < LEVEL and self.second < self.first

    def __str__(self) -> str:
        """With p where the two cannot be told apart."""
        apart = "" if self.p < LEVEL else f" ({p_value(self.p)})"
        return f"{self.condition} {self.first:.2f} against {self.second:.2f}{apart}"


def contrasts(conditions: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> list[Contrast]:
    """A contrast for every condition, out of the values of both groups; values may be tied."""
    p_values = holm([_mann_whitney(*values) for values in conditions.values()])
    medians = [(float(np.median(first)), float(np.median(second))) for first, second in conditions.values()]
    return [Contrast(name, *pair, p) for name, pair, p in zip(conditions, medians, p_values, strict=True)]


def _mann_whitney(first: np.ndarray, second: np.ndarray) -> float:
    """The p-value from all orders of the values, as scipy's other ways do not bear ties among few."""
    if len(np.unique(np.concatenate([first, second]))) == 1:
        return 1.0
    orders = stats.PermutationMethod(n_resamples=ORDERS, rng=np.random.default_rng(0))
    return float(stats.mannwhitneyu(first, second, method=orders).pvalue)
