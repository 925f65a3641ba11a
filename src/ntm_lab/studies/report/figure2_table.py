"""The table of `figure2`: curves of training and validation, and how far the two overlap."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ntm_lab.studies.report.chance import chance
from ntm_lab.studies.report.copying import copy_of
from ntm_lab.studies.results import read_curves, read_runs
from ntm_lab.tasks.difficulties import ladder

GROUP = "choices.experiment/report/figure2"
REGIMES = {  # the two arms of each, batch 1 and batch 32
    "fresh sequences": ("one", "thirty_two"),
    "160 sequences": ("repeated_one", "repeated_thirty_two"),
}
NAMES = {
    "one": "batch 1, fresh sequences",
    "thirty_two": "batch 32, fresh sequences",
    "repeated_one": "batch 1, 160 sequences",
    "repeated_thirty_two": "batch 32, 160 sequences",
    "packed": "batch 32, lengths 1 to 20, packed",
    "padded": "batch 32, lengths 1 to 20, padded",
}
AXES = {"sequences": "sequences", "step": "steps", "seconds": "seconds"}


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """A row for every validation of every run, and one for every length that an arm trains on.

    A ``curve`` has the cost in bits of the validation, that of training between the validations before and after (none
    for the last one), and that of guessing. An ``overlap`` has the share of test sequences that training is expected to
    have seen, and the share if none were held out.
    """
    runs = read_runs(folders["figure2"])
    curves = read_curves(folders["figure2"], ["train/cost", "val/cost"])
    parts = [_curve(run, curves[curves["run"] == run["run"]]) for _, run in runs.iterrows()]
    overlaps = [row for _, run in runs.drop_duplicates(GROUP).iterrows() for row in _overlaps(run)]
    return pd.concat([*parts, pd.DataFrame(overlaps)], ignore_index=True)


def _curve(run: pd.Series, curves: pd.DataFrame) -> pd.DataFrame:
    training, validation = (curves[curves["name"] == f"{part}/cost"] for part in ("train", "val"))
    following = np.searchsorted(validation["sequences"], training["sequences"])  # which validation comes next
    before = training["value"].groupby(following).mean().reindex(range(len(validation)))
    task = copy_of(run)
    return validation[["sequences", "step", "seconds"]].assign(
        kind="curve",
        arm=run[GROUP],
        batch=run["data.batch_size"],
        seed=run["seed"],
        training=((before + before.shift(-1)) / 2).to_numpy(),
        validation=validation["value"],
        chance=chance(task, ladder(task, int(run["data.validation_rungs"])))["cost_bits"],
    )


def _overlaps(run: pd.Series) -> Iterator[dict[str, Any]]:
    kept, whole = copy_of(run), copy_of(run, held_out=0.0)
    low, high = kept.ranges["length"]
    drawn = round(run["sequences"] / (high - low + 1))
    for length in range(low, high + 1):
        yield {
            "kind": "overlap",
            "arm": run[GROUP],
            "batch": run["data.batch_size"],
            "length": length,
            "overlap": kept.overlap({"length": length}, drawn),
            "overlap_otherwise": whole.overlap({"length": length}, drawn),
        }


def arm_of(table: pd.DataFrame, arm: str, value: str = "validation") -> pd.DataFrame:
    """The curves of an arm, with the columns ``run`` and ``value`` of `read_curves`."""
    rows = table[(table["kind"] == "curve") & (table["arm"] == arm)]
    return rows.assign(run=rows["seed"], value=rows[value]).dropna(subset=["value"])


def ends_of(table: pd.DataFrame, arm: str) -> pd.DataFrame:
    """The last row of every run, by seed, with the last ``training`` and what validation was more then, the ``gap``."""
    last, both = (arm_of(table, arm, value).groupby("seed").last() for value in ("validation", "training"))
    return last.assign(training=both["training"], gap=both["validation"] - both["training"])
