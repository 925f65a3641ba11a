"""Collier and Beel 2018 (arXiv 1807.08518): does a network learn faster with a constant memory than with a learned or a
random one?

Their settings on their three tasks, from three kinds of initial memory. The full form is entirely theirs, and so is the
mark that a run has to come below: 0.1 wrong bits of the validation. Their runs take up to 1,000,000 sequences, so the
short form has shorter sequences and fewer slots, and its mark is half of the wrong bits of chance: the time to an early
stage of learning, not the time to solve.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import CensoredData

from ntm_lab.studies.contrasts import Times, contrasts_of_times
from ntm_lab.studies.drawing import bits_scale, draw_curves, draw_survival, legend_above, progress_scale, styles
from ntm_lab.studies.report.chance import chance
from ntm_lab.studies.results import read_curves, read_runs
from ntm_lab.studies.statistics import (
    LEVEL,
    NONE,
    logrank,
    median_time,
    p_value,
    spread_of_times,
    success_rate,
    time_to_event,
)
from ntm_lab.studies.study import MIN_SEEDS, NOT_REPRODUCED, REPRODUCED, TOO_FEW, Study, Verdict
from ntm_lab.tasks.difficulties import ladder
from ntm_lab.zoo.find import find

TASKS = {"copy": "copy", "repeat_copy": "repeat copy", "associative_recall": "associative recall"}
MEMORIES = {"constant": "constant, 1e-6", "learned": "learned, spread 0.03", "random": "random, spread 0.5"}
CLAIMED = {"copy": 3.5, "repeat_copy": 1.43, "associative_recall": 1.15}  # a learned memory's time, by a constant one's
CONVERGED = 0.1  # wrong bits per sequence: their mark
MARKS = {"short": "half of the wrong bits of chance", "full": "0.1 wrong bits"}
RANGES = ("lengths", "repeats", "items")  # of the tasks


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """A row for every validation of every run.

    Columns: ``form``; ``task``, its ``sizes``, ``memory`` and ``seed`` of the run; ``sequences``; ``wrong_bits`` of the
    validation, per sequence; ``chance`` and ``mark``, the wrong bits of chance and those to come below.
    """
    parts = []
    for folder in folders.values():
        runs = read_runs(folder).set_index("run")
        table = read_curves(folder, ["val/wrong_bits"])
        task, rungs = find(runs.index[0]).task, int(runs["data.validation_rungs"].iloc[0])  # of all runs
        guessing = chance(task, ladder(task, rungs))["wrong_bits"]
        parts.append(
            pd.DataFrame(
                {
                    "form": "full" if full else "short",
                    "task": table["run"].map(runs["choices.task"]),
                    "sizes": table["run"].map(runs.apply(_sizes, axis=1)),
                    "memory": table["run"].map(runs["choices.memory.init"]),
                    "seed": table["run"].map(runs["seed"]),
                    "sequences": table["sequences"],
                    "wrong_bits": table["value"],
                    "chance": guessing,
                    "mark": CONVERGED if full else guessing / 2,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _sizes(run: pd.Series) -> str:
    """``lengths 1 to 10, 32 slots``."""
    ranges = [(name, run[f"task.{name}"]) for name in RANGES if f"task.{name}" in run]
    return ", ".join([*(f"{name} {low} to {high}" for name, (low, high) in ranges), f"{run['memory.slots']} slots"])


def times_to_mark(table: pd.DataFrame) -> pd.DataFrame:
    """A row for every run: ``task``, ``memory``, ``seed``, the sequences at which a validation was ``first`` below the
    mark (NaN: never), and at which the run ``ended``."""
    rows = []
    for (task, memory, seed), run in table.groupby(["task", "memory", "seed"], sort=False):
        below = run.loc[run["wrong_bits"] < run["mark"], "sequences"]
        first = float(below.min()) if len(below) else math.nan
        rows.append(
            {"task": task, "memory": memory, "seed": seed, "first": first, "ended": float(run["sequences"].max())}
        )
    return pd.DataFrame(rows)


def judge(table: pd.DataFrame) -> Verdict:
    """On copy, does a constant memory come below the mark sooner than the next best, and can it be 3.5 times as soon?

    The next best is that of the other two whose median time is the shorter. Two logrank tests: of the times as they
    are, and of those of the next best against 3.5 times those of the constant memory, as claimed. Reproduced:
    constant is sooner (p < 0.05), and the next best not sooner than 3.5 times its times. Not reproduced: the next best
    is sooner than that (p < 0.05). Otherwise there were too few seeds.
    """
    times = times_to_mark(table)
    copy = {str(memory): runs for memory, runs in times[times["task"] == "copy"].groupby("memory")}
    counts = {memory: len(copy.get(memory, ())) for memory in MEMORIES}
    if min(counts.values()) < MIN_SEEDS:
        said = ", ".join(f"{count} of {memory}" for memory, count in counts.items())
        return Verdict(TOO_FEW, f"On copy there are {said} memory; it takes {MIN_SEEDS} of each.")

    data = {memory: _data(runs) for memory, runs in copy.items()}
    rival = min(("learned", "random"), key=lambda memory: _rank(data[memory]))
    claimed = _data(copy["constant"], CLAIMED["copy"])
    sooner, excluded = logrank(data["constant"], data[rival]), logrank(claimed, data[rival])
    facts = (
        f"On copy ({_first(table, 'copy', 'sizes')}) runs with a constant memory came below {_mark(table)} after"
        f" {_median(copy['constant'])} sequences in the median, with a {rival} one, the next best, after"
        f" {_median(copy[rival])}, {_ratio(data['constant'], data[rival])} times as many ({counts['constant']} and"
        f" {counts[rival]} seeds; logrank {p_value(sooner)})."
    )
    if excluded < LEVEL and _rank(data[rival]) < _rank(claimed):
        return Verdict(NOT_REPRODUCED, f"{facts} That it takes 3.5 times as many is excluded ({p_value(excluded)}).")
    if sooner < LEVEL and _rank(data["constant"]) < _rank(data[rival]):
        return Verdict(REPRODUCED, f"{facts} That it takes 3.5 times as many or more is not excluded.")
    return Verdict(TOO_FEW, f"{facts} Neither no difference nor 3.5 times as many can be excluded.")


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """For every task and memory: the runs that came below the mark, after how many sequences, and against the constant
    memory the ratio of times and the p-value of the logrank test, adjusted by Holm for all lines."""
    times = times_to_mark(table)
    arms = {(str(task), str(memory)): runs for (task, memory), runs in times.groupby(["task", "memory"])}
    pairs = {
        (task, memory): (_times(arms[task, "constant"]), _times(runs))
        for (task, memory), runs in arms.items()
        if memory != "constant" and (task, "constant") in arms
    }
    found = contrasts_of_times(pairs)
    rows = []
    for task, memory in ((task, memory) for task in TASKS for memory in MEMORIES if (task, memory) in arms):
        runs, told = arms[task, memory], (task, memory) in found
        rows.append(
            {
                "task": f"{TASKS[task]}, {_first(table, task, 'sizes')}",
                "memory": MEMORIES[memory],
                f"below {_mark(table)}": str(success_rate(runs["first"].notna())),
                "sequences until then": spread_of_times(runs["first"], runs["ended"], 0),
                "times constant": _ratio(_data(arms[task, "constant"]), _data(runs)) if told else "",
                "published": f"{CLAIMED[task]:g}" if memory == "learned" else "",
                "logrank, Holm": p_value(found[task, memory].p) if told else "",
            }
        )
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame) -> Figure:
    """For every task the wrong bits against sequences, and the share of runs that are not below the mark yet."""
    tasks = [task for task in TASKS if task in set(table["task"])]
    times = times_to_mark(table)
    figure = Figure((3.7 * max(2, len(tasks)), 6.0), dpi=100, layout="constrained")
    panels = figure.subplots(2, len(tasks), squeeze=False)
    style = styles(MEMORIES)
    for column, task in enumerate(tasks):
        above, below = panels[:, column]
        rows = table[table["task"] == task]
        for memory, curves in rows.rename(columns={"seed": "run", "wrong_bits": "value"}).groupby("memory", sort=False):
            draw_curves(above, curves, style[str(memory)], MEMORIES[str(memory)])
        for memory, runs in times[times["task"] == task].groupby("memory", sort=False):
            draw_survival(below, runs["first"], runs["ended"], style[str(memory)])
        above.axhline(rows["chance"].iloc[0], color="0.45", linewidth=1, label="chance")
        mark = {"color": "0.45", "linewidth": 1.5, "linestyle": (0, (1, 2))}
        above.axhline(rows["mark"].iloc[0], label=f"mark: {_mark(table)}", **mark)
        above.set_title(f"{TASKS[task]}\n{_first(table, task, 'sizes')}", fontsize="medium")
        if rows["form"].iloc[0] == "full":
            bits_scale(above)
        else:
            above.set_ylim(bottom=0)
        for panel in (above, below):
            progress_scale(panel, "sequences", [rows["sequences"].max()])
        above.set_xlabel("")
        below.set_ylabel("")
    panels[0, 0].set_ylabel("wrong bits per sequence")
    panels[1, 0].set_ylabel("runs not below the mark yet")
    legend_above(figure, columns=3)
    return figure


def _mark(table: pd.DataFrame) -> str:
    return MARKS[str(table["form"].iloc[0])]


def _first(table: pd.DataFrame, task: str, column: str) -> str:
    return str(table.loc[table["task"] == task, column].iloc[0])


def _times(runs: pd.DataFrame) -> Times:
    """The times until runs came below the mark."""
    return runs["first"], runs["ended"]


def _data(runs: pd.DataFrame, factor: float = 1.0) -> CensoredData:
    """The times of an arm, as if it took `factor` times as long."""
    return time_to_event(*(times * factor for times in _times(runs)))


def _rank(data: CensoredData) -> tuple[float, int]:
    """A key to sort arms: the shorter median first; if no median is reached, the arm with more runs below the mark."""
    median = median_time(data)
    return (math.inf if median is None else median), int(data.num_censored())


def _median(runs: pd.DataFrame) -> str:
    median = median_time(_data(runs))
    return f"more than {runs['ended'].min():,.0f}" if median is None else f"{median:,.0f}"


def _ratio(one: CensoredData, other: CensoredData) -> str:
    """The ratio of the medians, the other's over the first; a dash if one is not known."""
    first, second = median_time(one), median_time(other)
    return f"{second / first:.2f}" if first and second else NONE


STUDY = Study(
    name="collier2018",
    claim='"Networks with memory contents initialized to small constant values converge on average 2 times faster than '
    'the next best memory contents initialization scheme" (Collier and Beel 2018, abstract); on copy 3.5 times',
    sweeps=("collier2018_copy", "collier2018_repeat_copy", "collier2018_associative_recall"),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
)
