"""The choice of the next difficulty: at random, by hand, or by the progress of learning.

A point is one difficulty, the value of every axis; the ranges of the task span the grid of all points.
"""

import itertools
import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ntm_lab.checks import at_least, not_negative, positive, share
from ntm_lab.tasks.base import ShowsSettings
from ntm_lab.tasks.difficulties import hardest
from ntm_lab.types import Curriculum, Difficulty, Ranges, Task


def _uniform(ranges: Ranges, generator: torch.Generator) -> dict[str, int]:
    """A point whose axes are independent and uniform over their ranges."""
    return {axis: int(torch.randint(low, high + 1, (), generator=generator)) for axis, (low, high) in ranges.items()}


class Uniform(ShowsSettings, Curriculum):
    """Every point of the ranges is equally likely, always: as Graves trains, and a strong baseline."""

    measures_gain = False

    def __init__(self, task: Task) -> None:
        self.ranges = task.ranges

    def draw(self, generator: torch.Generator) -> Difficulty:
        return _uniform(self.ranges, generator)

    def observe(self, difficulty: Difficulty, cost: float, cost_after: float | None = None) -> None:
        """The cost is ignored."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing is loaded."""


class Fixed(Uniform):
    """One point, always: the hardest of the ranges, or the `difficulty` given, which may lie outside of them."""

    def __init__(self, task: Task, difficulty: Difficulty | None = None) -> None:
        super().__init__(task)
        self.point = dict(hardest(task) if difficulty is None else difficulty)
        if set(self.point) != set(task.ranges):
            raise ValueError(f"curriculum.difficulty={self.point}: must have the axes {', '.join(task.ranges)}")
        if not all(isinstance(value, int) and value >= 1 for value in self.point.values()):
            raise ValueError(f"curriculum.difficulty={self.point}: each must be a whole number, at least 1")

    def draw(self, generator: torch.Generator) -> Difficulty:
        return dict(self.point)


class Growing(ShowsSettings, Curriculum):
    """Naive growth: from the easiest point one step harder (`Task.harder`) each time the current point is mastered.

    A point is mastered when the mean of its last `window` costs is below `threshold`, in the unit of the task's answer
    (bits for most). Costs of other points do not count, and every new point starts with an empty
    window.
    """

    measures_gain = False

    def __init__(self, task: Task, threshold: float = 1.0, window: int = 10) -> None:
        positive("curriculum.threshold", threshold)
        at_least("curriculum.window", window, 1)
        self.task = task
        self.threshold = threshold
        self.point = {axis: low for axis, (low, _) in task.ranges.items()}
        self.costs: deque[float] = deque(maxlen=window)

    def draw(self, generator: torch.Generator) -> Difficulty:
        return dict(self.point)

    def observe(self, difficulty: Difficulty, cost: float, cost_after: float | None = None) -> None:
        if dict(difficulty) != self.point:
            return
        self.costs.append(cost)
        if len(self.costs) == self.costs.maxlen and sum(self.costs) / len(self.costs) < self.threshold:
            self.point = dict(self.task.harder(self.point))
            self.costs.clear()

    def state_dict(self) -> dict[str, Any]:
        return {"point": dict(self.point), "costs": list(self.costs)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.point = dict(state["point"])
        self.costs = deque(state["costs"], maxlen=self.costs.maxlen)


class LookBack(Growing):
    """Growth without forgetting: a share `mix` of the draws is uniform over all points up to the current one."""

    def __init__(self, task: Task, threshold: float = 1.0, window: int = 10, mix: float = 0.1) -> None:
        super().__init__(task, threshold, window)
        share("curriculum.mix", mix)
        self.mix = mix

    def mixed_in(self) -> Ranges:
        """The points from which the share `mix` is drawn."""
        return {axis: (low, self.point[axis]) for axis, (low, _) in self.task.ranges.items()}

    def draw(self, generator: torch.Generator) -> Difficulty:
        if torch.rand((), generator=generator) < self.mix:
            return _uniform(self.mixed_in(), generator)
        return super().draw(generator)


class LookBackAndForward(LookBack):
    """Growth with a share `mix` of the draws uniform over all points, including harder ones.

    Collier and Beel 2018 (arXiv 1807.08518) draw 80 % at the current point and 20 % over all. Zaremba and Sutskever
    2014 (arXiv 1410.4615), "combined", draw every sample either naively or from the full mix: this class at mix = 0.5.
    """

    def __init__(self, task: Task, threshold: float = 1.0, window: int = 10, mix: float = 0.2) -> None:
        super().__init__(task, threshold, window, mix)

    def mixed_in(self) -> Ranges:
        return self.task.ranges


class Validated(ShowsSettings, Curriculum):
    """Growth by validation: from the easiest point one step harder (`Task.harder`) when the current one is mastered.

    A point is mastered when a validation's error rate is below `threshold` at the easiest of its difficulties that is
    at least as hard as the point, so that memorised training sequences do not count. After `patience` validations at a
    point (None: never) the curriculum goes on anyway. A share `mix` of the draws is uniform over all points, including
    harder ones.
    """

    measures_gain = False

    def __init__(self, task: Task, threshold: float = 0.1, patience: int | None = 10, mix: float = 0.2) -> None:
        self.task = task
        self.threshold = positive("curriculum.threshold", threshold)
        self.patience = None if patience is None else at_least("curriculum.patience", patience, 1)
        self.mix = share("curriculum.mix", mix)
        self.point = {axis: low for axis, (low, _) in task.ranges.items()}
        self.heard = 0  # validations at this point

    def draw(self, generator: torch.Generator) -> Difficulty:
        if torch.rand((), generator=generator) < self.mix:
            return _uniform(self.task.ranges, generator)
        return dict(self.point)

    def observe(self, difficulty: Difficulty, cost: float, cost_after: float | None = None) -> None:
        """Nothing is learned from the cost."""

    def validated(self, error_rates: Sequence[tuple[Difficulty, float]]) -> None:
        self.heard += 1
        as_hard = [rate for point, rate in error_rates if all(point[axis] >= low for axis, low in self.point.items())]
        mastered = bool(as_hard) and as_hard[0] < self.threshold
        if mastered or self.heard == self.patience:
            self.point = dict(self.task.harder(self.point))
            self.heard = 0

    def state_dict(self) -> dict[str, Any]:
        return {"point": dict(self.point), "heard": self.heard}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.point, self.heard = dict(state["point"]), state["heard"]


class PredictionGain(ShowsSettings, Curriculum):
    """The points the network learns most from: Exp3.S on prediction gain, Graves et al. 2017 (arXiv 1704.03003).

    Each of the N points of the ranges is an arm of an adversarial bandit. Arm i has a log weight w_i, at first 0, and
    is drawn with probability

        π(i) = (1 − ε) exp w_i / Σ_j exp w_j + ε / N

    The t-th observation, of arm a, is the rate of gain (L(θ) − L(θ′)) / τ: the cost of the same batch before minus
    after the update, divided by the steps of a sequence. The reward r is this rate mapped linearly such that the 20th
    and the 80th percentile of all rates so far become −1 and 1, and clipped there. It is divided by the probability of
    its arm, and each arm then takes a share α = 1 / (t + 1) from all others, so that none is lost for good:

        v_i = w_i + η (r [i = a] + β) / π(i)
        w_i = log((1 − α) exp v_i + α / (N − 1) Σ_{j≠i} exp v_j)

    Defaults as in the paper (its α of the t-th draw is 1 / t; the weights after the first observation serve the second
    draw). Departures: π(a) is that of the moment of the observation, since several draws of one batch may be under way
    when the first is observed. And where the paper keeps past rates by reservoir sampling, here every 2^k-th is kept,
    with k as small as `history` allows: a sample of the whole past just the same, without a second source of chance.
    """

    measures_gain = True

    def __init__(
        self,
        task: Task,
        eta: float = 1e-3,
        beta: float = 0.0,
        epsilon: float = 0.05,
        history: int = 1000,
    ) -> None:
        positive("curriculum.eta", eta)
        not_negative("curriculum.beta", beta)
        positive("curriculum.epsilon", share("curriculum.epsilon", epsilon))  # at 0 a π(i) could vanish
        at_least("curriculum.history", history, 2)
        self.eta, self.beta, self.epsilon, self.history = eta, beta, epsilon, history
        values = [range(low, high + 1) for low, high in task.ranges.values()]
        self.points = [dict(zip(task.ranges, point, strict=True)) for point in itertools.product(*values)]
        self.steps = [_steps(task, point) for point in self.points]
        self.log_weights = torch.zeros(len(self.points), dtype=torch.float64)
        self.observed = 0
        self.rates: list[float] = []  # every `stride`-th so far
        self.stride = 1

    def probabilities(self) -> torch.Tensor:
        """π, in the order of `points` -> (N,)."""
        return (1 - self.epsilon) * self.log_weights.softmax(0) + self.epsilon / len(self.points)

    def draw(self, generator: torch.Generator) -> Difficulty:
        return dict(self.points[int(torch.multinomial(self.probabilities(), 1, generator=generator))])

    def observe(self, difficulty: Difficulty, cost: float, cost_after: float | None = None) -> None:
        """A gain that is not finite is ignored. Raises ValueError without the cost after the update."""
        if cost_after is None:
            raise ValueError(f"curriculum={type(self).__name__}: needs the cost of a batch after the update as well")
        arm = self.points.index(dict(difficulty))
        rate = (cost - cost_after) / self.steps[arm]
        if not math.isfinite(rate):
            return
        self._remember(rate)
        rewards = torch.full_like(self.log_weights, self.beta)
        rewards[arm] += self._scaled(rate)
        weights = self.log_weights + self.eta * rewards / self.probabilities()
        weights = (weights - weights.max()).exp()  # the greatest is 1: a common factor changes no probability
        share = 1 / (self.observed + 1)
        others = (weights.sum() - weights) / max(1, len(weights) - 1)
        self.log_weights = ((1 - share) * weights + share * others).log()  # a new tensor: a saved state stays as it is

    def _remember(self, rate: float) -> None:
        if self.observed % self.stride == 0:
            self.rates.append(rate)
        self.observed += 1
        if len(self.rates) > self.history:
            del self.rates[1::2]
            self.stride *= 2

    def _scaled(self, rate: float) -> float:
        """The reward in [−1, 1]; 0 while all rates so far are the same."""
        quantiles = torch.tensor([0.2, 0.8], dtype=torch.float64)
        low, high = torch.tensor(self.rates, dtype=torch.float64).quantile(quantiles).tolist()
        if low == high:
            return float(rate > high) - float(rate < low)
        return max(-1.0, min(1.0, 2 * (rate - low) / (high - low) - 1))

    def state_dict(self) -> dict[str, Any]:
        return {
            "log_weights": self.log_weights,
            "observed": self.observed,
            "rates": list(self.rates),
            "stride": self.stride,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if len(state["log_weights"]) != len(self.points):
            raise ValueError(
                f"task.ranges: span {len(self.points)} points, the saved curriculum {len(state['log_weights'])}"
            )
        self.log_weights = state["log_weights"]
        self.observed = state["observed"]
        self.rates = list(state["rates"])
        self.stride = state["stride"]


def _steps(task: Task, point: Mapping[str, int]) -> int:
    """The number of steps of a sequence of this difficulty, from one drawn by a separate generator."""
    return int(task.sample(1, point, torch.Generator()).lengths.max())
