"""Is it the recurrent controller that keeps an NTM from generalising? With probes of what it knows alone."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from sklearn.linear_model import Ridge
from torch import Tensor

from ntm_lab.evaluation import evaluate_ablations
from ntm_lab.nn import MemoryNetwork
from ntm_lab.studies.contrasts import Contrast, contrasts
from ntm_lab.studies.drawing import GREY, legend_above, styles
from ntm_lab.studies.field.arms import (
    ARM,
    ARMS,
    TASKS,
    answers,
    by_run,
    draw_learning,
    groups,
    learned,
    percent,
    present,
    tested,
)
from ntm_lab.studies.results import read_runs
from ntm_lab.studies.statistics import success_rate
from ntm_lab.studies.study import MIN_SEEDS, NOT_REPRODUCED, REPRODUCED, TOO_FEW, Study, Verdict, verdict_of_parts
from ntm_lab.tasks.answers import wrong_of
from ntm_lab.tasks.difficulties import hardest, seeded
from ntm_lab.types import Task
from ntm_lab.zoo.find import find

CONTROLLERS = {"feedforward": "feedforward", "recurrent": "recurrent", "lstm": "LSTM"}
SIDES = ("feedforward", "lstm")  # that are compared
MACHINES = ("ntm", "dnc")
BY = ("task", "arm", "controller")
SOLVED = 0.9
PROBED = 32  # sequences a probe is fitted to, and as many others it is tested on
BEYOND = 2  # times the trained length at which the probe is tested too


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """As `tested`, with the ``controller`` and three probes of every run.

    At the hardest length of training ``alone``, the share of right answers where the reads are 0 from the first answer
    on, and ``counts``, how well the place in the answer is a linear function of the controller's output: R², at least
    0, of ridge regression, on other sequences than it was fitted to. ``counts_beyond``: how well the same function says
    it at twice that length.
    """
    (folder,) = folders.values()
    table = tested([folder], controller="choices.controller")
    rows: list[dict[str, Any]] = []
    for run in read_runs(folder).to_dict("records"):
        _, _, task, model = find(run["run"])
        about = {"task": run["choices.task"], "arm": run[ARM], "controller": run["choices.controller"]}
        rows.append(about | {"seed": run["seed"]} | probe(model, task))
    return table.merge(pd.DataFrame(rows), on=[*BY, "seed"])


def probe(model: Any, task: Task) -> dict[str, float]:
    """The three probes of a trained machine."""
    point = hardest(task)
    blind = next(row for row in evaluate_ablations(model, task, [point], PROBED) if row["ablation"] == "reads zeroed")
    ((axis, length),) = point.items()
    seen, fresh, far = (
        _answering(model, task, {axis: value}, purpose)
        for value, purpose in ((length, "fit"), (length, "fresh"), (BEYOND * length, "far"))
    )
    line = Ridge().fit(*seen)  # least squares alone would make use of what hardly varies, and of its rounding
    return {
        "alone": 1 - blind[wrong_of(blind)] / answers(task, point),
        "counts": max(0.0, line.score(*fresh)),
        "counts_beyond": max(0.0, line.score(*far)),
    }


@torch.no_grad()
def _answering(model: MemoryNetwork, task: Task, point: Mapping[str, int], purpose: str) -> tuple[Tensor, Tensor]:
    """The controller's outputs at all scored steps (n, size), and the places of these steps (n,)."""
    batch = task.sample(PROBED, point, seeded(0, purpose))
    model = copy.deepcopy(model)
    model.backend = "reference"  # the others go from inputs to logits at once
    kept: list[Tensor] = []
    model.output.register_forward_pre_hook(lambda _, given: kept.append(given[0]))
    model(batch.inputs)
    (features,) = kept  # (T, B, size + R·W)
    hidden = features.transpose(0, 1)[batch.mask][:, : model.controller.size]
    return hidden.double(), batch.mask.cumsum(1)[batch.mask]


def of(runs: pd.DataFrame, task: str, machine: str, controller: str) -> pd.DataFrame:
    """The runs of a machine with a controller on a task."""
    here = (runs["task"] == task) & (runs["arm"] == machine) & (runs["controller"] == controller)
    return runs[here]


def compare(runs: pd.DataFrame) -> dict[tuple[str, str], Contrast]:
    """Wrong answers beyond the trained lengths, with the feedforward controller against the LSTM, by machine and task:
    Mann and Whitney's test, adjusted for all tasks of a machine.

    Each machine is a question of its own; adjusted for both together, five seeds of a side could never tell.
    """
    found: dict[tuple[str, str], Contrast] = {}
    for machine in MACHINES:
        pairs = {
            (machine, task): tuple(1 - of(runs, task, machine, one)["right"].to_numpy() for one in SIDES)
            for task in present(runs, "task", TASKS)
        }
        found |= contrasts(
            {key: (first, second) for key, (first, second) in pairs.items() if len(first) and len(second)}
        )
    return found


def judge(table: pd.DataFrame) -> Verdict:
    """Is less wrong beyond the trained lengths with a feedforward controller than with an LSTM?

    By Mann and Whitney's test, adjusted after Holm for the tasks of a machine, at a level of 5 %: a part for every
    machine and task, `verdict_of_parts`.
    """
    runs = by_run(table, BY)
    found = compare(runs)
    seeds = min((len(of(runs, task, arm, one)) for arm, task in found for one in SIDES), default=0)
    if seeds < MIN_SEEDS:
        return Verdict(TOO_FEW, f"There are {seeds} seeds of some task and controller, and it takes {MIN_SEEDS}.")
    parts = {
        f"{ARMS[machine]} on {TASKS[task]}": REPRODUCED if contrast.first_lower else NOT_REPRODUCED
        for (machine, task), contrast in found.items()
    }
    said = "; ".join(
        f"{ARMS[machine]} on {TASKS[task]} {1 - contrast.first:.1%} against {1 - contrast.second:.1%}"
        for (machine, task), contrast in found.items()
    )
    return verdict_of_parts(
        parts, f"Right beyond the trained lengths, feedforward against LSTM controller: {said}; {seeds} seeds."
    )


def draw(table: pd.DataFrame) -> Figure:
    """For every machine: right answers beyond the trained lengths, a dot for every run; how far the
    controller's own count holds; and how soon it learned."""
    runs = by_run(table, BY)
    tasks, machines = present(runs, "task", TASKS), present(runs, "arm", MACHINES)
    style = styles(CONTROLLERS)
    figure = Figure((15, 3.3 * len(machines) + 0.6), dpi=110, layout="constrained")
    for machine, (dots, probes, *curves) in zip(
        machines, figure.subplots(len(machines), 4, squeeze=False), strict=True
    ):
        for place, (controller, line) in enumerate(style.items()):
            for column, task in enumerate(tasks):
                here = of(runs, task, machine, controller)
                for axis, value in ((dots, here["right"]), (probes, here["counts_beyond"])):
                    across = column + 0.25 * (place - 1) + np.linspace(-0.06, 0.06, len(here))
                    axis.plot(across, value, "o", color=line["color"], markersize=4)
        for axis, title in (
            (dots, "right at lengths 41 to 500"),
            (probes, "count at length 80, R²"),
        ):
            axis.set_xticks(range(len(tasks)), [TASKS[task] for task in tasks])
            axis.set(title=f"{ARMS[machine]}: {title}", ylim=(-0.03, 1.03))
            axis.grid(axis="y", color=GREY, linewidth=0.6)
        draw_learning(curves, runs[runs["arm"] == machine], style, "controller", CONTROLLERS)
    legend_above(figure)
    return figure


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A line for every machine, task and controller."""
    runs = by_run(table, BY)
    rows = []
    for (machine, task, controller), here in groups(runs, arm=MACHINES, task=TASKS, controller=CONTROLLERS):
        rows.append(
            {
                "machine": ARMS[machine],
                "task": TASKS[task],
                "controller": CONTROLLERS[controller],
                "% right at 41 to 500": percent(here["right"]),
                f"seeds of at least {SOLVED:.0%}": str(success_rate(here["right"] >= SOLVED)),
                "learned its own lengths": learned(here),
                "% right without reads": percent(here["alone"]),
                "count, R² at 40": f"{here['counts'].median():.2f}",
                "count, R² at 80": f"{here['counts_beyond'].median():.2f}",
                "seconds": f"{here['seconds'].median():.1f}",
            }
        )
    return pd.DataFrame(rows)


STUDY = Study(
    name="controller",
    claim="It is the recurrent controller that keeps NTMs from generalising: without one they do (the argument of "
    "P-NTM, arXiv 2602.18508).",
    sweeps=("controller",),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
    page="field",
)
