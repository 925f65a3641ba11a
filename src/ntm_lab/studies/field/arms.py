"""What the field's studies share: the models, how well each run does at each test, and the rate each model is given.

The rule for rates: NTM and DNC have the rate of their recipe. Every other model is trained at each rate of a list, as
long each time, and has the one whose median error at the last validation, over its seeds, is lowest. Validations are
on the trained difficulties, so the tests beyond them choose nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from ntm_lab.studies.drawing import Style, draw_survival, progress_scale, styles
from ntm_lab.studies.results import read_curves, read_runs
from ntm_lab.studies.statistics import quartiles
from ntm_lab.tasks.answers import wrong_of
from ntm_lab.tasks.difficulties import hardest, seeded
from ntm_lab.types import Difficulty, Task
from ntm_lab.zoo.find import find

ARM = "choices.experiment/field/arm"
ARMS = {
    "ntm": "NTM",
    "dnc": "DNC",
    "unsharpened": "NTM without sharpening",
    "usual_graves": "usual NTM, Graves' settings",
    "usual_adam": "usual NTM, Adam",
    "stack_rnn": "stack RNN",
    "tape_rnn": "tape RNN",
    "tape_rnn_oracle": "tape RNN told the length",
    "lstm": "LSTM",
    "xlstm": "xLSTM",
    "slstm": "sLSTM",
    "deltanet": "DeltaNet",
    "mamba2": "Mamba-2",
    "transformer": "Transformer, rotary",
    "transformer_convolution": "Transformer, short convolution",
    "transformer_randomised": "Transformer, randomised positions",
}
TASKS = {
    "copy": "copy",
    "parity": "parity",
    "even_pairs": "even pairs",
    "cycle_navigation": "cycle navigation",
    "modular_arithmetic": "modular arithmetic",
    "modular_arithmetic_brackets": "modular arithmetic with brackets",
    "reverse": "reverse",
    "stack_manipulation": "stack manipulation",
    "solve_equation": "solve equation",
    "duplicate": "duplicate",
    "missing_duplicate": "missing duplicate",
    "odds_first": "odds first",
    "binary_addition": "binary addition",
    "binary_multiplication": "binary multiplication",
    "square_root": "square root",
    "bucket_sort": "bucket sort",
    "associative_recall": "associative recall",
    "sort": "priority sort",
    "S3": "S3",
    "S5": "S5",
    "store_wait_recall": "store, wait, recall",
    "mqar": "multi-query recall",
}
LEARNED = 0.1  # error rate at a validation; the field calls 90 % of right answers solved
SAMPLE = 20_000  # steps by which the answers of a test are counted, in whole sequences
KEPT = ("seed", "parameters", "sequences", "seconds")


def tested(folders: Iterable[Path], **settings: str) -> pd.DataFrame:
    """A row for every run and every difficulty that it was tested at.

    Columns: ``task``, ``arm``, ``rate``, ``seed``, ``parameters``, ``sequences`` and ``seconds`` of training;
    ``error``, the error rate at the last validation; ``learned_sequences`` and ``learned_seconds``, when it was first
    at most 10 %, missing where it never was; ``hardest``, the hardest value of the task's first axis in training; the
    axes of the difficulty; and ``right``, the share of right answers.

    Args:
        settings: further columns by their names, each a column of `read_runs`, missing where a run does not have it.
    """
    rows: list[dict[str, Any]] = []
    for folder in folders:
        curves = read_curves(folder, ["val/*_error_rate"])
        for run in read_runs(folder).to_dict("records"):
            errors = curves[curves["run"] == run["run"]]
            learned = errors[errors["value"] <= LEARNED]
            about = {
                "task": run["choices.task"],
                "arm": run[ARM],
                "rate": run["optimizer.lr"],
                **{name: run[name] for name in KEPT},
                "error": errors["value"].iloc[-1],
                **{f"learned_{unit}": learned[unit].min() for unit in ("sequences", "seconds")},
                **{name: run.get(key) for name, key in settings.items()},
            }
            task = find(run["run"]).task
            about["hardest"] = next(iter(hardest(task).values()))
            for row in run["test"]:
                point = row["difficulty"]
                rows.append(about | point | {"right": 1 - row[wrong_of(row)] / answers(task, point)})
    return pd.DataFrame(rows)


def answers(task: Task, difficulty: Difficulty) -> float:
    """How many answers a sequence asks for, on average."""
    generator = seeded(0, "answers")
    steps = task.sample(1, difficulty, generator).inputs.shape[1]
    batch = task.sample(max(1, SAMPLE // steps), difficulty, generator)
    return float(task.answer.worst(batch.targets, batch.mask).double().mean())


def chosen(table: pd.DataFrame, by: Sequence[str] = ("task", "arm")) -> pd.DataFrame:
    """The rows of the rate that each model has on each task by the rule above; the lower one of two that are equal."""
    runs = table.drop_duplicates([*by, "rate", "seed"])
    medians = runs.groupby([*by, "rate"])["error"].median().reset_index().sort_values("error", kind="stable")
    return table.merge(medians.drop_duplicates([*by])[[*by, "rate"]], on=[*by, "rate"])


def by_run(table: pd.DataFrame, by: Sequence[str] = ("task", "arm")) -> pd.DataFrame:
    """A row for every run, with ``right`` averaged over its tests."""
    other = {name: "first" for name in table if name not in (*by, "seed", "right")}
    return table.groupby([*by, "seed"], sort=False).agg(other | {"right": "mean"}).reset_index()


def scores(runs: pd.DataFrame, task: str, arm: str) -> pd.Series:
    """``right`` of the runs of a model on a task."""
    return runs.loc[(runs["task"] == task) & (runs["arm"] == arm), "right"]


def learned(runs: pd.DataFrame) -> str:
    """How many of some runs, a row each, learned their task at the trained difficulties: ``3 of 5``."""
    return f"{runs['learned_sequences'].notna().sum()} of {len(runs)}"


def seconds(runs: pd.DataFrame, task: str, arm: str) -> float:
    """The median of the seconds that a model was trained on a task."""
    return float(runs.loc[(runs["task"] == task) & (runs["arm"] == arm), "seconds"].median())


def unfair(runs: pd.DataFrame, task: str, first: str, arms: Iterable[str]) -> list[str]:
    """Those of some models that were trained for less time than the first on a task, so that nothing follows from
    their doing worse."""
    return [
        arm for arm in arms if len(scores(runs, task, arm)) and seconds(runs, task, arm) < seconds(runs, task, first)
    ]


def percent(values: Iterable[float]) -> str:
    """``median (lower to upper quartile)`` of shares, in percent."""
    low, middle, high = (100 * share for share in quartiles(values))
    return f"{middle:.1f} ({low:.1f} to {high:.1f})"


def present(table: pd.DataFrame, column: str, known: Iterable[str]) -> list[str]:
    """Those of some names that a column has, in their order."""
    return [name for name in known if name in {*table[column]}]


def groups(table: pd.DataFrame, **known: Iterable[Any]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The rows of every combination of values that some columns have, in the order in which these are known."""
    for values in product(*known.values()):
        here = table[(table[[*known]] == list(values)).all(axis=1)]
        if len(here):
            yield values, here


def style_of(table: pd.DataFrame) -> dict[str, Style]:
    """A line for each model of a table."""
    return styles(present(table, "arm", ARMS))


def draw_learning(
    panels: Iterable[Axes],
    runs: pd.DataFrame,
    style: Mapping[str, Style],
    by: str = "arm",
    names: Mapping[str, str] = ARMS,
) -> None:
    """The share of runs that has not learned its task yet: a panel against sequences, one against seconds.

    A line for every value of the column ``by``, of which ``style`` has the lines and ``names`` the words.
    """
    for panel, unit in zip(panels, ("sequences", "seconds"), strict=True):
        for value, line in style.items():
            here = runs[runs[by] == value]
            if len(here):
                draw_survival(panel, here[f"learned_{unit}"], here[unit], line, names[value], against=unit)
        progress_scale(panel, unit, runs[unit])
        panel.set_ylabel("runs not learned yet")
