"""Scores of fresh sequences of one difficulty, and the row of results made from them."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ntm_lab.evaluation.intervals import normal, of_ratio, wilson
from ntm_lab.evaluation.shifts import find_shifts
from ntm_lab.evaluation.steps import each_step, scored
from ntm_lab.tasks.answers import accuracy, by_group
from ntm_lab.types import Answer, Batch, Difficulty, Task

WINDOW = 10  # steps: single ones are too noisy for a curve

Measured = dict[str, Tensor]
"""Values by name of measure."""


class Steps(NamedTuple):
    """Scores of n sequences at each of their P scored steps."""

    measured: Measured  # (n, P) each
    optimum: Tensor  # (n, P), the cost of `solve`
    shift: Tensor  # (n,) of `find_shifts`, 0 throughout for an answer of another kind
    start: Tensor  # (n,) likewise


class Scores(NamedTuple):
    """Scores of n sequences; `solve` gives the optimum."""

    measured: Measured  # (n,) each
    optimum: Measured  # (n,) each
    chance: Measured  # (n,) each
    groups: dict[str, Tensor]  # (n, 2): right answers and all answers in each of the task's groups
    best: dict[str, Tensor]  # the same of the task's solution
    steps: Steps | tuple[()]  # empty if sequences differ in the number of scored steps, or if not requested

    @classmethod
    def of(cls, outputs: Tensor, batch: Batch, solution: Tensor, task: Task, by_step: bool = True) -> "Scores":
        """The scores of one batch, from a model's outputs and the task's solution (B, T, O), all on the CPU; without
        those of single steps, which take longest, unless ``by_step``."""
        answer, asked = task.answer, batch.mask.sum(1)
        even = bool((asked == asked[0]).all())
        return cls(
            answer.measure(outputs, batch.targets, batch.mask),
            answer.measure_solution(solution, batch.targets, batch.mask),
            answer.chance(batch.targets, batch.mask),
            by_group(task, outputs, batch),
            by_group(task, answer.outputs_of(solution), batch),
            _steps(answer, outputs, batch, solution) if by_step and even else (),
        )

    @classmethod
    def joined(cls, parts: Sequence["Scores"]) -> "Scores":
        """One after the other."""
        if len({part.steps[1].shape[1] if part.steps else None for part in parts}) > 1:
            parts = [part._replace(steps=()) for part in parts]
        parts = [part._replace(groups=_all(part.groups, parts), best=_all(part.best, parts)) for part in parts]
        joined: Scores = pytree.tree_map(lambda *values: torch.cat(values), *parts)
        return joined


def _all(groups: dict[str, Tensor], parts: Sequence[Scores]) -> dict[str, Tensor]:
    """The groups of any part, of which nothing is asked for where this one has them not."""
    if not groups:
        return groups
    nothing = torch.zeros_like(next(iter(groups.values())))
    return {name: groups.get(name, nothing) for name in sorted({name for part in parts for name in part.groups})}


def _steps(answer: Answer, outputs: Tensor, batch: Batch, solution: Tensor) -> Steps:
    said, target, best = (scored(values, batch.mask) for values in (outputs, batch.targets, solution))
    unshifted = torch.zeros(len(said), dtype=torch.int64), torch.full((len(said),), said.shape[1])
    return Steps(
        each_step(answer.measure, said, target),
        each_step(answer.solution_cost, best, target),
        *(find_shifts(said, target) if answer.shiftable else unshifted),
    )


def chance(task: Task, difficulty: Difficulty) -> dict[str, float]:
    """The measures of guessing, per sequence, by name; from one batch of the task."""
    batch = task.sample(100, difficulty, torch.Generator())
    return _averages(task.answer.chance(batch.targets, batch.mask))


def brief(difficulty: Difficulty, scores: Scores, answer: Answer) -> dict[str, Any]:
    """The row of ``results.json``: means per sequence, and the share of right answers in each of the task's groups."""
    row = {"difficulty": dict(difficulty), "n": len(_cost(scores.measured))} | _averages(scores.measured)
    if _has_optimum(scores):
        row[f"optimum_{answer.unit}"] = _mean(_cost(scores.optimum))
    if scores.groups:
        row["by_group"] = accuracy({name: counts.sum(0) for name, counts in scores.groups.items()})
    return row


def detailed(scores: Scores, answer: Answer) -> dict[str, Any]:
    """The details; see `evaluate`."""
    row: dict[str, Any] = {}
    for measure in answer.measures:
        values = scores.measured[measure.name]
        exact = measure.kind == "exact"  # others are never negative, as a normal distribution might be
        row[measure.interval] = [*wilson(int(values.sum()), len(values))] if exact else _interval(values, least=0)
    row["chance"] = _averages(scores.chance)
    row["solve"] = _averages(scores.optimum)
    if scores.groups:
        intervals = {
            name: [*of_ratio(*counts.unbind(1))] for name, counts in scores.groups.items() if counts[:, 1].any()
        }
        row["by_group_interval"] = intervals
        row["by_group_solve"] = accuracy({name: counts.sum(0) for name, counts in scores.best.items()})
    if scores.steps:
        measures = [measure.name for measure in answer.measures if measure.kind != "exact"]
        row["by_step"] = {name: _means(scores.steps.measured[name]) for name in measures}
    if _has_optimum(scores):
        return row | _gap(scores, answer)
    return row | ({"errors": _errors(scores.steps)} if scores.steps and answer.shiftable else {})


def _has_optimum(scores: Scores) -> bool:
    """Whether even the perfect answer has a cost."""
    return bool((_cost(scores.optimum) != 0).any())


def _cost(measured: Measured) -> Tensor:
    return next(iter(measured.values()))


def _gap(scores: Scores, answer: Answer) -> dict[str, Any]:
    """Cost above the optimum, paired by sequence: in total, at every step, and in windows of steps."""
    name = f"gap_{answer.unit}"
    whole = _cost(scores.measured).double() - _cost(scores.optimum).double()
    row: dict[str, Any] = {name: _mean(whole), "gap_interval": _interval(whole)}
    if scores.steps:
        gap = _cost(scores.steps.measured) - scores.steps.optimum
        windows = [window.mean(1) for window in gap.split(WINDOW, dim=1)]
        row["gap_by_step"] = _means(gap)
        row["gap_by_window"] = {
            "steps": WINDOW,
            name: [_mean(window) for window in windows],
            "gap_interval": [_interval(window) for window in windows],
        }
    return row


def _errors(steps: Steps) -> dict[str, Any]:
    """The number of sequences with each kind of error, and the wrong bits of each kind."""
    _, wrong, _ = steps.measured.values()  # (n, P)
    flawed, shifted = wrong.sum(1) > 0, steps.shift != 0
    after = torch.arange(wrong.shape[1]) >= steps.start[:, None]  # (n, P): where it is shifted
    return {
        "wrong_bits_only": int((flawed & ~shifted).sum()),
        "doubled": int((steps.shift > 0).sum()),
        "skipped": int((steps.shift < 0).sum()),
        "local_bits": _mean((wrong * ~after).sum(1)),
        "shifted_bits": _mean((wrong * after).sum(1)),
        "shifts": [[int(by), int(step)] for by, step in zip(steps.shift, steps.start, strict=True) if by],
    }


def _mean(values: Tensor) -> float:
    return float(values.double().mean())


def _averages(measured: Measured) -> dict[str, float]:
    return {name: _mean(values) for name, values in measured.items()}


def _means(values: Tensor) -> list[float]:
    return [round(value, 6) for value in values.double().mean(0).tolist()]


def _interval(values: Tensor, least: float = -math.inf) -> list[float] | None:
    """The value as a list, as in JSON."""
    ends = normal(values)
    return None if ends is None else [max(least, end) for end in ends]
