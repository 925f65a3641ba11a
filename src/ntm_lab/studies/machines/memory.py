"""What a machine still knows when its memory fails it: by what it finds what it has stored."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ntm_lab.evaluation import ABLATIONS, evaluate_ablations
from ntm_lab.studies.drawing import GREY
from ntm_lab.studies.machines.showings import SWEEP
from ntm_lab.studies.machines.tasks import MACHINES, NEVER_SOLVED, TASKS
from ntm_lab.studies.results import read_runs
from ntm_lab.studies.statistics import Rate, success_rate
from ntm_lab.studies.study import Study, Verdict, outcome_of_most, verdict_of_parts
from ntm_lab.tasks.answers import wrong_of
from ntm_lab.tasks.difficulties import hardest
from ntm_lab.zoo.find import find

ONE_SHOT = "one_shot"
TITLES = TASKS | {ONE_SHOT: "one-shot"}
SEQUENCES = 100  # that every run is tested on
KNOWS = 0.5  # of what guessing gets wrong has to be right, or there is nothing to be lost
LOST = 0.5  # of what a model knows: keeping less counts as losing it


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """A row for every run with a memory that knows its task, and every ablation.

    Columns: ``task``, ``machine``, ``seed``, ``ablation``; ``wrong``, the wrong answers per sequence at the hardest
    difficulty of training; and ``kept``, the share of what the intact model knows, which is how far its wrong answers
    are below chance.

    Raises ValueError if no run knows its task.
    """
    rows: list[dict[str, Any]] = []
    for run in _runs(folders):
        _, _, task, model = find(run["run"])
        if model.slots is None:
            continue
        about = {"task": run["choices.task"], "machine": run["choices.model"], "seed": run["seed"]}
        found = evaluate_ablations(model, task, [hardest(task)], SEQUENCES, details=True)
        name = wrong_of(found[0])
        chance, intact = found[0]["chance"][name], found[0][name]
        if chance - intact >= KNOWS * chance:
            rows += [
                about
                | {"ablation": row["ablation"], "wrong": row[name], "kept": (chance - row[name]) / (chance - intact)}
                for row in found
            ]
    if not rows:
        raise ValueError("memory: none of the runs has learned its task, so there is nothing to be taken away")
    return pd.DataFrame(rows)


def _runs(folders: Mapping[str, Path]) -> list[dict[Any, Any]]:
    """The runs of every machine by its recipe, on every task whose answers are right or wrong."""
    known = read_runs(folders["tasks"])
    episodes = read_runs(folders[SWEEP])
    known = known[~known["choices.task"].isin(NEVER_SOLVED)]
    episodes = episodes[episodes[f"choices.experiment/machines/{SWEEP}"].isin([*MACHINES])]
    return [*known.to_dict("records"), *episodes.to_dict("records")]


def lost(table: pd.DataFrame, task: str, machine: str, ablation: str) -> Rate | None:
    """How many runs lose most of what they know to an ablation; None where there are none."""
    here = (table["task"] == task) & (table["machine"] == machine) & (table["ablation"] == ablation)
    return success_rate(table.loc[here, "kept"] < LOST) if here.any() else None


def judge(table: pd.DataFrame) -> Verdict:
    """Do most DNCs lose what they know when their links are cut, and most MANNs when their reads are zeroed?

    Of each machine and task `outcome_of_most`, of all `verdict_of_parts`.
    """
    asked = [("dnc", task, "links cut") for task in TASKS] + [("mann", ONE_SHOT, "reads zeroed")]
    found = {each: rate for each in asked if (rate := lost(table, each[1], each[0], each[2]))}
    parts = {
        f"{MACHINES[machine]}, {TITLES[task]}": outcome_of_most(rate) for (machine, task, _), rate in found.items()
    }
    said = "; ".join(
        f"{MACHINES[machine]}, {TITLES[task]}, {ablation}: {rate} lose more than half of what they know"
        for (machine, task, ablation), rate in found.items()
    )
    return verdict_of_parts(parts, f"{said}.")


def _medians(table: pd.DataFrame) -> dict[tuple[str, str], dict[str, float]]:
    """The median share that is kept under every ablation, by task and machine; NaN under one that changes nothing."""
    names = [name for name in ABLATIONS if name != "intact" and name in set(table["ablation"])]
    return {
        (task, machine): {name: here.loc[here["ablation"] == name, "kept"].median() for name in names}
        for task in TITLES
        for machine in MACHINES
        if len(here := table[(table["task"] == task) & (table["machine"] == machine)])
    }


def draw(table: pd.DataFrame) -> Figure:
    """What is kept, as a field of numbers: ablations across, machines and tasks down."""
    medians = _medians(table)
    names = [*next(iter(medians.values()))]
    figure = Figure((1.6 + 1.3 * len(names), 1.3 + 0.45 * len(medians)), dpi=110, layout="constrained")
    axis = figure.subplots()
    axis.imshow([[*shares.values()] for shares in medians.values()], cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axis.set_facecolor(GREY)  # where an ablation changes nothing
    for row, shares in enumerate(medians.values()):
        for column, kept in enumerate(shares.values()):
            colour = "white" if kept > 0.6 else "black"
            axis.text(column, row, _percent(kept), ha="center", va="center", color=colour)
    axis.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names])
    axis.set_yticks(range(len(medians)), [f"{MACHINES[machine]}, {TITLES[task]}" for task, machine in medians])
    axis.set_title("Share of what it knows that a machine keeps, median over seeds")
    return figure


def _percent(share: float) -> str:
    """Nothing where an ablation changes nothing."""
    return "" if math.isnan(share) else f"{share:z.0%}"


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A line for every task and machine: the median share that is kept under each ablation."""
    rows = []
    for (task, machine), shares in _medians(table).items():
        seeds = table.loc[(table["task"] == task) & (table["machine"] == machine), "seed"].nunique()
        about = {"task": TITLES[task], "machine": MACHINES[machine], "runs": seeds}
        rows.append(about | {name: _percent(kept) for name, kept in shares.items()})
    return pd.DataFrame(rows)


STUDY = Study(
    name="memory",
    claim="A DNC goes along its links, and what a MANN knows of an episode is in its memory.",
    sweeps=("tasks", SWEEP),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
    page="machines",
)
