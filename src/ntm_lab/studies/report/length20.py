"""The report's "100% accuracy on the copy task for length-20 sequences", on ten thousand sequences nobody has seen."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ntm_lab.evaluation import evaluate
from ntm_lab.evaluation.intervals import wilson
from ntm_lab.studies.results import read_runs
from ntm_lab.studies.statistics import success_rate
from ntm_lab.studies.study import Study, Verdict, verdict_of_most
from ntm_lab.tasks.difficulties import label
from ntm_lab.zoo.find import find

LENGTH = 20
SEQUENCES = 10_000
ROUNDS_TO_100 = 0.995


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """A row for every run: ``seed``, ``sequences`` of training, ``seconds``, on how many (``n``) fresh sequences of
    length 20 it was tested, how many of them were ``exact``, ``wrong_bits`` and ``cost_bits`` per sequence, and
    ``overlap``, the expected share of them that training had seen."""
    rows = []
    for run in read_runs(folders["copy"]).to_dict("records"):
        _, _, task, model = find(run["run"])
        (row,) = evaluate(model, task, [{"length": LENGTH}], SEQUENCES)
        rows.append(
            {
                **{name: run[name] for name in ("seed", "sequences", "seconds")},
                "n": row["n"],
                "exact": round(row["exact"] * row["n"]),
                **{name: row[name] for name in ("wrong_bits", "cost_bits")},
                "overlap": run["overlap"].get(label({"length": LENGTH}), 0.0),
            }
        )
    return pd.DataFrame(rows).sort_values("seed")


def _intervals(table: pd.DataFrame) -> pd.DataFrame:
    """``share``, ``low``, ``high`` of exact sequences for every seed."""
    ends = [wilson(exact, n) for exact, n in zip(table["exact"], table["n"], strict=True)]
    return pd.DataFrame(ends, columns=["low", "high"], index=table["seed"]).assign(
        share=(table["exact"] / table["n"]).to_numpy()
    )


def judge(table: pd.DataFrame) -> Verdict:
    """A seed is at 100 % if the 95 % interval of its share of exact sequences is above 99.5 %, so that it surely rounds
    to 100 %. Whether most seeds are: `outcome_of_most`."""
    rate = success_rate(_intervals(table)["low"] > ROUNDS_TO_100)
    flawless = int((table["exact"] == table["n"]).sum())
    worst, n = int(table["exact"].min()), int(table["n"].iloc[0])
    low, high = wilson(worst, n)
    sentence = (
        f"{rate.successes} of {rate.trials} seeds (95 % interval {rate.low:.0%} to {rate.high:.0%}) copy "
        f"significantly more than {ROUNDS_TO_100:.1%} of {n:,} unseen sequences of length {LENGTH} without an "
        f"error, {flawless} of them all; the worst seed {worst / n:.2%} ({low:.2%} to {high:.2%})."
    )
    return verdict_of_most(rate, sentence)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    shares = _intervals(table)
    ends = zip(shares["low"], shares["high"], strict=True)
    return pd.DataFrame(
        {
            "seed": table["seed"].to_numpy(),
            "exact sequences": [f"{exact:,} of {n:,}" for exact, n in zip(table["exact"], table["n"], strict=True)],
            "95 % interval": [f"{low:.2%} to {high:.2%}" for low, high in ends],
            "wrong bits": table["wrong_bits"].to_numpy(),
            "cost, bits": table["cost_bits"].to_numpy(),
            "sequences of training": table["sequences"].to_numpy(),
            "expected to be among them": [f"{share:.0e}" if share else "0" for share in table["overlap"]],
        }
    )


STUDY = Study(
    name="length20",
    claim="Achieved 100% accuracy on the copy task for length-20 sequences.",
    sweeps=("copy",),
    measure=measure,
    draw=None,  # the sentence says it all
    judge=judge,
    summarise=summarise,
)
