"""The table of `curriculum`, and every curriculum compared with uniform."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ntm_lab.studies.contrasts import Times, contrasts_of_times
from ntm_lab.studies.report.chance import chance
from ntm_lab.studies.report.learning import UNITS, read_learning
from ntm_lab.tasks.difficulties import in_words
from ntm_lab.types import Task
from ntm_lab.zoo.find import find

TASKS = {"copy": "copy", "repeat_copy": "repeat copy", "associative_recall": "associative recall"}
SHORT_FIRST = {
    "growing": "growing",
    "look_back": "look back",
    "look_back_and_forward": "look back and forward",
    "combined": "combined",
}
CURRICULA = {"uniform": "uniform", **SHORT_FIRST, "prediction_gain": "prediction gain", "fixed": "hardest only"}
TESTED = ("sequences", "seconds")  # steps are sequences by the size of a batch, which is the same for all


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """A row for every run.

    Columns: ``task``, ``curriculum``, ``seed``; until it learned (`read_learning`; NaN: never) ``learned_sequences``,
    ``learned_steps`` and ``learned_seconds``, and ``ended_…`` of the run in the same units; ``solved``; and on fresh
    sequences after training the share of wrong bits, ``hardest_error`` of the hardest difficulty of training, and
    ``beyond_error`` of one beyond it, which are ``hardest`` and ``beyond`` in words.
    """
    parts = []
    for folder in folders.values():
        runs = read_learning(folder)
        task = find(runs["run"].iloc[0]).task
        tests = pd.DataFrame([_errors(rows, task) for rows in runs["test"]])
        about = {"task": runs["choices.task"], "curriculum": runs["choices.curriculum"], "seed": runs["seed"]}
        learned = {f"learned_{unit}": runs[f"{unit}_to_learn"] for unit in UNITS}
        ended = {f"ended_{unit}": runs[unit] for unit in UNITS}
        parts.append(pd.concat([pd.DataFrame(about | learned | ended | {"solved": runs["solved"]}), tests], axis=1))
    return pd.concat(parts, ignore_index=True)


def _errors(rows: list[dict[str, Any]], task: Task) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, row in zip(("hardest", "beyond"), rows, strict=True):
        share = row["wrong_bits"] / chance(task, [row["difficulty"]])["cost_bits"]
        values |= {name: in_words(row["difficulty"]), f"{name}_error": share}
    return values


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """Every curriculum but uniform against uniform: a row for each task, curriculum and unit of `TESTED`.

    Columns: ``task``, ``curriculum``, ``unit``; ``p`` of the logrank test, adjusted after Holm for all of a task; and
    ``sooner`` and ``later``, whether it learned sooner or later than uniform at a level of 5 %, by the order of most
    pairs of runs.
    """
    rows = []
    for task, runs in by_task(table):
        arms = {str(name): arm for name, arm in runs.groupby("curriculum")}
        pairs = {
            (name, unit): (times_of(arms[name], unit), times_of(arms["uniform"], unit))
            for name in CURRICULA
            if name in arms and name != "uniform"
            for unit in TESTED
        }
        for (name, unit), contrast in contrasts_of_times(pairs).items():
            told = {"sooner": contrast.first_lower, "later": contrast.second_lower}
            rows.append({"task": task, "curriculum": name, "unit": unit, "p": contrast.p} | told)
    return pd.DataFrame(rows)


def by_task(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The runs of every task that there are, in the order of `TASKS`."""
    return [(task, runs) for task in TASKS if len(runs := table[table["task"] == task])]


def times_of(runs: pd.DataFrame, unit: str) -> Times:
    """The times until runs learned."""
    return runs[f"learned_{unit}"], runs[f"ended_{unit}"]
