"""Runs side by side: a table with a column for every arm, a figure, and a row for every run."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntm_lab.studies.contrasts import contrasts_of_times
from ntm_lab.studies.drawing import bits_scale, draw_curves, draw_survival, legend_above, progress_scale, styles
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

    Lines: seeds, parameters; for every difficulty tested how many runs are within ``solved`` wrong bits (or symbols),
    the 95 % interval of that share, wrong bits and cost (or, where the perfect answer has a cost, bits above that),
    and the share of wrong answers in each of the task's groups; what training took until the validation was solved, as
    censored data, and in all. Numbers are median (quartiles; largest). With several arms a last line has the
    logrank test of each against the first, if there are more of them adjusted by Holm.

    Args:
        runs: of `read_runs`, with a categorical column ``arm``.
        solved: wrong bits or symbols per sequence.
    """
    arms = _arms(runs)
    difficulties = dict.fromkeys(in_words(row["difficulty"]) for test in runs["test"] for row in test)
    tests = [partial(_test, difficulty=difficulty, solved=solved) for difficulty in difficulties]
    parts: list[Callable[[pd.DataFrame], dict[str, str]]] = [_who, *tests, _training]
    rows: list[list[str]] = []
    for part in parts:
        columns = [part(arm) for arm in arms.values()]
        for line in dict.fromkeys(line for column in columns for line in column):
            rows.append([line, *(column.get(line, NONE) for column in columns)])
    return markdown(["", *arms], [*rows, *_against_first(arms)])


def _who(runs: pd.DataFrame) -> dict[str, str]:
    return {
        "seeds": ", ".join(str(seed) for seed in sorted(runs["seed"])),
        "parameters": ", ".join(f"{count:,}" for count in sorted(set(runs["parameters"]))),
    }


def _test(runs: pd.DataFrame, difficulty: str, solved: float) -> dict[str, str]:
    rows = [row for test in runs["test"] for row in test if in_words(row["difficulty"]) == difficulty]
    lines = _errors(rows, solved) | _groups(rows) if rows else {}
    return {f"{difficulty}: {line}": values for line, values in lines.items()}


def _errors(rows: Sequence[Mapping[str, Any]], solved: float) -> dict[str, str]:
    if any("optimum_bits" in row for row in rows):
        return {"bits above the optimum": spread([row["cost_bits"] - row["optimum_bits"] for row in rows], 2)}
    measures = {measure.kind: measure for measure in measures_of(rows[0])}
    cost, wrong = measures["cost"], measures["wrong"]
    rate = success_rate(row[wrong.name] <= solved for row in rows)
    return {
        f"runs within {solved:g} {wrong.words}": f"{rate.successes} of {rate.trials}",
        "95 % interval of that share": f"{rate.low:.0%} to {rate.high:.0%}",
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
    """The line of the tests, if there is anything to compare."""
    first, *others = arms
    if not others:
        return []
    times = {name: (arm["sequences_to_solve"], arm["sequences"]) for name, arm in arms.items()}
    found = contrasts_of_times({name: (times[first], times[name]) for name in others})
    line = f"sequences until solved: logrank test against {first}{' (Holm)' if len(others) > 1 else ''}"
    return [[line, NONE, *(p_value(contrast.p) for contrast in found.values())]]


def draw_comparison(runs: pd.DataFrame, curves: pd.DataFrame | None) -> Figure:
    """Learning curves in bits and wrong answers, and the share of runs that is not solved yet, against sequences seen.

    Args:
        runs: of `read_runs`, with a categorical column ``arm``.
        curves: what these runs logged under the names of `CURVES` and as ``val/optimum``; None without any.
    """
    arms = _arms(runs)
    logged = [] if curves is None else [name for name in CURVES if (curves["name"] == name).any()]
    count = 1 + len(logged)
    figure = Figure((max(6, 4.3 * count), 4.2), dpi=100, layout="constrained")
    panels = [*figure.subplots(1, count, squeeze=False, sharex=True)[0]]
    if curves is not None:
        _draw_curves(dict(zip(logged, panels, strict=False)), arms, curves)
    for (name, arm), style in zip(arms.items(), styles(arms).values(), strict=True):
        draw_survival(panels[-1], arm["sequences_to_solve"], arm["sequences"], style, name)
    for panel in panels:
        progress_scale(panel, "sequences", runs["sequences"])
    panels[-1].set_ylabel("runs whose validation is not solved yet")
    legend_above(figure, columns=3)
    return figure


def _draw_curves(panels: Mapping[str, Axes], arms: Mapping[str, pd.DataFrame], curves: pd.DataFrame) -> None:
    optimum = curves[curves["name"] == OPTIMUM].set_index(["run", "sequences"])["value"]
    for logged, panel in panels.items():
        curve, title = curves[curves["name"] == logged], CURVES[logged]
        if logged == "val/cost" and (optimum > 0).any():
            above = optimum.reindex(pd.MultiIndex.from_frame(curve[["run", "sequences"]])).to_numpy()
            curve, title = curve.assign(value=curve["value"] - above), "cost above the optimum, bits per sequence"
        for (name, arm), style in zip(arms.items(), styles(arms).values(), strict=True):
            part = curve[curve["run"].isin(arm["run"])]
            if len(part):
                draw_curves(panel, part, style, name)
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
