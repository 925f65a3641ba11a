"""Formal languages of the Chomsky hierarchy: what each model learns to do at lengths never trained."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ntm_lab.studies.drawing import legend_above
from ntm_lab.studies.field.arms import (
    ARMS,
    TASKS,
    by_run,
    chosen,
    draw_learning,
    groups,
    learned,
    percent,
    present,
    scores,
    style_of,
    tested,
    unfair,
)
from ntm_lab.studies.statistics import success_rate
from ntm_lab.studies.study import Study, Verdict, outcome_of_every, outcome_of_most, verdict_of_parts

REGULAR = ("parity", "even_pairs", "cycle_navigation", "modular_arithmetic")
SOLVED = 0.9  # of the answers, over all lengths tested
WITHOUT_MEMORY = ("lstm", "xlstm", "deltanet", "mamba2", "transformer", "transformer_randomised")


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """As `tested`: a row for every run and length, 41 to 500."""
    return tested(folders.values())


def judge(table: pd.DataFrame) -> Verdict:
    """Is what is beyond regular solved by most NTMs, and by no model without a memory?

    Solved: at least 90 % right, over the lengths tested. For each language two parts: whether most NTMs solve it,
    and whether each model without a memory, by its chosen rate, fails in most seeds; `verdict_of_parts`. A model that
    was trained for less time than the NTM counts for nothing.
    """
    runs = by_run(chosen(table))
    parts, said = {}, []
    for task in present(runs, "task", TASKS):
        if task in REGULAR or scores(runs, task, "ntm").empty:
            continue
        others = [arm for arm in WITHOUT_MEMORY if len(scores(runs, task, arm))]
        short = unfair(runs, task, "ntm", others)
        solved = success_rate(scores(runs, task, "ntm") >= SOLVED)
        failed = {arm: success_rate(scores(runs, task, arm) < SOLVED) for arm in others if arm not in short}
        parts[f"NTM on {TASKS[task]}"] = outcome_of_most(solved)
        parts[f"no other on {TASKS[task]}"] = outcome_of_every(outcome_of_most(rate) for rate in failed.values())
        fails = ", ".join(
            f"{ARMS[arm]} {rate.trials - rate.successes} of {rate.trials}" for arm, rate in failed.items()
        )
        left_out = f"; trained for less time and left out: {', '.join(ARMS[arm] for arm in short)}" if short else ""
        said.append(f"{TASKS[task]}: solved by {solved} NTMs; {fails or 'no other'}{left_out}")
    return verdict_of_parts(parts, f"At least {SOLVED:.0%} right at lengths 41 to 500: {'. '.join(said)}.")


def draw(table: pd.DataFrame) -> Figure:
    """Right answers beyond the trained lengths, the median of each model and language as a number; and how soon each
    learned, by sequences and by seconds."""
    runs = by_run(chosen(table))
    arms, tasks = present(runs, "arm", ARMS), present(runs, "task", TASKS)
    figure = Figure((12, 4 + 0.4 * len(tasks)), dpi=110, layout="constrained")
    field, *curves = figure.subplots(1, 3, width_ratios=(2, 1, 1))
    medians = [[scores(runs, task, arm).median() for arm in arms] for task in tasks]
    field.imshow(medians, cmap="Blues", vmin=0.3, vmax=1, aspect="auto")
    for row, shares in enumerate(medians):
        for column, share in enumerate(shares):
            if share == share:
                field.text(
                    column, row, f"{share:.0%}", ha="center", va="center", color="white" if share > 0.7 else "black"
                )
    field.set_xticks(range(len(arms)), [ARMS[arm] for arm in arms], rotation=40, ha="right")
    field.set_yticks(range(len(tasks)), [TASKS[task] for task in tasks])
    field.set_title("right at lengths 41 to 500, median")
    draw_learning(curves, runs, style_of(runs))
    legend_above(figure)
    return figure


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A line for every language and model: median with quartiles, the share of seeds that solve it, and the best seed,
    which is what was published."""
    runs = by_run(chosen(table))
    rows = []
    for (task, arm), here in groups(runs, task=TASKS, arm=ARMS):
        right = here["right"]
        rows.append(
            {
                "language": TASKS[task],
                "model": ARMS[arm],
                "% right at 41 to 500": percent(right),
                f"seeds of at least {SOLVED:.0%}": str(success_rate(right >= SOLVED)),
                "best seed": f"{100 * right.max():.1f}",
                "learned its own lengths": learned(here),
                "rate": f"{here['rate'].iloc[0]:g}",
                "parameters": f"{here['parameters'].iloc[0]:,}",
                "seconds": f"{here['seconds'].median():.1f}",
            }
        )
    return pd.DataFrame(rows)


STUDY = Study(
    name="hierarchy",
    claim="What is beyond regular languages takes a memory with a structure (Delétang et al. 2022). Their table has a "
    "tape machine that is told the length of the input and no NTM: an NTM, which is told nothing, learns reverse and "
    "duplicate from lengths 1 to 40, and no model without a memory does.",
    sweeps=("hierarchy", "hierarchy_others", "hierarchy_faster"),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
    page="field",
)
