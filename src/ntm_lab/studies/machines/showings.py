"""The table of the studies of one-shot classification: how much is right at each showing of a class."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ntm_lab.evaluation import evaluate
from ntm_lab.studies.contrasts import Contrast, contrasts
from ntm_lab.studies.drawing import draw_curves, legend_above, styles
from ntm_lab.studies.results import read_runs
from ntm_lab.studies.statistics import spread
from ntm_lab.tasks.difficulties import hardest
from ntm_lab.zoo.find import find

SWEEP = "one_shot"
ARM = "choices.experiment/machines/one_shot"
ARMS = {
    "mann": "MANN",
    "ntm": "NTM",
    "dnc": "DNC",
    "lstm": "LSTM",
    "without_late_write": "MANN without late write",
    "santoro2016": "MANN of Santoro et al. 2016",
}
EPISODES = 200  # that every run is tested on
SECOND = 2  # the first showing that can be known


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """A row for every run and showing: ``arm``, ``seed``, ``parameters``, ``sequences`` and ``seconds`` of training,
    ``showing`` (1, 2, …), and ``wrong``, the share of wrong answers on 200 fresh episodes."""
    rows: list[dict[str, Any]] = []
    for run in read_runs(folders[SWEEP]).to_dict("records"):
        _, _, task, model = find(run["run"])
        (row,) = evaluate(model, task, [hardest(task)], EPISODES, details=True)
        about = {name: run[name] for name in ("seed", "parameters", "sequences", "seconds")}
        for number, right in enumerate(row["by_group"].values(), 1):
            rows.append({"arm": run[ARM]} | about | {"showing": number, "wrong": 1 - right})
    return pd.DataFrame(rows)


def seeds_of(table: pd.DataFrame, arms: Sequence[str]) -> int:
    """How many seeds there are of each of some arms at least."""
    return min(table.loc[table["arm"] == arm, "seed"].nunique() for arm in arms)


def compare(table: pd.DataFrame, pairs: Sequence[tuple[str, str, int]]) -> dict[tuple[str, str, int], Contrast]:
    """The shares of wrong answers of two arms at a showing, by Mann and Whitney's test, adjusted for all pairs."""
    return contrasts(
        {
            (first, second, showing): (_wrong(table, first, showing), _wrong(table, second, showing))
            for first, second, showing in pairs
        }
    )


def _wrong(table: pd.DataFrame, arm: str, showing: int) -> Any:
    return table.loc[(table["arm"] == arm) & (table["showing"] == showing), "wrong"].to_numpy()


def draw_arms(table: pd.DataFrame, arms: Sequence[str]) -> Figure:
    """Right answers by showing: every run thin, the median of an arm bold."""
    figure = Figure((7, 4.2), dpi=110, layout="constrained")
    axis = figure.subplots()
    for arm, style in styles(arms, {arm: arm for arm in arms}).items():
        runs = table[table["arm"] == arm]
        curves = pd.DataFrame({"run": runs["seed"], "sequences": runs["showing"], "value": 1 - runs["wrong"]})
        draw_curves(axis, curves, style, ARMS[arm])
    axis.set(xlabel="showing of a class", ylabel="right answers", ylim=(0, 1.03))
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    legend_above(figure)
    return figure


def summarise_arms(table: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """A line for every arm: right answers in percent at some showings, what the model and its training took."""
    last = int(table["showing"].max())
    rows = []
    for arm in arms:
        runs = table[table["arm"] == arm]
        if runs.empty:
            continue
        each = runs.drop_duplicates("seed")
        right = {
            f"showing {showing}, % right": spread(100 * (1 - _wrong(runs, arm, showing)), 1, "smallest")
            for showing in dict.fromkeys((1, SECOND, 3, last))
        }
        took = {"episodes": spread(each["sequences"], 0), "seconds": spread(each["seconds"], 1)}
        rows.append({"machine": ARMS[arm], "parameters": f"{each['parameters'].iloc[0]:,}"} | right | took)
    return pd.DataFrame(rows)
