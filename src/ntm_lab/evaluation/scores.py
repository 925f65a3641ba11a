"""What fresh sequences of one difficulty came to, and the row of results that says so."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ntm_lab.evaluation.intervals import normal, wilson
from ntm_lab.evaluation.shifts import find_shifts
from ntm_lab.evaluation.steps import each_step, scored
from ntm_lab.training.metrics import cost_bits, cost_bits_of_probabilities, wrong_bits
from ntm_lab.types import Batch, Difficulty

WINDOW = 10  # steps: single ones are too noisy for a curve


class Scores(NamedTuple):
    """Of n sequences with P scored steps each; those of `solve` are called optimum."""

    cost: Tensor  # (n,) bits
    wrong: Tensor  # (n,)
    optimum_cost: Tensor  # (n,) bits
    optimum_wrong: Tensor  # (n,)
    step_cost: Tensor  # (n, P) bits
    step_wrong: Tensor  # (n, P)
    step_optimum: Tensor  # (n, P) bits
    shift: Tensor  # (n,) of `find_shifts`
    start: Tensor  # (n,) likewise

    @classmethod
    def of(cls, logits: Tensor, batch: Batch, solution: Tensor) -> "Scores":
        """Of one batch, all on the CPU: logits and the task's solution (B, T, O)."""
        answer, target, best = (scored(values, batch.mask) for values in (logits, batch.targets, solution))
        return cls(
            cost_bits(logits, batch.targets, batch.mask),
            wrong_bits(logits, batch.targets, batch.mask),
            cost_bits_of_probabilities(solution, batch.targets, batch.mask),
            wrong_bits(solution - 0.5, batch.targets, batch.mask),
            each_step(cost_bits, answer, target),
            each_step(wrong_bits, answer, target),
            each_step(cost_bits_of_probabilities, best, target),
            *find_shifts(answer, target),
        )

    @classmethod
    def joined(cls, parts: Sequence["Scores"]) -> "Scores":
        """One after the other."""
        return cls(*(torch.cat(values) for values in zip(*parts, strict=True)))

    @property
    def has_optimum(self) -> bool:
        """Whether even the perfect answer has a cost."""
        return bool((self.optimum_cost != 0).any())


def brief(difficulty: Difficulty, scores: Scores) -> dict[str, Any]:
    """The row of ``results.json``: means per sequence."""
    return {
        "difficulty": dict(difficulty),
        "n": len(scores.cost),
        "cost_bits": _mean(scores.cost),
        "wrong_bits": _mean(scores.wrong),
        "exact": _mean(scores.wrong == 0),
    } | ({"optimum_bits": _mean(scores.optimum_cost)} if scores.has_optimum else {})


def detailed(scores: Scores, outputs: int) -> dict[str, Any]:
    """What else can be said, for a task of so many ``outputs`` O a step; see `evaluate`."""
    n, bits = len(scores.cost), scores.step_cost.shape[1] * outputs
    row = {
        "cost_interval": _interval(scores.cost, least=0),  # bits are never negative, as a normal distribution might be
        "wrong_interval": _interval(scores.wrong, least=0),
        "exact_interval": list(wilson(int((scores.wrong == 0).sum()), n)),
        "chance": {"cost_bits": float(bits), "wrong_bits": bits / 2},
        "solve": {
            "cost_bits": _mean(scores.optimum_cost),
            "wrong_bits": _mean(scores.optimum_wrong),
            "exact": _mean(scores.optimum_wrong == 0),
        },
        "by_step": {"cost_bits": _means(scores.step_cost), "wrong_bits": _means(scores.step_wrong)},
    }
    return row | (_gap(scores) if scores.has_optimum else {"errors": _errors(scores)})


def _gap(scores: Scores) -> dict[str, Any]:
    """How far above the optimum, paired sequence by sequence: in all, at every step, and in windows of steps."""
    whole = scores.cost.double() - scores.optimum_cost.double()
    gap = scores.step_cost - scores.step_optimum
    windows = [window.mean(1) for window in gap.split(WINDOW, dim=1)]
    return {
        "gap_bits": _mean(whole),
        "gap_interval": _interval(whole),
        "gap_by_step": _means(gap),
        "gap_by_window": {
            "steps": WINDOW,
            "gap_bits": [_mean(window) for window in windows],
            "gap_interval": [_interval(window) for window in windows],
        },
    }


def _errors(scores: Scores) -> dict[str, Any]:
    """How many sequences have errors of which kind, and how many wrong bits each kind makes."""
    flawed, shifted = scores.wrong > 0, scores.shift != 0
    after = torch.arange(scores.step_wrong.shape[1]) >= scores.start[:, None]  # (n, P): where it is shifted
    return {
        "wrong_bits_only": int((flawed & ~shifted).sum()),
        "doubled": int((scores.shift > 0).sum()),
        "skipped": int((scores.shift < 0).sum()),
        "local_bits": _mean((scores.step_wrong * ~after).sum(1)),
        "shifted_bits": _mean((scores.step_wrong * after).sum(1)),
        "shifts": [[int(by), int(step)] for by, step in zip(scores.shift, scores.start, strict=True) if by],
    }


def _mean(values: Tensor) -> float:
    return float(values.double().mean())


def _means(values: Tensor) -> list[float]:
    return [round(value, 6) for value in values.double().mean(0).tolist()]


def _interval(values: Tensor, least: float = -math.inf) -> list[float] | None:
    """As a list, which is what JSON makes of it."""
    ends = normal(values)
    return None if ends is None else [max(least, end) for end in ends]
