"""The table of the study of one copied sequence: its signals, and whether every run reads where it wrote."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ntm_lab.evaluation.ablations import storing_steps
from ntm_lab.studies.results import read_runs
from ntm_lab.tasks import Copy
from ntm_lab.tasks.answers import wrong_bits
from ntm_lab.tasks.difficulties import seeded
from ntm_lab.types import Batch
from ntm_lab.zoo.find import find

LENGTH = 20
SEQUENCES = 100  # that every run copies; the first of them is drawn
IN_USE = 0.05  # of a weighting: a slot that is always below is not drawn
SHOWN = ("input", "target", "scored", "output", "add", "reads", "write_weighting", "read_weighting", "memory")


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """Columns ``seed``, ``signal``, ``step``, ``row``, ``value``.

    For every run, with neither step nor row: ``exact``, the share of 100 unseen sequences of length 20 without a wrong
    bit, ``retraced``, the share of their steps of recall at which the read head is where the write head was when it
    stored the same vector, and ``sequences_to_solve`` (missing if unsolved). For the run of the median seed by the
    last, every value above 0.0005 of the signals of one sequence (and 0 in their last corner).
    """
    runs = read_runs(folders["copy"])
    rows: list[dict[str, Any]] = []
    for run in runs.to_dict("records"):
        _, _, task, model = find(run["run"])
        assert isinstance(task, Copy) and model.slots
        batch = task.split("testing").sample(SEQUENCES, {"length": LENGTH}, seeded(0, "figure1"))
        with torch.no_grad():
            signals = model.trace(batch.inputs, signals=["read_weighting", "write_weighting"])
        exact = (wrong_bits(signals["logits"], batch.targets, batch.mask) == 0).float().mean()
        found = {"exact": float(exact), "retraced": retraced(signals, batch, int(task.start_code))}
        found["sequences_to_solve"] = run["sequences_to_solve"]
        rows += [{"seed": run["seed"], "signal": name, "value": value} for name, value in found.items()]
        if run["seed"] == median_seed(runs):
            one = Batch(*(part[:1] for part in batch))
            with torch.no_grad():
                shown = model.trace(one.inputs)
            rows += [{"seed": run["seed"], **value} for value in _values(one, shown)]
    return pd.DataFrame(rows, columns=["seed", "signal", "step", "row", "value"])


def median_seed(runs: pd.DataFrame) -> int:
    """The seed that was solved after as many sequences as the median, the earlier of two; unsolved runs come last."""
    order = runs.sort_values(["sequences_to_solve", "seed"], na_position="last")
    return int(order["seed"].iloc[(len(order) - 1) // 2])


def retraced(signals: Mapping[str, Tensor], batch: Batch, first: int) -> float:
    """The share of steps of recall at which a read head's largest weight is on the slot on which a write head's was
    when it stored the vector to be said; ``first`` is the step of the first vector."""
    asked = storing_steps(batch)
    length = batch.inputs.shape[1] - asked
    reads = signals["read_weighting"][:, asked:].argmax(-1)  # (B, L, R)
    writes = signals["write_weighting"][:, first : first + length].argmax(-1)  # (B, L, H)
    same = reads.unsqueeze(3) == writes.unsqueeze(2)  # (B, L, R, H)
    return float(same.flatten(2).any(2).float().mean())


def _values(batch: Batch, signals: Mapping[str, Tensor]) -> Iterator[dict[str, Any]]:
    """Every value of all that is drawn of one sequence."""
    scored = batch.mask[0].unsqueeze(1)
    slots = in_use(signals)
    shown = {
        "input": batch.inputs[0],
        "target": batch.targets[0],
        "scored": scored,
        "output": signals["logits"][0].sigmoid() * scored,
        "add": signals["add"][0].flatten(1),
        "reads": signals["reads"][0].flatten(1),
        "write_weighting": signals["write_weighting"][0, :, 0, slots],
        "read_weighting": signals["read_weighting"][0, :, 0, slots],
        "memory": signals["memory"][0, -1, slots],
    }
    for name, values in shown.items():
        rounded = values.double().numpy().round(3)
        kept = rounded != 0
        kept[-1, -1] = True  # by which the size is known
        for step, row in np.argwhere(kept):
            yield {"signal": name, "step": int(step), "row": int(row), "value": float(rounded[step, row])}


def in_use(signals: Mapping[str, Tensor]) -> list[int]:
    """The slots that heads visit, and those between: the shortest way round that leaves out none of them."""
    weighting = torch.cat([signals[f"{kind}_weighting"][0] for kind in ("read", "write")], 1)  # (T, K, N)
    used = (weighting.amax((0, 1)) > IN_USE).nonzero().flatten().tolist()
    slots = weighting.shape[2]
    gaps = [(after - before) % slots or slots for before, after in zip(used, [*used[1:], used[0]], strict=True)]
    widest = gaps.index(max(gaps))
    start, length = used[(widest + 1) % len(used)], slots - gaps[widest] + 1
    return [(start + place) % slots for place in range(length)]
