"""The report's figure 1: a copy of one unseen sequence, with the memory."""

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ntm_lab.figures.episode import outcome, trace_panels
from ntm_lab.nn.access import NTMAccess
from ntm_lab.studies.report.figure1_table import LENGTH, SEQUENCES, SHOWN, measure
from ntm_lab.studies.statistics import success_rate
from ntm_lab.studies.study import Study, Verdict, verdict_of_most
from ntm_lab.tasks.answers import Bits
from ntm_lab.types import Batch, Kind

RETRACED = 0.99  # of all steps of recall, to count as reading where it was written


def draw(table: pd.DataFrame) -> Figure:
    """The picture of one sequence."""
    parts = {name: _array(table[table["signal"] == name]) for name in SHOWN}
    mask = parts["scored"][:, 0].bool().unsqueeze(0)
    batch = Batch(parts["input"][None], parts["target"][None], mask, torch.tensor([mask.shape[1]]))
    signals = {
        "logits": parts["output"].logit(eps=1e-6)[None],
        "add": parts["add"][None, :, None],
        "reads": parts["reads"][None, :, None],
        "write_weighting": parts["write_weighting"][None, :, None],
        "read_weighting": parts["read_weighting"][None, :, None],
        "memory": parts["memory"][None, None],
    }
    answer, kinds = Bits(parts["target"].shape[1]), {"add": Kind.VECTOR, "reads": Kind.VECTOR, **NTMAccess.signals}
    told, _ = outcome(answer, signals["logits"], batch, None)
    seed, seeds = table.loc[table["signal"] == "input", "seed"].iloc[0], table["seed"].nunique()
    note = f"seed {seed}, the median of {seeds} by time to solve · slots in use, counted from the first"
    return trace_panels(batch, signals, kinds, answer, f"copy · NTM · {told}", note=note).figure()


def _array(part: pd.DataFrame) -> Tensor:
    """Values (step, row), those that are not in the table being 0."""
    steps, rows = part["step"].astype(int).to_numpy(), part["row"].astype(int).to_numpy()
    values = np.zeros((steps.max() + 1, rows.max() + 1), dtype=np.float32)
    values[steps, rows] = part["value"]
    return torch.from_numpy(values)


def judge(table: pd.DataFrame) -> Verdict:
    """Whether most runs (`outcome_of_most`) both copy 100 unseen sequences without an error and read, on 99 % of the
    steps, where they had written."""
    runs = _runs(table)
    right = runs["exact"] == 1
    rate = success_rate(right & (runs["retraced"] >= RETRACED))
    sentence = (
        f"{rate.successes} of {rate.trials} seeds (95 % interval {rate.low:.0%} to {rate.high:.0%}) copy {SEQUENCES} "
        f"unseen sequences of length {LENGTH} without an error and read the vectors, on at least {RETRACED:.0%} of the "
        f"steps, from where they had written them; {right.sum()} make no error at all."
    )
    return verdict_of_most(rate, sentence)


def _runs(table: pd.DataFrame) -> pd.DataFrame:
    """A row for every seed."""
    return table[table["signal"].isin(["exact", "retraced", "sequences_to_solve"])].pivot(
        index="seed", columns="signal", values="value"
    )


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    runs = _runs(table).reset_index()
    return pd.DataFrame(
        {
            "seed": runs["seed"],
            "sequences to solve": runs["sequences_to_solve"],
            "exact sequences": runs["exact"].map("{:.0%}".format),
            "reads where it wrote": runs["retraced"].map("{:.1%}".format),
        }
    )


STUDY = Study(
    name="figure1",
    claim="Successful copy task. The NTM reads in the input, outputting nothing, until it reaches the end code. Then "
    "it must output the entire sequence it has seen.",
    sweeps=("copy",),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
)
