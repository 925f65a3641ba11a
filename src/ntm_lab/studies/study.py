"""A study: a claim or a question, the runs that answer it, and the rules for the answer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from ntm_lab.studies.statistics import Rate

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
IN_PART = "reproduced in part"  # one part of the claim is reproduced, another is not
DEPENDS = "depends on the conditions"  # it holds under some conditions that the claim lumps together
TOO_FEW = "too few seeds"
MIN_SEEDS = 5  # of every arm of a verdict


class Verdict(NamedTuple):
    """The verdict on a claim."""

    outcome: str  # one of the five above
    sentence: str  # with its numbers and the number of seeds
    parts: Mapping[str, str] = MappingProxyType({})  # the outcome of each part of a claim with several


# The rules of all verdicts.


def outcome_of_most(rate: Rate) -> str:
    """Whether it holds for most seeds: reproduced if the interval of their share is above one half, not reproduced if
    it is below; too few seeds if it is neither, or if there are fewer than five."""
    if rate.trials < MIN_SEEDS or not (rate.is_most or rate.is_few):
        return TOO_FEW
    return REPRODUCED if rate.is_most else NOT_REPRODUCED


def outcome_of_every(cases: Iterable[str]) -> str:
    """Whether it holds in every case, from the outcomes of each: reproduced if it is in all, not reproduced if there is
    one where it is not; else too few seeds."""
    found = {*cases}
    return NOT_REPRODUCED if NOT_REPRODUCED in found else REPRODUCED if found == {REPRODUCED} else TOO_FEW


def outcome_under(conditions: Iterable[bool]) -> str:
    """Whether it holds, from whether it does under each of several conditions that the claim does not tell apart:
    reproduced if under all, not reproduced if under none; else it depends on them."""
    held = [*conditions]
    return REPRODUCED if all(held) else DEPENDS if any(held) else NOT_REPRODUCED


def verdict_of_most(rate: Rate, sentence: str) -> Verdict:
    """The verdict on a claim about most seeds, see `outcome_of_most`."""
    return Verdict(outcome_of_most(rate), sentence)


def verdict_of_parts(parts: Mapping[str, str], sentence: str) -> Verdict:
    """The verdict on a claim with several parts, from the outcome of each, by its words.

    It is the outcome of the parts if they agree. Otherwise: reproduced in part if one is reproduced, else dependent on
    the conditions if one is, else not reproduced.
    """
    found = {*parts.values()}
    if len(found) == 1:
        return Verdict(found.pop(), sentence, parts)
    return Verdict(IN_PART if REPRODUCED in found else DEPENDS if DEPENDS in found else NOT_REPRODUCED, sentence, parts)


@dataclass(frozen=True)
class Study:
    """One claim, figure or question, with all that answers it by one command.

    Args:
        name: as on the command line.
        claim: the claim in its author's words, or the question.
        sweeps: names of the files in ``conf/experiment/<page>/`` whose runs it needs; a sweep that several studies need
            is trained once.
        measure: the small table that all the rest is made from, of plain values, out of the folders of the sweeps by
            their names and whether they hold the full form. The slow part: it may evaluate trained models.
        draw: the figure of the table; None: its sentence says it all.
        judge: the verdict the table leads to.
        summarise: the few lines of the table that stand below the figure.
        page: on which it stands, see `ntm_lab.studies.pages`.
    """

    name: str
    claim: str
    sweeps: Sequence[str]
    measure: Callable[[Mapping[str, Path], bool], pd.DataFrame]
    draw: Callable[[pd.DataFrame], Figure] | None
    judge: Callable[[pd.DataFrame], Verdict]
    summarise: Callable[[pd.DataFrame], pd.DataFrame]
    page: str = "report"
