"""A study: a claim or a question, the runs that answer it, and how the answer is read off them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from ntm_lab.studies.statistics import Rate

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
MUDDLED = "the premise is muddled"  # what was claimed mixes things up that have to be asked one by one
TOO_FEW = "too few seeds"
MIN_SEEDS = 5  # of every arm that a verdict rests on


class Verdict(NamedTuple):
    """What became of a claim."""

    outcome: str  # one of the four above
    sentence: str  # with its numbers and the number of seeds


def verdict_of_most(rate: Rate, sentence: str) -> Verdict:
    """The rule for a claim about most seeds, wherever one is judged.

    Reproduced if the interval of the share of seeds is above one half, not reproduced if it is below; too few seeds if
    it is neither, or if there are fewer than five.
    """
    if rate.trials < MIN_SEEDS or not (rate.is_most or rate.is_few):
        return Verdict(TOO_FEW, sentence)
    return Verdict(REPRODUCED if rate.is_most else NOT_REPRODUCED, sentence)


@dataclass(frozen=True)
class Study:
    """One claim, figure or question, and all it takes to answer it by one command.

    Args:
        name: by which it is asked for.
        claim: the words of who claimed it, or the question.
        sweeps: names of the files in ``conf/experiment/report/`` whose runs it needs; a sweep that several studies need
            is trained once.
        measure: the small table that all the rest is made from, of plain values, out of the folders of the sweeps by
            their names and whether they hold the full form. The slow part: it may evaluate trained models.
        draw: the figure of the table.
        judge: the verdict the table leads to.
        summarise: the few lines of the table that stand below the figure.
    """

    name: str
    claim: str
    sweeps: Sequence[str]
    measure: Callable[[Mapping[str, Path], bool], pd.DataFrame]
    draw: Callable[[pd.DataFrame], Figure]
    judge: Callable[[pd.DataFrame], Verdict]
    summarise: Callable[[pd.DataFrame], pd.DataFrame]
