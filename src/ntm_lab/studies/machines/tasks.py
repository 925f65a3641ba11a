"""Every machine on the tasks of Graves et al. 2014: what it learns, how soon, and how far it holds."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ntm_lab.studies.contrasts import Contrast, Times, contrasts_of_times
from ntm_lab.studies.drawing import Style, draw_survival, legend_above, progress_scale, styles
from ntm_lab.studies.results import read_runs
from ntm_lab.studies.statistics import p_value, spread_of_times, success_rate
from ntm_lab.studies.study import MIN_SEEDS, NOT_REPRODUCED, REPRODUCED, TOO_FEW, Study, Verdict, verdict_of_parts
from ntm_lab.tasks.difficulties import in_words

MACHINES = {"ntm": "NTM", "dnc": "DNC", "mann": "MANN", "lstm": "LSTM"}
TASKS = {
    "copy": "copy",
    "repeat_copy": "repeat copy",
    "associative_recall": "associative recall",
    "sort": "priority sort",
    "ngrams": "n-grams",
}
NEVER_SOLVED = ("sort", "ngrams")  # nobody gets every bit of them right


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """A row for every run and difficulty that it was tested at.

    Columns: ``task``, ``machine``, ``seed``, ``parameters``, ``sequences`` and ``seconds`` of training,
    ``sequences_to_solve`` and ``seconds_to_solve`` (missing where it was not), ``difficulty`` in words, and ``bits``:
    the wrong bits per sequence or, where even the perfect answer has a cost, the bits above that.
    """
    rows: list[dict[str, Any]] = []
    kept = ["seed", "parameters", "sequences", "seconds", "sequences_to_solve", "seconds_to_solve"]
    for run in read_runs(folders["tasks"]).to_dict("records"):
        about = {"task": run["choices.task"], "machine": run["choices.model"]} | {name: run[name] for name in kept}
        for row in run["test"]:
            above = row["cost_bits"] - row["optimum_bits"] if "optimum_bits" in row else row["wrong_bits"]
            rows.append(about | {"difficulty": in_words(row["difficulty"]), "bits": above})
    return pd.DataFrame(rows)


def runs_of(table: pd.DataFrame, task: str, arm: str, arms: str = "machine") -> pd.DataFrame:
    """A row for every run of an arm on a task; ``arms`` is the column that names the arm."""
    here = table[(table["task"] == task) & (table[arms] == arm)]
    return here.drop_duplicates("seed")


def compare(table: pd.DataFrame) -> dict[str, Contrast]:
    """DNC against NTM on every task that can be solved, by the sequences until it was."""
    pairs = {}
    for task in TASKS:
        dnc, ntm = (runs_of(table, task, machine) for machine in ("dnc", "ntm"))
        if task not in NEVER_SOLVED and len(dnc) and len(ntm):
            pairs[task] = (times_of(dnc), times_of(ntm))
    return contrasts_of_times(pairs)


def times_of(runs: pd.DataFrame) -> Times:
    return runs["sequences_to_solve"], runs["sequences"]


def judge(table: pd.DataFrame) -> Verdict:
    """Is the DNC solved after fewer sequences than the NTM?

    On each task by a logrank test, adjusted after Holm, at a level of 5 %; what that makes of the claim:
    `verdict_of_parts`.
    """
    found = compare(table)
    seeds = min((len(runs_of(table, task, machine)) for task in found for machine in ("dnc", "ntm")), default=0)
    if seeds < MIN_SEEDS:
        return Verdict(TOO_FEW, f"There are {seeds} seeds of some task and machine, and it takes {MIN_SEEDS}.")
    parts = {TASKS[task]: REPRODUCED if each.first_lower else NOT_REPRODUCED for task, each in found.items()}
    said = "; ".join(_said(table, task, contrast) for task, contrast in found.items())
    return verdict_of_parts(parts, f"{said[:1].upper()}{said[1:]}. There are {seeds} seeds of each.")


def _said(table: pd.DataFrame, task: str, contrast: Contrast) -> str:
    seconds = (_half(runs_of(table, task, machine)["seconds_to_solve"]) for machine in ("dnc", "ntm"))
    return (
        f"{TASKS[task]}: half of the DNCs after {_number(contrast.first)} sequences, of the NTMs after"
        f" {_number(contrast.second)} ({p_value(contrast.p)}); in seconds {' against '.join(seconds)}"
    )


def _half(seconds: pd.Series) -> str:
    """When half of the runs were solved."""
    return _number(float(seconds.fillna(math.inf).median()), 1)


def _number(value: float, digits: int = 0) -> str:
    return f"{value:,.{digits}f}" if value < math.inf else "–"


def draw(table: pd.DataFrame) -> Figure:
    """The share of runs that are not solved yet: a panel for every task, a line for every machine."""
    tasks = [task for task in TASKS if task in set(table["task"]) and task not in NEVER_SOLVED]
    return draw_unsolved(table, tasks, MACHINES, styles(MACHINES, {machine: machine for machine in MACHINES}))


def draw_unsolved(
    table: pd.DataFrame,
    tasks: Sequence[str],
    names: Mapping[str, str],
    style: Mapping[str, Style],
    arms: str = "machine",
) -> Figure:
    """The share of runs that are not solved yet: a panel for every task, a line for every arm (of column ``arms``)."""
    figure = Figure((4.2 * len(tasks), 3.8), dpi=110, layout="constrained")
    for axis, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
        for arm, name in names.items():
            runs = runs_of(table, task, arm, arms)
            if len(runs):
                draw_survival(axis, *times_of(runs), style[arm], name)
        axis.set_title(TASKS[task])
        progress_scale(axis, "sequences", table.loc[table["task"] == task, "sequences"])
    legend_above(figure)
    return figure


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A line for every task and machine: how many runs were solved and after how much, and how far they hold."""
    rows = []
    for task, title in TASKS.items():
        for machine, name in MACHINES.items():
            runs = runs_of(table, task, machine)
            if runs.empty:
                continue
            tested = table[(table["task"] == task) & (table["machine"] == machine)]
            medians = tested.groupby("difficulty", sort=False)["bits"].median()
            rows.append(
                {
                    "task": title,
                    "machine": name,
                    "parameters": f"{runs['parameters'].iloc[0]:,}",
                    "solved": str(success_rate(runs["sequences_to_solve"].notna())),
                    "after sequences": spread_of_times(*times_of(runs), 0),
                    "after seconds": spread_of_times(runs["seconds_to_solve"], runs["seconds"], 1),
                    "wrong bits (n-grams: bits above the optimum), medians": "; ".join(
                        f"{difficulty}: {bits:.3g}" for difficulty, bits in medians.items()
                    ),
                }
            )
    return pd.DataFrame(rows)


STUDY = Study(
    name="tasks",
    claim="The DNC learns faster than the NTM: it is solved after fewer sequences.",
    sweeps=("tasks",),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
    page="machines",
)
