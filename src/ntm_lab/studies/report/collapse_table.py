"""The table of the study of collapse: which runs collapsed, their entropies, and their errors without memory."""

import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ntm_lab.evaluation import evaluate_ablations
from ntm_lab.studies.report.chance import chance
from ntm_lab.studies.results import read_curves, read_runs
from ntm_lab.zoo.find import find

ARM = "choices.experiment/report/collapse"
RECIPE, REPORT = "recipe", "report"  # arms: ours, and the report's combination
UNIFORM = 0.9  # of log₂ N bits: an entropy above this counts as uniform
ENTROPIES = {
    f"{head}_{phase}": f"addressing/{head}_0/entropy_{phase}"
    for head in ("write", "read")
    for phase in ("storing", "recalling")
}
TELLING = ["write_storing", "read_recalling"]  # the two without which nothing is kept in its place
LENGTHS = (1, 2, 3, 5, 10, 20)
SEQUENCES = 200  # of each length
POINTS = 25  # of a curve that is kept


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """Three tables in one, told apart by ``part``; all have ``arm`` and ``seed``, and other columns are empty where
    they do not apply.

    ``run``: ``slots``, ``solved``, whether it ``collapsed``, ``since`` how many sequences, ``sequences`` in all, and
    the entropies of the last validation, in bits: ``write_storing``, ``write_recalling``, ``read_storing`` and
    ``read_recalling``. A run has collapsed if it was not solved and at its end one head does its work, the write head
    storing or the read head recalling, with a weighting of more than 90 % of the largest entropy, log₂ N.

    ``curve``: the entropies at some validations, by ``sequences``.

    ``ablation``: for the runs that collapsed or were solved, ``wrong_bits`` and their ``chance`` by ``ablation`` and
    ``length``, on 200 fresh sequences.
    """
    runs = read_runs(folders["collapse"])
    curves = read_curves(folders["collapse"], [*ENTROPIES.values()])
    wide = curves.pivot(index=["run", "sequences"], columns="name", values="value").reset_index()
    wide = wide.rename(columns={name: short for short, name in ENTROPIES.items()})
    rows: list[dict[str, Any]] = []
    for run in runs.to_dict("records"):
        about = {"arm": run[ARM], "seed": run["seed"]}
        curve = wide[wide["run"] == run["run"]].drop(columns="run")
        outcome = _outcome(curve, int(run["memory.slots"]), bool(run["solved"]))
        rows.append({"part": "run"} | about | outcome)
        rows += [{"part": "curve"} | about | point for point in _thinned(curve).to_dict("records")]
        if outcome["collapsed"] or outcome["solved"]:
            rows += [{"part": "ablation"} | about | row for row in _ablated(run["run"])]
    return pd.DataFrame(rows)


def _outcome(curve: pd.DataFrame, slots: int, solved: bool) -> dict[str, Any]:
    """The rows of one run, from its entropies at all validations."""
    uniform = (curve[TELLING] > UNIFORM * math.log2(slots)).any(axis=1)
    collapsed = bool(uniform.iloc[-1]) and not solved
    sharp = curve["sequences"][~uniform]
    first = curve["sequences"] if sharp.empty else curve["sequences"][curve["sequences"] > sharp.iloc[-1]]
    last: dict[str, Any] = {str(name): value for name, value in curve.iloc[-1].items()}
    return {
        "slots": slots,
        "solved": solved,
        "collapsed": collapsed,
        "since": first.iloc[0] if collapsed else None,
    } | last


def _thinned(curve: pd.DataFrame) -> pd.DataFrame:
    """At most this many points, the last among them."""
    step = math.ceil(len(curve) / POINTS)
    return curve.iloc[::-step].iloc[::-1].round(4)


def _ablated(run: str) -> Iterator[dict[str, Any]]:
    with warnings.catch_warnings(action="ignore"):  # about settings that no head can leave: the subject of this study
        _, _, task, model = find(run)
    for row in evaluate_ablations(model, task, [{"length": length} for length in LENGTHS], SEQUENCES):
        guessing = chance(task, [row["difficulty"]])["wrong_bits"]
        of_row = {"ablation": row["ablation"], "length": row["difficulty"]["length"]}
        yield of_row | {"wrong_bits": row["wrong_bits"], "chance": guessing}


def of_part(table: pd.DataFrame, part: str) -> pd.DataFrame:
    """One of the three tables, with its own columns."""
    own = table[table["part"] == part].dropna(axis=1, how="all")
    return own.astype({name: bool for name in ("solved", "collapsed") if name in own})


def runs_that(outcome: str, table: pd.DataFrame) -> pd.DataFrame:
    """Arm and seed of those that ``collapsed``, or that were ``solved``."""
    runs = of_part(table, "run")
    return runs.loc[runs[outcome], ["arm", "seed"]]
