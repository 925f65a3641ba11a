"""Tables of runs that learn to copy."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ntm_lab.studies.results import read_runs
from ntm_lab.tasks import Copy


def read_copying(folder: Path) -> pd.DataFrame:
    """`read_runs`, with the ``longest`` sequence of training."""
    runs = read_runs(folder)
    return runs.assign(longest=runs["task.lengths"].str[1])


def copy_of(run: Any, **changed: Any) -> Copy:
    """The task of a run, a row of `read_runs`, with some settings changed."""
    kinds = {"lengths": list, "bits": int, "start_code": bool, "held_out": float}  # NumPy's types are refused
    return Copy(**{name: kind(run[f"task.{name}"]) for name, kind in kinds.items()} | changed)


def share_of_tests(runs: pd.DataFrame, kept: Sequence[str]) -> pd.DataFrame:
    """A row of kind ``test`` for every run and length it was tested at, its ``value`` the share of wrong bits, with the
    run's sequences and seconds and the columns that are kept."""
    return pd.DataFrame(
        [
            {
                **run[[*kept, "sequences", "seconds"]],
                "kind": "test",
                "length": row["difficulty"]["length"],
                "value": row["wrong_bits"] / (row["difficulty"]["length"] * run["task.bits"]),
            }
            for _, run in runs.iterrows()
            for row in run["test"]
        ]
    )
