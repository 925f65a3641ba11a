"""Between which bounds a mean may lie, given so many sequences: 95 % intervals."""

import math
from statistics import NormalDist

from torch import Tensor

Z = NormalDist().inv_cdf(0.975)  # 1.96: a normal variable is within ±Z standard deviations 95 times in 100


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a probability: Wilson 1927, J. Am. Stat. Assoc. 22:209, which has a width at 0 and 1 too.

    With p = successes / trials, its ends are (p + Z²/2n ± Z √(p (1 − p) / n + Z²/4n²)) / (1 + Z²/n).
    """
    share, ratio = successes / trials, Z**2 / trials
    half = Z * math.sqrt(share * (1 - share) / trials + ratio / (4 * trials))
    middle = share + ratio / 2
    low, high = (middle - half) / (1 + ratio), (middle + half) / (1 + ratio)
    return (0.0 if successes == 0 else low), (1.0 if successes == trials else high)


def normal(values: Tensor) -> tuple[float, float] | None:
    """The 95 % interval of the mean of values (n,), mean ± Z s / √n with s over n − 1; None for a single value.

    It has no width where all values are alike, such as no wrong bits at all: then the interval of `wilson` says more.
    """
    if len(values) < 2:
        return None
    mean, error = float(values.double().mean()), float(values.double().std()) / math.sqrt(len(values))
    return mean - Z * error, mean + Z * error
