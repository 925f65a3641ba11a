"""The table of `init`, and constant memories compared with learned ones."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from ntm_lab.studies.contrasts import Contrast, Times, contrasts_of_times
from ntm_lab.studies.report.learning import read_learning

GROUP = "choices.experiment/report/init"
SETTINGS = {"ours": "our recipe, rate 1e-2", "collier2018": "Collier and Beel's, rate 1e-3"}
WEIGHTINGS = {
    "first_slot": "on the first slot",
    "near_uniform": "learned, from nearly everywhere",
    "uniform": "everywhere alike",
}
MEMORIES = {
    "constant": "constant",
    "constant trained": "constant, trained",
    "random": "random",
    "random trained": "learned (random, trained)",
}
CONSTANT, LEARNED = ("constant", "constant trained"), ("random trained",)  # the two sides of the claim


def measure(folders: Mapping[str, Path], full: bool) -> pd.DataFrame:
    """A row for every run.

    Columns: ``settings``, ``weighting``, ``memory`` (keys of the mappings above), ``seed``; ``learned``, the sequences
    until it learned (`read_learning`); ``ended``, those it saw in all; ``lost``, whether it forgot again; ``solved``.
    """
    runs = read_learning(folders["init"])
    return pd.DataFrame(
        {
            "settings": runs[GROUP],
            "weighting": runs["choices.memory.weighting"],
            "memory": runs["choices.memory.init"] + runs["memory.init.trainable"].map({True: " trained", False: ""}),
            "seed": runs["seed"],
            "learned": runs["sequences_to_learn"],
            "ended": runs["sequences"],
            "lost": runs["lost"],
            "solved": runs["solved"],
        }
    )


def compare(table: pd.DataFrame) -> dict[tuple[str, str], Contrast]:
    """Constant against learned memories, by the time until they learned, under every setting and weighting."""
    return contrasts_of_times(
        {
            (settings, weighting): (times_of(side(runs, CONSTANT)), times_of(side(runs, LEARNED)))
            for settings, weighting, runs in conditions(table)
        }
    )


def side(runs: pd.DataFrame, memories: Sequence[str]) -> pd.DataFrame:
    """The runs on one side of the claim."""
    return runs[runs["memory"].isin(memories)]


def times_of(runs: pd.DataFrame) -> Times:
    """The times until runs learned."""
    return runs["learned"], runs["ended"]


def conditions(table: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """The runs of each of the settings and weightings that there are, in the order of the mappings above."""
    for settings in SETTINGS:
        for weighting in WEIGHTINGS:
            here = table[(table["settings"] == settings) & (table["weighting"] == weighting)]
            if len(here):
                yield settings, weighting, here
