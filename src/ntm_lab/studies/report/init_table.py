"""The table of `init`, and constant memories held against learned ones."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from scipy.stats import CensoredData

from ntm_lab.studies.report.contrasts import LEVEL
from ntm_lab.studies.report.learning import behind, read_learning
from ntm_lab.studies.statistics import holm, logrank, median_time, p_value, time_to_event

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
    until it learned (`read_learning`); ``ended``, those it saw in all; ``lost``, whether it was lost again; ``solved``.
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


class Contrast(NamedTuple):
    """Constant against learned memories under one of the settings and weightings."""

    settings: str
    weighting: str
    constant: pd.DataFrame  # runs
    learned: pd.DataFrame
    p: float  # of the logrank test, adjusted after Holm for all contrasts

    @property
    def constant_sooner(self) -> bool:
        return self.p < LEVEL and behind(self.constant["learned"], self.learned["learned"]) < 0

    @property
    def learned_sooner(self) -> bool:
        return self.p < LEVEL and behind(self.constant["learned"], self.learned["learned"]) > 0

    def __str__(self) -> str:
        sides = (f"{_count(runs)} after {_median(runs)}" for runs in (self.constant, self.learned))
        where = f"{SETTINGS[self.settings]}, heads {WEIGHTINGS[self.weighting]}"
        return f"{where}: {' against '.join(sides)} ({p_value(self.p)})"


def contrasts(table: pd.DataFrame) -> list[Contrast]:
    """One for each of the settings and weightings, in the order of the mappings above."""
    found = []
    for settings, weighting, runs in conditions(table):
        constant, learned = (runs[runs["memory"].isin(side)] for side in (CONSTANT, LEARNED))
        found.append(Contrast(settings, weighting, constant, learned, logrank(_times(constant), _times(learned))))
    p_values = holm([contrast.p for contrast in found])
    return [contrast._replace(p=p) for contrast, p in zip(found, p_values, strict=True)]


def conditions(table: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """The runs of each of the settings and weightings that there are, in the order of the mappings above."""
    for settings in SETTINGS:
        for weighting in WEIGHTINGS:
            here = table[(table["settings"] == settings) & (table["weighting"] == weighting)]
            if len(here):
                yield settings, weighting, here


def _times(runs: pd.DataFrame) -> CensoredData:
    """Until they learned."""
    return time_to_event(runs["learned"], runs["ended"])


def _count(runs: pd.DataFrame) -> str:
    return f"{runs['learned'].notna().sum()} of {len(runs)}"


def _median(runs: pd.DataFrame) -> str:
    median = median_time(_times(runs))
    return f"{median:,.0f} sequences" if median else f"more than {runs['ended'].min():,.0f}"
