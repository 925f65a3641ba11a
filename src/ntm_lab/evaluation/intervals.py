"""95 % intervals of a mean and of a share."""

import math
from statistics import NormalDist

from scipy.stats import binomtest
from torch import Tensor

Z = NormalDist().inv_cdf(0.975)  # 1.96: a normal variable is within ±Z standard deviations 95 times in 100


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a probability: Wilson 1927, J. Am. Stat. Assoc. 22:209, which has a width at 0 and 1 too."""
    interval = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def normal(values: Tensor) -> tuple[float, float] | None:
    """The 95 % interval of the mean of values (n,), mean ± Z s / √n with s over n − 1; None for a single value.

    It has no width where all values are alike, such as no wrong bits at all: then the interval of `wilson` says more.
    """
    if len(values) < 2:
        return None
    mean, error = float(values.double().mean()), float(values.double().std()) / math.sqrt(len(values))
    return mean - Z * error, mean + Z * error
