"""When runs learned their task, and whether they forgot it again."""

from pathlib import Path

import pandas as pd

from ntm_lab.studies.results import read_curves, read_runs

LEARNED = 0.03  # bit error rate of the validation: where the recipes' schedules begin their descent
LOST = 0.1  # of a later validation
UNITS = ("sequences", "steps", "seconds")


def read_learning(folder: Path) -> pd.DataFrame:
    """`read_runs`, with the columns ``sequences_to_learn``, ``steps_to_learn``, ``seconds_to_learn`` and ``lost``.

    A run has learned when, at a validation, less than 3 % of the bits are wrong (chance: 50 %); NaN if never. This
    precedes solving by the schedule's descent, whose length is the same for all. A run has ``lost`` it when, at a later
    validation, at least 10 % of the bits are wrong.
    """
    runs = read_runs(folder)
    curves = read_curves(folder, ["val/bit_error_rate"]).rename(columns={"step": "steps"})
    first = curves[curves["value"] < LEARNED].groupby("run")[[*UNITS]].min().add_suffix("_to_learn")
    runs = runs.merge(first, how="left", left_on="run", right_index=True)
    since = curves["run"].map(runs.set_index("run")["sequences_to_learn"])
    lost = curves[(curves["sequences"] > since) & (curves["value"] >= LOST)]
    return runs.assign(lost=runs["run"].isin(lost["run"]))
