"""Runs side by side: a table with a column for every arm, a figure, and a row for every run."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntm_lab.studies.contrasts import contrasts_of_times
from ntm_lab.studies.drawing import (
    Style,
    bits_scale,
    draw_curves,
    draw_survival,
    legend_above,
    model_of,
    progress_scale,
    styles,
)
from ntm_lab.studies.statistics import NONE, p_value, spread, spread_of_times, success_rate
from ntm_lab.studies.tables import markdown
from ntm_lab.tasks.answers import measures_of
from ntm_lab.tasks.difficulties import in_words

TO_SOLVE = {"sequences": 0, "seconds": 1}  # digits
IN_ALL = {  # line: column, digits
    "sequences in all": ("sequences", 0),
    "seconds of training in all": ("seconds", 1),
    "largest gradient norm": ("largest_gradient_norm", 0),
}
CURVES = {  # a panel for each that some run logged
    "val/cost": "cost, bits per sequence",
    "val/wrong_bits": "wrong bits per sequence",
    "val/wrong_symbols": "wrong symbols per sequence",
}
OPTIMUM = "val/optimum"


def tabulate(runs: pd.DataFrame, solved: float) -> str:
    """A Markdown table with a column for every arm.

    Lines: seeds, parameters, bits of state; for every difficulty tested how many runs are within ``solved`` wrong bits
    (or symbols), the 95 % interval of that share, wrong bits and cost (or, where even the perfect answer has a cost,
    bits above it), and the share of wrong answers in each of the task's groups; the length of training until the
    validation was solved, as censored data, and in all. Numbers are median (quartiles; largest); an arm with a single
    run has its values only. A last line has the logrank test of each arm with several runs against the first, adjusted
    by Holm if there are several tests.

    Args:
        runs: of `read_runs`, with a categorical column ``arm``.
        solved: wrong bits or symbols per sequence.
    """
    arms = _arms(runs)
    difficulties = dict.fromkeys(in_words(row["difficulty"]) for test in runs["test"] for row in test)
    tests = [partial(_test, difficulty=difficulty, solved=solved) for difficulty in difficulties]
    parts: list[Callable[[pd.DataFrame], Mapping[str, str | None]]] = [_who, *tests, _training]
    rows: list[list[str]] = []
    for part in parts:
        columns = [part(arm) for arm in arms.values()]
        for line in dict.fromkeys(line for column in columns for line in column):
            cells = [column.get(line) for column in columns]
            if any(cells):
                rows.append([line, *(cell or NONE for cell in cells)])
    return markdown(["", *arms], [*rows, *_against_first(arms)])


def _who(runs: pd.DataFrame) -> dict[str, str | None]:
    return {
        "seeds": ", ".join(str(seed) for seed in sorted(runs["seed"])),
        "parameters": ", ".join(f"{count:,}" for count in sorted(set(runs["parameters"]))),
        "bits of state": ", ".join(f"{bits:,.0f}" for bits in sorted(set(runs["state_bits"].dropna()))) or None,
    }


def _test(runs: pd.DataFrame, difficulty: str, solved: float) -> dict[str, str | None]:
    rows = [row for test in runs["test"] for row in test if in_words(row["difficulty"]) == difficulty]
    lines = {**_errors(rows, solved), **_groups(rows)} if rows else {}
    return {f"{difficulty}: {line}": values for line, values in lines.items()}


def _errors(rows: Sequence[Mapping[str, Any]], solved: float) -> dict[str, str | None]:
    if any("optimum_bits" in row for row in rows):
        return {"bits above the optimum": spread([row["cost_bits"] - row["optimum_bits"] for row in rows], 2)}
    measures = {measure.kind: measure for measure in measures_of(rows[0])}
    cost, wrong = measures["cost"], measures["wrong"]
    rate = success_rate(row[wrong.name] <= solved for row in rows)
    return {
        f"runs within {solved:g} {wrong.words}": f"{rate.successes} of {rate.trials}",
        "95 % interval of that share": f"{rate.low:.0%} to {rate.high:.0%}" if rate.trials > 1 else None,
        wrong.words: spread([row[wrong.name] for row in rows], 3),
        cost.words: spread([row[cost.name] for row in rows], 3),
    }


def _groups(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The share of wrong answers in each of the task's groups, such as the tasks of bAbI."""
    shares = [row.get("by_group", {}) for row in rows]
    errors = {
        name: [100 * (1 - share[name]) for share in shares if name in share] for share in shares for name in share
    }
    return {f"{name}: wrong answers, %": spread(values, 1) for name, values in errors.items()}


def _training(runs: pd.DataFrame) -> dict[str, str]:
    until = {
        f"{unit} until solved": spread_of_times(runs[f"{unit}_to_solve"], runs[unit], digits)
        for unit, digits in TO_SOLVE.items()
    }
    return until | {line: spread(runs[key], digits) for line, (key, digits) in IN_ALL.items()}


def _against_first(arms: Mapping[str, pd.DataFrame]) -> list[list[str]]:
    """The line of the tests, if the first arm and another have several runs."""
    first, *others = arms
    tested = [name for name in others if len(arms[first]) > 1 and len(arms[name]) > 1]
    if not tested:
        return []
    times = {name: (arm["sequences_to_solve"], arm["sequences"]) for name, arm in arms.items()}
    found = contrasts_of_times({name: (times[first], times[name]) for name in tested})
    line = f"sequences until solved: logrank test against {first}{' (Holm)' if len(tested) > 1 else ''}"
    return [[line, NONE, *(p_value(found[name].p) if name in found else NONE for name in others)]]


def draw_comparison(runs: pd.DataFrame, curves: pd.DataFrame | None) -> Figure:
    """Learning curves in bits and wrong answers, and the share of runs that is not solved yet.

    A panel that would say nothing is left out: the share where no run is solved, wrong answers where even the optimum
    has a cost. Against sequences seen, or against seconds where sequences are not the budget: a run was ended by the
    clock, or arms were given different numbers of sequences.

    Args:
        runs: of `read_runs`, with a categorical column ``arm``.
        curves: what these runs logged under the names of `CURVES` and as ``val/optimum``; None without any.
    """
    arms, against = _arms(runs), _budget(runs)
    style = styles(arms, {name: model for name, arm in arms.items() if (model := _model(arm))})
    logged = set() if curves is None else {*curves["name"]}
    shown = {name: title for name, title in CURVES.items() if name in logged}
    if curves is not None and _costly(curves):
        shown = {"val/cost": "cost above the optimum, bits per sequence"}
    survives = bool(runs["sequences_to_solve"].notna().any()) or not shown
    count = len(shown) + survives
    figure = Figure((max(6, 4.3 * count), 4.2), dpi=100, layout="constrained")
    panels = [*figure.subplots(1, count, squeeze=False, sharex=True)[0]]
    if curves is not None:
        _draw_curves(panels, arms, curves, shown, style, against)
    if survives:
        for name, arm in arms.items():
            draw_survival(panels[-1], arm[f"{against}_to_solve"], arm[against], style[name], name, against=against)
        panels[-1].set_ylabel("runs whose validation is not solved yet")
    for panel in panels:
        progress_scale(panel, against, runs[against])
    legend_above(figure, columns=3)
    return figure


def _budget(runs: pd.DataFrame) -> str:
    """``seconds`` or ``sequences``."""
    by_clock = (runs["stopped_by"] == "max_minutes").any()
    return "seconds" if by_clock or ("max_sequences" in runs and runs["max_sequences"].nunique() > 1) else "sequences"


def _model(arm: pd.DataFrame) -> str | None:
    """What all runs of an arm train; None where that differs or is not known."""
    if "choices.model" not in arm:
        return None
    controllers = arm["choices.controller"] if "choices.controller" in arm else [None] * len(arm)
    found = {model_of(model, controller) for model, controller in zip(arm["choices.model"], controllers, strict=True)}
    return found.pop() if len(found) == 1 else None


def _costly(curves: pd.DataFrame) -> bool:
    """Whether even the optimum has a cost."""
    return bool((curves.loc[curves["name"] == "val/optimum", "value"] > 0).any())


def _draw_curves(
    panels: Sequence[Axes],
    arms: Mapping[str, pd.DataFrame],
    curves: pd.DataFrame,
    shown: Mapping[str, str],
    style: Mapping[str, Style],
    against: str,
) -> None:
    optimum = curves[curves["name"] == "val/optimum"].set_index(["run", "sequences"])["value"]
    for panel, (logged, title) in zip(panels, shown.items(), strict=False):
        curve = curves[curves["name"] == logged]
        if logged == "val/cost" and _costly(curves):
            above = optimum.reindex(pd.MultiIndex.from_frame(curve[["run", "sequences"]])).to_numpy()
            curve = curve.assign(value=curve["value"] - above)
        for name, arm in arms.items():
            part = curve[curve["run"].isin(arm["run"])]
            if len(part):
                draw_curves(panel, part, style[name], name, against=against)
        bits_scale(panel)
        panel.set_ylabel(title)


def per_run(runs: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The arm of every run, the settings that make it, its results, and its test as columns of plain values."""
    results = runs.columns[runs.columns.get_loc("seed") :]
    tested = pd.DataFrame(
        [
            {
                f"{measure.name} at {in_words(row['difficulty'])}": row[measure.name]
                for row in test
                for measure in measures_of(row)
            }
            for test in runs["test"]
        ]
    )
    columns = ["arm", "run", *(key for key in keys if key not in results), *results.drop(["arm", "test", "overlap"])]
    shown = runs[list(dict.fromkeys(columns))]
    plain = shown.map(lambda value: json.dumps(value) if isinstance(value, list) else value)
    return pd.concat([plain, tested], axis=1)


def _arms(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(name): arm for name, arm in runs.groupby("arm", observed=True)}
