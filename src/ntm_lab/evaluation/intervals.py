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


def of_ratio(right: Tensor, asked: Tensor) -> tuple[float, float]:
    """The 95 % interval of the share Σ right / Σ asked, from counts of n sequences (n,) each.

    Answers within a sequence may be correlated. The variance v of the share is that of a ratio over sequences, and
    Wilson's interval is computed for p (1 − p) / v independent trials, which have this variance, at most the number
    asked. If v is 0, such as with all answers right, the number of sequences with a question is used.
    """
    right, asked = right.double(), asked.double()
    total, sequences = float(asked.sum()), int((asked > 0).sum())
    share = float(right.sum()) / total
    variance = float((right - share * asked).square().sum()) / total**2 * sequences / max(1, sequences - 1)
    trials = min(total, share * (1 - share) / variance) if variance else sequences
    centre, spread = share + Z**2 / (2 * trials), Z * math.sqrt(share * (1 - share) / trials + (Z / trials) ** 2 / 4)
    return max(0.0, (centre - spread) / (1 + Z**2 / trials)), min(1.0, (centre + spread) / (1 + Z**2 / trials))


def normal(values: Tensor) -> tuple[float, float] | None:
    """The 95 % interval of the mean of values (n,), mean ± Z s / √n with s over n − 1; None for a single value.

    It has no width if all values are equal, such as no wrong bits at all; the interval of `wilson` then says more.
    """
    if len(values) < 2:
        return None
    mean, error = float(values.double().mean()), float(values.double().std()) / math.sqrt(len(values))
    return mean - Z * error, mean + Z * error
