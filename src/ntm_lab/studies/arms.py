"""The settings in which runs differ, and the arms that these make.

An arm is a group of runs that differ in the seed only, or in no setting of interest.
"""

import json
import math
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

# Columns that are no settings, do not affect the result, or repeat another column.
NO_SETTING = ("run", "seed", "overrides", "resume", "threads", "log_every", "backend", "folder", "choices.experiment")
LEFT_OUT = (
    *("test.", "logger.", "callbacks.", "trainer.", "choices.logger", "choices.callbacks", "choices.trainer"),
    *("model.controller.", "model.slots", "model.width", "model.init.", "model.weighting."),  # of other groups
    *("model.backend", "model.recompute_every"),
    *("model.memory.", "model.checkpoint_every"),  # the names of some of these in runs of version 0.1
)


def differing(runs: pd.DataFrame) -> list[str]:
    """The fewest columns that tell all runs of different settings apart, the seed left out.

    Overrides of the command line come first, then choices from groups, then single settings; a column is added only if
    it distinguishes runs that the earlier ones do not.

    Args:
        runs: as `read_runs` gives them.
    """
    keys: list[str] = []
    arms = 1
    for key in _candidates(runs):
        finer = len(set(_rows(runs, [*keys, key])))
        if finer > arms:
            keys, arms = [*keys, key], finer
    return keys


def find_key(name: str, runs: pd.DataFrame) -> str:
    """The column that a name means: ``controller`` (a choice), ``optimizer.lr``, ``lr`` if only one setting ends so.

    Raises ValueError if there is none, or more than one.
    """
    settings = [*_settings(runs), "seed", "folder"]
    for key in (f"choices.{name}", name):
        if key in settings and key in runs:
            return key
    ending = [key for key in settings if key.endswith(f".{name}") and not key.startswith(LEFT_OUT)]
    if len(ending) != 1:
        known = ", ".join(_short(key) for key in ending or _candidates(runs)) or "nothing but the seed"
        meant = f"may be {known}" if ending else f"is no setting of these runs; they differ in {known}"
        raise ValueError(f"{name}: {meant}")
    return ending[0]


def name_arms(runs: pd.DataFrame, keys: Sequence[str]) -> pd.Series:
    """The arm of every run, such as ``controller=lstm, batch_size=4``: a categorical column, in order.

    Numbers are ordered by size, choices by appearance. A setting that a run does not have is not named.
    """
    rows = _rows(runs, keys)
    orders = [{value: place for place, value in enumerate(_ordered(column))} for column in zip(*rows, strict=True)]
    names = {}
    for row in sorted(set(rows), key=lambda row: [order[value] for order, value in zip(orders, row, strict=True)]):
        said = [f"{name}={value}" for name, value in zip(_shortened(keys), row, strict=True) if value is not None]
        names[row] = ", ".join(said) or (f"no {' and no '.join(_shortened(keys))}" if keys else "all runs")
    if [*keys] == ["folder"]:
        names = {row: str(row[0]) for row in names}
    return pd.Series(pd.Categorical([names[row] for row in rows], [*names.values()], ordered=True), runs.index)


def _settings(runs: pd.DataFrame) -> list[str]:
    """The columns before those of results."""
    columns = [str(column) for column in runs]
    return columns[: columns.index("seed")]


def _candidates(runs: pd.DataFrame) -> list[str]:
    """Settings that differ, the most telling first."""
    settings = _settings(runs)
    told = [override.split("=")[0].lstrip("+") for overrides in runs["overrides"] for override in overrides]
    first = [key for name in told for key in (f"choices.{name}", name) if key in settings]
    chosen = [key for key in settings if key.startswith("choices.")]
    return [
        key
        for key in dict.fromkeys([*first, *chosen, *settings])
        if key not in NO_SETTING
        and not key.startswith(LEFT_OUT)
        and not key.endswith("_target_")  # which the choices determine
        and len(set(map(_plain, runs[key]))) > 1
    ]


def _rows(runs: pd.DataFrame, keys: Sequence[str]) -> list[tuple[Hashable, ...]]:
    """The values of some columns for every run."""
    return list(zip(*(map(_plain, runs[key]) for key in keys), strict=True)) if keys else [()] * len(runs)


def _plain(value: Any) -> Hashable:
    """A value of a column as it is written in a config: a missing one is None."""
    if isinstance(value, list):
        return json.dumps(value)
    if value is None or value != value:
        return None
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float):  # in a column with missing values whole numbers are floats too
        return int(value) if value.is_integer() else repr(float(value))
    return value


def _ordered(values: Iterable[Any]) -> list[Any]:
    known = dict.fromkeys(values)
    try:
        return sorted(known, key=lambda value: -math.inf if value is None else float(value))
    except ValueError:
        return list(known)


def _short(key: str) -> str:
    return key.removeprefix("choices.")


def _shortened(keys: Sequence[str]) -> list[str]:
    """The last part of every key, but all of it where two end alike and where it is a choice."""
    last = [_short(key) if key.startswith("choices.") else key.split(".")[-1] for key in keys]
    return [name if last.count(name) == 1 else _short(key) for name, key in zip(last, keys, strict=True)]
