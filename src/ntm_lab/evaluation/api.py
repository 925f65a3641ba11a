"""Evaluation for a notebook: difficulties by keyword, and results shown as a table."""

import copy
from collections.abc import Iterable, Sequence
from html import escape
from itertools import product
from typing import Any

from ntm_lab.evaluation.fresh import evaluate as evaluate_all
from ntm_lab.evaluation.table import table
from ntm_lab.tasks.answers import measures_of
from ntm_lab.tasks.base import check_axes
from ntm_lab.tasks.difficulties import hardest
from ntm_lab.types import Measure, SequenceModel, Task


class Results(list[dict[str, Any]]):
    """Rows of `ntm_lab.evaluation.evaluate` with details, shown as a table."""

    def __repr__(self) -> str:
        return table(self) if self else "no results"

    def _repr_html_(self) -> str:
        """Every measure by difficulty, with its 95 % interval."""
        if not self:
            return repr(self)
        measures = measures_of(self[0])
        lines = [_line("th", [*self[0]["difficulty"], "n", *(measure.words for measure in measures)])]
        for row in self:
            cells = [_cell(row, measure) for measure in measures]
            lines.append(_line("td", [*map(str, row["difficulty"].values()), str(row["n"]), *cells]))
        return f"<table>{''.join(lines)}</table>"


def _cell(row: dict[str, Any], measure: Measure) -> str:
    form = ".1%" if measure.kind == "exact" else ".3f"
    interval = row[measure.interval]
    ends = "" if interval is None else f" ({interval[0]:{form}} … {interval[1]:{form}})"
    return f"{row[measure.name]:{form}}{ends}"


def _line(tag: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def evaluate(
    model: SequenceModel,
    task: Task,
    *,
    sequences: int = 1000,
    seed: int = 2,
    slots: int | None = None,
    **difficulty: int | Sequence[int],
) -> Results:
    """How well a model does on fresh sequences: ``evaluate(model, task, length=[20, 40, 120])`` is a row for each.

    Args:
        model: it is evaluated in the mode of `torch.nn.Module.eval`, and is left as it was.
        task: such as ``ntm_lab.tasks.Copy()``, a run's ``task``, or that of `ntm_lab.zoo.find.find`.
        sequences: per difficulty.
        seed: of the sequences.
        slots: another number of memory slots than the model's own, where it allows that.
        difficulty: for every axis of the task one value or several; several axes with several values are a grid. An
            axis left out has its hardest value in training.

    Raises ValueError for an unknown axis, a value that the task does not allow, and slots that are not possible.
    """
    check_axes(difficulty, task)
    axes: dict[str, int | Sequence[int]] = {**hardest(task), **difficulty}
    values = [[*value] if isinstance(value, Iterable) else [value] for value in axes.values()]
    points = [dict(zip(axes, point, strict=True)) for point in product(*values)]
    if slots is not None:
        model = copy.deepcopy(model)
        model.resize(slots)
    modes = [(module, module.training) for module in model.modules()]
    try:
        return Results(evaluate_all(model.eval(), task, points, sequences, seed, details=True))
    finally:
        for module, training in modes:
            module.training = training
