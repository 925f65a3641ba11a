"""What a machine still knows when its memory fails it: by what it finds what it has stored."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ntm_lab.evaluation import ABLATIONS, evaluate_ablations
from ntm_lab.studies.machines.showings import SWEEP
from ntm_lab.studies.machines.tasks import MACHINES, NEVER_SOLVED, TASKS
from ntm_lab.studies.results import read_runs
from ntm_lab.studies.statistics import Rate, success_rate
from ntm_lab.studies.study import Study, Verdict, outcome_of_most, verdict_of_parts
from ntm_lab.tasks.answers import measures_of
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
    """
    rows: list[dict[str, Any]] = []
    for run in _runs(folders):
        _, _, task, model = find(run["run"])
        if model.slots is None:
            continue
        about = {"task": run["choices.task"], "machine": run["choices.model"], "seed": run["seed"]}
        found = evaluate_ablations(model, task, [hardest(task)], SEQUENCES, details=True)
        name = next(measure.name for measure in measures_of(found[0]) if measure.kind == "wrong")
        chance, intact = found[0]["chance"][name], found[0][name]
        if chance - intact >= KNOWS * chance:
            rows += [
                about
                | {"ablation": row["ablation"], "wrong": row[name], "kept": (chance - row[name]) / (chance - intact)}
                for row in found
            ]
    return pd.DataFrame(rows, columns=["task", "machine", "seed", "ablation", "wrong", "kept"])


def _runs(folders: Mapping[str, Path]) -> Iterator[dict[str, Any]]:
    """Of every machine by its recipe, on every task whose answers are right or wrong."""
    for run in read_runs(folders["tasks"]).to_dict("records"):
        if run["choices.task"] not in NEVER_SOLVED:
            yield run
    for run in read_runs(folders[SWEEP]).to_dict("records"):
        if run[f"choices.experiment/machines/{SWEEP}"] in MACHINES:
            yield run


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


def _medians(table: pd.DataFrame) -> pd.DataFrame:
    """The median share that is kept: a row for every task and machine, a column for every ablation."""
    middle = table.pivot_table(index=["task", "machine"], columns="ablation", values="kept", aggfunc="median")
    order = [(task, machine) for task in TITLES for machine in MACHINES if (task, machine) in middle.index]
    return middle.loc[order, [name for name in ABLATIONS if name in middle and name != "intact"]]


def draw(table: pd.DataFrame) -> Figure:
    """What is kept, as a field of numbers: ablations across, machines and tasks down."""
    middle = _medians(table)
    figure = Figure((1.6 + 1.3 * middle.shape[1], 1.3 + 0.45 * len(middle)), dpi=110, layout="constrained")
    axis = figure.subplots()
    axis.imshow(middle.clip(0, 1), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, values in enumerate(middle.to_numpy()):
        for column, value in enumerate(values):
            if value == value:
                colour = "white" if value > 0.6 else "black"
                axis.text(column, row, f"{value:.0%}", ha="center", va="center", color=colour)
    axis.set_xticks(range(middle.shape[1]), [name.replace(" ", "\n") for name in middle])
    axis.set_yticks(range(len(middle)), [f"{MACHINES[machine]}, {TITLES[task]}" for task, machine in middle.index])
    axis.set_title("Kept of what is known, median over seeds")
    return figure


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A line for every task and machine: the median share that is kept under each ablation."""
    rows = []
    for (task, machine), values in _medians(table).iterrows():  # type: ignore[misc]
        here = table[(table["task"] == task) & (table["machine"] == machine)]
        shares = {str(name): "" if value != value else f"{value:.0%}" for name, value in values.items()}
        rows.append({"task": TITLES[task], "machine": MACHINES[machine], "runs": here["seed"].nunique()} | shares)
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
