"""The repairs of Csordás and Schmidhuber 2019, each alone: does a DNC learn sooner with them?"""

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ntm_lab.studies.contrasts import Contrast, contrasts_of_times
from ntm_lab.studies.drawing import styles
from ntm_lab.studies.machines.tasks import TASKS, draw_unsolved, runs_of, times_of
from ntm_lab.studies.results import read_runs
from ntm_lab.studies.statistics import p_value, spread, spread_of_times, success_rate
from ntm_lab.studies.study import MIN_SEEDS, TOO_FEW, Study, Verdict, outcome_under, verdict_of_parts

ARM = "choices.experiment/machines/repairs"
NONE = "none"
REPAIRS = {"masking": "masked look-ups", "deallocation": "de-allocation", "link_sharpness": "sharp links"}
ARMS = {NONE: "as published"} | REPAIRS


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """A row for every run.

    Columns: ``task``, ``arm``, ``seed``, ``sequences`` of training, ``sequences_to_solve`` (missing where it was not),
    and ``wrong_bits`` at the hardest difficulty of training.
    """
    runs = read_runs(folders["repairs"])
    return pd.DataFrame(
        {
            "task": runs["choices.task"],
            "arm": runs[ARM],
            "seed": runs["seed"],
            "sequences": runs["sequences"],
            "sequences_to_solve": runs["sequences_to_solve"],
            "wrong_bits": [test[0]["wrong_bits"] for test in runs["test"]],
        }
    )


def compare(table: pd.DataFrame) -> dict[tuple[str, str], Contrast]:
    """Every repair against none, on every task, by the sequences until it was solved."""
    return contrasts_of_times(
        {
            (repair, task): (times_of(runs_of(table, task, repair, "arm")), times_of(runs_of(table, task, NONE, "arm")))
            for repair in REPAIRS
            for task in _tasks(table)
        }
    )


def _tasks(table: pd.DataFrame) -> list[str]:
    return [*dict.fromkeys(table["task"])]


def judge(table: pd.DataFrame) -> Verdict:
    """Is a DNC solved after fewer sequences with a repair than without any?

    On each task by a logrank test, adjusted after Holm for all repairs and tasks, at a level of 5 %; of each repair
    `outcome_under` the tasks, of all of them `verdict_of_parts`.
    """
    seeds = min(len(runs_of(table, task, arm, "arm")) for task in _tasks(table) for arm in ARMS)
    if seeds < MIN_SEEDS:
        return Verdict(TOO_FEW, f"There are {seeds} seeds of some task and arm, and it takes {MIN_SEEDS}.")
    found = compare(table)
    parts = {
        name: outcome_under(found[repair, task].first_lower for task in _tasks(table))
        for repair, name in REPAIRS.items()
    }
    said = "; ".join(_said(task, repair, contrast) for (repair, task), contrast in found.items())
    return verdict_of_parts(parts, f"Sequences until half of the runs are solved, against none: {said}. {seeds} seeds.")


def _said(task: str, repair: str, contrast: Contrast) -> str:
    first, second = (f"{median:,.0f}" if median < math.inf else "–" for median in (contrast.first, contrast.second))
    return f"{REPAIRS[repair]} on {TASKS[task]} {first} against {second} ({p_value(contrast.p)})"


def draw(table: pd.DataFrame) -> Figure:
    """The share of runs that are not solved yet: a panel for every task, a line for every arm."""
    return draw_unsolved(table, _tasks(table), ARMS, styles(ARMS), "arm")


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A line for every task and arm, with the logrank test against none."""
    found = compare(table)
    rows = []
    for task in _tasks(table):
        for arm, name in ARMS.items():
            runs = runs_of(table, task, arm, "arm")
            rows.append(
                {
                    "task": TASKS[task],
                    "DNC": name,
                    "solved": str(success_rate(runs["sequences_to_solve"].notna())),
                    "after sequences": spread_of_times(*times_of(runs), 0),
                    "wrong bits": spread(runs["wrong_bits"], 3),
                    "against none (Holm)": "" if arm == NONE else p_value(found[arm, task].p),
                }
            )
    return pd.DataFrame(rows)


STUDY = Study(
    name="repairs",
    claim="The repairs help: masked look-ups, de-allocation and sharp links each make a DNC learn sooner "
    "(Csordás, Schmidhuber 2019).",
    sweeps=("repairs",),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
    page="machines",
)
