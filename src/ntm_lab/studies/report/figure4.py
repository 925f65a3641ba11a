"""Figure 4 of the report: what a Neural Turing Machine's sequences cost while it learns to copy."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ntm_lab.studies.drawing import COLOURS, bits_scale, draw_curves, legend_above, progress_scale
from ntm_lab.studies.report.chance import GUESSING, chance
from ntm_lab.studies.report.copying import copy_of
from ntm_lab.studies.results import read_curves, read_runs
from ntm_lab.studies.statistics import median_time, solving, spread_of_times, success_rate
from ntm_lab.studies.study import Study, Verdict, verdict_of_most

CURVES = {"train/cost": "cost_bits", "train/wrong_bits": "wrong_bits"}
PANELS = {"cost_bits": "cost, bits per sequence", "wrong_bits": "wrong bits per sequence"}


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """A row for every point of every run's training curve.

    Columns: ``seed``, ``sequences``; ``cost_bits`` and ``wrong_bits`` per sequence, means over the batches since the
    point before; ``chance_bits``, what guessing costs, the mean over the lengths of training; and of the run
    ``sequences_to_solve`` and ``ended``, in sequences.
    """
    runs = read_runs(folders["copy"]).set_index("run")
    curves = read_curves(folders["copy"], list(CURVES))
    table = curves.pivot(index=["run", "sequences"], columns="name", values="value").reset_index()
    of_run = runs.loc[table["run"]].reset_index()
    task = copy_of(runs.iloc[0])  # of all runs
    low, high = task.ranges["length"]
    return pd.DataFrame(
        {
            "seed": of_run["seed"],
            "sequences": table["sequences"],
            **{column: table[name] for name, column in CURVES.items()},
            "chance_bits": chance(task, [{"length": length} for length in range(low, high + 1)])["cost_bits"],
            "sequences_to_solve": of_run["sequences_to_solve"],
            "ended": of_run["sequences"],
        }
    )


def draw(table: pd.DataFrame) -> Figure:
    """Cost and wrong bits against sequences: every seed thin, the median bold."""
    figure = Figure((10, 4.2), dpi=110, layout="constrained")
    style = {"color": COLOURS[0], "linestyle": "-"}
    for axis, (column, title) in zip(figure.subplots(1, 2), PANELS.items(), strict=True):
        curves = table.rename(columns={"seed": "run", column: "value"})
        draw_curves(axis, curves, style, f"median of {table['seed'].nunique()} seeds (thin: every seed)")
        guessing = table["chance_bits"].iloc[0] * (1 if column == "cost_bits" else GUESSING)
        axis.axhline(guessing, color="black", linewidth=1, linestyle="--", label="guessing")
        bits_scale(axis)
        progress_scale(axis, "sequences", table["ended"])
        axis.set_ylabel(title)
    legend_above(figure)
    return figure


def judge(table: pd.DataFrame) -> Verdict:
    """Whether most seeds solve the task (`outcome_of_most`).

    A run is solved when the validation's bit error rate is below 2e-4 and stays there until the end.
    """
    runs = _runs(table)
    rate, median = success_rate(runs["solved"]), median_time(solving(runs))
    when = f"after {median:,.0f} sequences" if median else f"not within {runs['sequences'].median():,.0f} sequences"
    sentence = (
        f"The cost came down to nothing for {rate} of the seeds, in the median {when}; guessing costs"
        f" {table['chance_bits'].iloc[0]:.0f} bits a sequence."
    )
    return verdict_of_most(rate, sentence)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """One line: the seeds that solved the task, when, and the cost of their last batches."""
    runs, last = _runs(table), table.sort_values("sequences").groupby("seed").last()
    return pd.DataFrame(
        [
            {
                "seeds solved": str(success_rate(runs["solved"])),
                "sequences until solved": spread_of_times(runs["sequences_to_solve"], runs["sequences"], 0),
                "cost of the last batches, bits": f"{last['cost_bits'].median():.2f}",
                "wrong bits of the last batches": f"{last['wrong_bits'].median():.2f}",
                "guessing, bits": f"{table['chance_bits'].iloc[0]:.0f}",
            }
        ]
    )


def _runs(table: pd.DataFrame) -> pd.DataFrame:
    """A row for every seed, with the columns of `read_runs` that time to solve is read from."""
    runs = table.groupby("seed")[["sequences_to_solve", "ended"]].first().rename(columns={"ended": "sequences"})
    return runs.assign(solved=runs["sequences_to_solve"].notna())


STUDY = Study(
    name="figure4",
    claim='"Fig. 4. Neural Turing Machine cost per iteration on copy task."',
    sweeps=("copy",),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
)
