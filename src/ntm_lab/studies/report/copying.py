"""What is read off runs that learn to copy."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ntm_lab.studies.results import read_runs


def read_copying(folder: Path) -> pd.DataFrame:
    """`read_runs`, with the ``longest`` sequence of training."""
    runs = read_runs(folder)
    return runs.assign(longest=[json.loads(lengths)[1] for lengths in runs["task.lengths"]])


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
