"""Short sequences first, or all at random: every curriculum against uniform, on three tasks."""

import pandas as pd

from ntm_lab.studies.report.curriculum_page import draw, summarise
from ntm_lab.studies.report.curriculum_table import CURRICULA, SHORT_FIRST, TASKS, TESTED, compare, measure
from ntm_lab.studies.statistics import p_value
from ntm_lab.studies.study import MIN_SEEDS, TOO_FEW, Study, Verdict, outcome_under


def judge(table: pd.DataFrame) -> Verdict:
    """Whether curricula that begin with short sequences learn sooner than uniform: yes, no, or it depends.

    A run has learned when less than 3 % of the bits are wrong at a validation of all difficulties. Logrank tests in
    sequences and in seconds, of every curriculum against uniform, adjusted after Holm for the task. It holds on a task
    if some curriculum that begins short is sooner by one of the two; `outcome_under` combines the tasks.
    """
    sizes = table.groupby(["task", "curriculum"]).size()
    if len(sizes) < len(TASKS) * len(CURRICULA) or sizes.min() < MIN_SEEDS:
        return Verdict(TOO_FEW, f"An arm has fewer than {MIN_SEEDS} seeds.")
    found = compare(table)
    better = found[found["curriculum"].isin(SHORT_FIRST)].groupby("task")["sooner"].any()
    told = "; ".join(f"on {TASKS[task]} {_told(found[found['task'] == task])}" for task in TASKS)
    return Verdict(
        outcome_under(better),
        f"The {len(SHORT_FIRST)} curricula that begin with short sequences, against uniform: {told}. There are"
        f" {sizes.min()} seeds of each.",
    )


def _told(found: pd.DataFrame) -> str:
    """The result on one task, in words."""
    short = found[found["curriculum"].isin(SHORT_FIRST)]
    counts = [
        f"{int(here['sooner'].sum())} learned sooner and {int(here['later'].sum())} later in {unit}"
        for unit, here in ((unit, short[short["unit"] == unit]) for unit in TESTED)
    ]
    gain = found[(found["curriculum"] == "prediction_gain") & (found["unit"] == "sequences")].iloc[0]
    word = "sooner" if gain["sooner"] else "later" if gain["later"] else "neither"
    return f"{', '.join(counts)} (prediction gain {word} in sequences, {p_value(gain['p'])})"


STUDY = Study(
    name="curriculum",
    claim='"Does starting with shorter sequences and then later training on longer sequences offer an improvement over '
    'pure randomization?"',
    sweeps=("curriculum_copy", "curriculum_repeat_copy", "curriculum_associative_recall"),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
)
