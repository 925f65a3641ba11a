"""How long is a state held, and does an NTM's sharpening correct what affine recurrences cannot?"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure

from ntm_lab.studies.contrasts import Contrast, contrasts
from ntm_lab.studies.drawing import GREY, legend_above
from ntm_lab.studies.field.arms import (
    ARM,
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
from ntm_lab.studies.results import read_runs
from ntm_lab.studies.statistics import Rate, success_rate
from ntm_lab.studies.study import (
    MIN_SEEDS,
    TOO_FEW,
    Study,
    Verdict,
    outcome_of_every,
    outcome_of_most,
    outcome_under,
    verdict_of_parts,
)
from ntm_lab.tasks.difficulties import seeded
from ntm_lab.types import Difficulty, SequenceModel, Task
from ntm_lab.zoo.find import find

AFFINE = ("deltanet", "mamba2")
SHARP, BLUNT = "ntm", "unsharpened"
HELD = 0.9  # of the answers are right
TRACED = 2  # sequences
HEADS = ("read_weighting", "write_weighting")


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """As `tested`, with ``steps``, the length of the test or how long nothing comes, and ``blur``, the entropy in bits
    of the weightings at the last step, a mean over the heads; missing where there are none.

    The task of a group is called by it, S3 or S5. Of permutations ``right`` counts every step of a test.
    """
    table = tested(folders.values(), group="task.group")
    table = table.assign(task=table["group"].fillna(table["task"]), steps=_steps(table).astype(int))
    blurs = pd.DataFrame([row for folder in folders.values() for row in _blurs(folder)])
    table = table.drop(columns=["group", *({"length", "wait"} & {*table})])
    return table.merge(blurs, how="left", on=["task", "arm", "rate", "seed", "steps"])


def _steps(table: pd.DataFrame) -> pd.Series:
    return table["wait"].fillna(table["length"]) if "wait" in table else table["length"]


def _blurs(folder: Path) -> list[dict[str, Any]]:
    """A row for every run and test of it."""
    rows = []
    for run in read_runs(folder).to_dict("records"):
        _, config, task, model = find(run["run"])
        name = config["task"].get("group", run["choices.task"])
        about = {"task": name, "arm": run[ARM], "rate": run["optimizer.lr"], "seed": run["seed"]}
        for row in run["test"]:
            point = row["difficulty"]
            rows.append(about | {"steps": point.get("wait", point["length"]), "blur": blur(model, task, point)})
    return rows


@torch.no_grad()
def blur(model: SequenceModel, task: Task, point: Difficulty) -> float | None:
    """The entropy in bits of a model's weightings at the last step, averaged over heads; None without any."""
    names = [name for name in HEADS if name in model.signals]
    if not names:
        return None
    batch = task.sample(TRACED, point, seeded(0, "blur"))
    traced = model.trace(batch.inputs, signals=names)
    last = torch.cat([traced[name][:, -1] for name in names], 1)  # (B, heads, N)
    entropy = torch.special.entr(last.clamp_min(0)).sum(-1)  # nats; rounding leaves weights just below 0
    return float(entropy.mean()) / math.log(2)


def held(table: pd.DataFrame, task: str, arm: str) -> Rate | None:
    """The share of a model's runs that are right at the longest test, among those that are at the trained lengths; None
    if there are none."""
    here = table[(table["task"] == task) & (table["arm"] == arm)].pivot(index="seed", columns="steps", values="right")
    known = here[here[here.columns.min()] >= HELD] if len(here) else here
    return success_rate(known[known.columns.max()] >= HELD) if len(known) else None


def compare(table: pd.DataFrame) -> dict[str, Contrast]:
    """Wrong answers of the NTM and of the one without sharpening at the longest test, by task: Mann and Whitney's test,
    adjusted for all."""
    last = table[table["steps"] == table["steps"].max()]
    pairs = {
        task: tuple(
            1 - last.loc[(last["task"] == task) & (last["arm"] == arm), "right"].to_numpy() for arm in (SHARP, BLUNT)
        )
        for task in present(table, "task", TASKS)
    }
    return contrasts({task: (first, second) for task, (first, second) in pairs.items() if len(first) and len(second)})


def judge(table: pd.DataFrame) -> Verdict:
    """Do affine recurrences lose what they hold, and does an NTM hold it by its sharpening?

    A run knows a task if at least 90 % is right at the lengths of training, and holds it if that is so at the longest
    test. An affine model loses it if most of its runs that know a task do not hold it, on every task that it was
    trained on for as long as the NTM. Sharpening holds it if less is wrong at the longest test than without it (Mann
    and Whitney, Holm, 5 %), `outcome_under` the tasks. `verdict_of_parts` makes the verdict of these parts.
    """
    table = chosen(table)
    parts, said = {}, []
    for arm in present(table, "arm", AFFINE):
        rates = {
            task: rate
            for task in present(table, "task", TASKS)
            if (rate := held(table, task, arm)) and not unfair(table, task, SHARP, [arm])
        }
        lost = (
            success_rate([False] * rate.successes + [True] * (rate.trials - rate.successes)) for rate in rates.values()
        )
        parts[f"{ARMS[arm]} loses it"] = outcome_of_every(map(outcome_of_most, lost)) if rates else TOO_FEW
    for arm in present(table, "arm", ARMS):
        rates = {task: rate for task in present(table, "task", TASKS) if (rate := held(table, task, arm))}
        told = ", ".join(f"{TASKS[task]} {rate.successes} of {rate.trials}" for task, rate in rates.items())
        said.append(f"{ARMS[arm]} {told or 'knows none'}")
    if found := compare(table):
        seeds = min(table.loc[table["arm"] == arm, "seed"].nunique() for arm in (SHARP, BLUNT))
        holds = outcome_under(contrast.first_lower for contrast in found.values())
        parts["sharpening holds it"] = TOO_FEW if seeds < MIN_SEEDS else holds
        said.append(
            "right with and without sharpening: "
            + ", ".join(f"{TASKS[task]} {1 - each.first:.1%} and {1 - each.second:.1%}" for task, each in found.items())
        )
    steps = int(table["steps"].max())
    return verdict_of_parts(
        parts, f"Runs that hold a task to {steps:,} steps, of those that know it: {'; '.join(said)}."
    )


def draw(table: pd.DataFrame) -> Figure:
    """Wrong answers and entropy of the weightings against the steps of a test, medians, a column for every task; and
    how soon each model learned."""
    table = chosen(table)
    tasks = present(table, "task", TASKS)
    style = style_of(table)
    figure = Figure((3.4 * len(tasks) + 3.4, 6.6), dpi=110, layout="constrained")
    panels = figure.subplots(2, len(tasks) + 1, squeeze=False)
    for task, (wrong, blurred) in zip(tasks, panels.T, strict=False):
        for arm, line in style.items():
            medians = (
                table[(table["task"] == task) & (table["arm"] == arm)].groupby("steps")[["right", "blur"]].median()
            )
            if len(medians):
                wrong.plot(medians.index, 1 - medians["right"], label=ARMS[arm], **line)
                blurred.plot(medians.index, medians["blur"], **line)
        wrong.set(title=TASKS[task], ylim=(-0.02, 1.02), ylabel="wrong answers")
        wrong.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        blurred.set(ylabel="entropy of the weightings, bits")
        for axis in (wrong, blurred):
            axis.set(xscale="log", xlabel="steps")
            axis.grid(color=GREY, linewidth=0.6)
    draw_learning(panels[:, -1], table.drop_duplicates(["task", "arm", "seed"]), style)
    legend_above(figure)
    return figure


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A line for every task and model: percent right at every length of test, and the entropy at the longest."""
    table = chosen(table)
    rows = []
    for (task, arm), here in groups(table, task=TASKS, arm=ARMS):
        runs, last = here.drop_duplicates("seed"), here[here["steps"] == here["steps"].max()]
        rows.append(
            {
                "task": TASKS[task],
                "model": ARMS[arm],
                **{f"% right at {steps:,}": percent(of_steps["right"]) for steps, of_steps in here.groupby("steps")},
                "entropy there, bits": last["blur"].median(),
                "learned": learned(runs),
                "rate": f"{runs['rate'].iloc[0]:g}",
                "seconds": f"{runs['seconds'].median():.1f}",
            }
        )
    return pd.DataFrame(rows)


STUDY = Study(
    name="correcting",
    claim="Affine recurrences cannot correct errors (arXiv 2605.07755) and lose a state in time; an NTM's sharpening "
    "corrects them.",
    sweeps=("correcting", "correcting_others"),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
    page="field",
)
