"""NTMs "do not generalise beyond about twice their lengths": is that the machine, or its training?"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ntm_lab.studies.drawing import GREY, legend_above
from ntm_lab.studies.field.arms import (
    ARMS,
    TASKS,
    chosen,
    draw_learning,
    groups,
    learned,
    percent,
    present,
    style_of,
    tested,
    unfair,
)
from ntm_lab.studies.statistics import success_rate
from ntm_lab.studies.study import Study, Verdict, outcome_of_every, outcome_of_most, verdict_of_parts

CASE = ("task", "trained")
MULTIPLES = (2, 5, 10, 50)
TWICE, FAR = 2, 5  # what the claim grants, and what it denies
HOLDS = 0.9  # of the answers are right
USUAL = ("usual_graves", "usual_adam")
OURS = ("ntm", "dnc")
DENIED = ("copy", "reverse")  # the tasks that the claim's figures are of


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """As `tested`, with ``trained``, the longest sequence of training, and ``times``, how many times that is tested."""
    table = tested(folders.values())
    axis = [name for name in ("length", "items") if name in table]
    size = table[axis].bfill(axis=1).iloc[:, 0]
    return table.assign(trained=table["hardest"], times=(size / table["hardest"]).astype(int)).drop(columns=axis)


def holding(table: pd.DataFrame, arm: str, task: str, trained: int, times: int) -> pd.Series:
    """Whether each run of a model is at least 90 % right at ``times`` the trained lengths."""
    here = (table["arm"] == arm) & (table["task"] == task) & (table["trained"] == trained)
    return table.loc[here & (table["times"] == times), "right"] >= HOLDS


def judge(table: pd.DataFrame) -> Verdict:
    """Do NTMs fail at five times their lengths: the usual ones, and ours?

    A run holds where at least 90 % of its answers are right. Of each kind the claim is reproduced if on copy and on
    reverse, at both lengths of training, most seeds do not hold at five times; `verdict_of_parts`. A usual NTM that was
    trained for less time than ours counts for nothing.
    """
    table = chosen(table, (*CASE, "arm"))
    parts, said = {}, []
    for arm in (*USUAL, *OURS):
        rates = {
            (task, trained): success_rate(~holds)
            for task in present(table, "task", DENIED)
            for trained in sorted({*table["trained"]})
            if len(holds := holding(table, arm, task, trained, FAR))
            and not (arm in USUAL and unfair(table[table["trained"] == trained], task, "ntm", [arm]))
        }
        if rates:
            parts[ARMS[arm]] = outcome_of_every(outcome_of_most(rate) for rate in rates.values())
            told = ", ".join(
                f"{TASKS[task]} from {trained} {rate.successes} of {rate.trials}"
                for (task, trained), rate in rates.items()
            )
            said.append(f"{ARMS[arm]}: {told}")
    return verdict_of_parts(
        parts, f"Seeds with less than {HOLDS:.0%} right at {FAR} times their lengths: {'; '.join(said)}."
    )


def draw(table: pd.DataFrame) -> Figure:
    """Right answers against the multiple of the trained lengths, a panel for every task and length of training; and how
    soon each model learned."""
    table = chosen(table, (*CASE, "arm"))
    tasks, lengths = present(table, "task", TASKS), sorted({*table["trained"]})
    style = style_of(table)
    figure = Figure((3.2 * len(tasks) + 3.2, 6.6), dpi=110, layout="constrained")
    panels = figure.subplots(2, len(tasks) + 1, squeeze=False)  # the last column: learning
    for row, trained in zip(panels, lengths, strict=False):
        for axis, task in zip(row, tasks, strict=False):
            here = table[(table["task"] == task) & (table["trained"] == trained)]
            for arm, line in style.items():
                runs = here[here["arm"] == arm]
                if len(runs):
                    middle = runs.groupby("times")["right"].median()
                    axis.plot(middle.index, middle, label=ARMS[arm], **line)
            axis.set(
                title=f"{TASKS[task]}, up to {trained}", xscale="log", ylim=(0.4, 1.02), xlabel="times the lengths"
            )
            axis.set_xticks(MULTIPLES, [f"{multiple}" for multiple in MULTIPLES])
            axis.minorticks_off()
            axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
            axis.grid(color=GREY, linewidth=0.6)
        row[0].set_ylabel("right answers, median")
    draw_learning(panels[:, -1], table.drop_duplicates([*CASE, "arm", "seed"]), style)
    legend_above(figure)
    return figure


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A line for every task, length of training and model: percent right at each multiple, median with quartiles."""
    table = chosen(table, (*CASE, "arm"))
    rows = []
    lengths = sorted({*table["trained"]})
    for (task, trained, arm), here in groups(table, task=TASKS, trained=lengths, arm=ARMS):
        runs = here.drop_duplicates("seed")
        rows.append(
            {
                "task": f"{TASKS[task]}, up to {trained}",
                "model": ARMS[arm],
                **{
                    f"× {times}": percent(of_times["right"]) if len(of_times) else None
                    for times in MULTIPLES
                    for of_times in [here[here["times"] == times]]
                },
                "learned": learned(runs),
                "rate": f"{runs['rate'].iloc[0]:g}",
                "sequences": f"{runs['sequences'].median():,.0f}",
                "seconds": f"{runs['seconds'].median():.1f}",
            }
        )
    return pd.DataFrame(rows)


STUDY = Study(
    name="undertrained",
    claim="NTMs do not generalise beyond about twice their lengths: trained on copy up to length 10, 40.1 % is right "
    "at 50 and 11.8 % at 100, on reverse 61.1 % at 50, and a DNC reaches 2.3 times its lengths.",
    sweeps=("undertrained", "undertrained_usual", "undertrained_others"),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
    page="field",
)
