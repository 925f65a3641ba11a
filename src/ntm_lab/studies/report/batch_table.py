"""The table of `batch`: shares of wrong bits of NTM and LSTM at every batch size, in validation and in tests."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ntm_lab.studies.report.chance import GUESSING
from ntm_lab.studies.report.copying import read_copying, share_of_tests
from ntm_lab.studies.results import read_curves
from ntm_lab.studies.statistics import on_grid

MODELS = {"ntm": "NTM", "lstm": "LSTM"}
TIMES = {"ntm": 4, "lstm": 2}  # the longest sequence of training: the length of the compared tests
KEPT = ["kind", "model", "batch", "seed", "longest"]


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """Shares of wrong bits, a row each: of every validation of every run (``curve``), and of its test at every length
    (``test``), with the sequences and seconds seen until then and the ``longest`` sequence of training."""
    runs = read_copying(folders["batch"])
    runs = runs.assign(model=runs["choices.model"], batch=runs["data.batch_size"])
    curves = read_curves(folders["batch"], ["val/bit_error_rate"]).drop(columns="name")
    curves = curves.merge(runs[["run", *KEPT[1:]]], on="run").assign(kind="curve")
    columns = [*KEPT, "length", "sequences", "seconds", "value"]
    return pd.concat([curves, share_of_tests(runs, KEPT[1:])], ignore_index=True)[columns]


def curves_of(table: pd.DataFrame, model: str, batch: int) -> pd.DataFrame:
    """The validations of the runs of a model and a batch size, with the column ``run`` of `read_curves`."""
    rows = table[(table["kind"] == "curve") & (table["model"] == model) & (table["batch"] == batch)]
    return rows.assign(run=rows["seed"])


def tests_of(table: pd.DataFrame, model: str, batch: int, length: float) -> np.ndarray:
    """The shares of wrong bits in the test at a length, one for each run."""
    rows = table[(table["kind"] == "test") & (table["model"] == model) & (table["batch"] == batch)]
    return rows.loc[rows["length"] == length, "value"].to_numpy()


def batches_of(table: pd.DataFrame) -> list[int]:
    return sorted(int(batch) for batch in table["batch"].unique())


def compared_length(table: pd.DataFrame, model: str) -> int:
    """The length of the test by which batch sizes are compared."""
    return TIMES[model] * int(table.loc[table["model"] == model, "longest"].iloc[0])


def ends_of(table: pd.DataFrame, model: str, batch: int) -> pd.DataFrame:
    """The last validation of every run."""
    return curves_of(table, model, batch).groupby("seed").last()


def one_meanwhile(table: pd.DataFrame, model: str, batch: int) -> np.ndarray:
    """The last validation of the runs with batch 1 after the median seconds of those of another batch size; guessing,
    if there was none yet."""
    seconds = ends_of(table, model, batch)["seconds"].median()
    return on_grid(curves_of(table, model, 1), [seconds], "seconds").fillna(GUESSING).to_numpy()[0]
