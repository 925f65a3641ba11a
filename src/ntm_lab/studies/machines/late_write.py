"""The label of an image comes a step later: is that what one-shot learning lacked?"""

import pandas as pd
from matplotlib.figure import Figure

from ntm_lab.studies.machines import showings
from ntm_lab.studies.machines.showings import SECOND, compare, seeds_of
from ntm_lab.studies.statistics import p_value
from ntm_lab.studies.study import MIN_SEEDS, TOO_FEW, Study, Verdict, outcome_under

WITH, WITHOUT = "mann", "without_late_write"
MACHINES = (WITH, WITHOUT, "santoro2016")


def judge(table: pd.DataFrame) -> Verdict:
    """Is less wrong with the late write than without it, all else being alike?

    At the second showing and at the last one (`outcome_under` both), by Mann and Whitney's test, adjusted after Holm,
    at a level of 5 %.
    """
    seeds = seeds_of(table, (WITH, WITHOUT))
    if seeds < MIN_SEEDS:
        return Verdict(TOO_FEW, f"There are {seeds} seeds of some arm, and it takes {MIN_SEEDS}.")
    found = compare(table, [(WITH, WITHOUT, showing) for showing in (SECOND, int(table["showing"].max()))])
    said = "; ".join(
        f"at showing {showing} {1 - contrast.first:.1%} are right with it and {1 - contrast.second:.1%} without"
        f" ({p_value(contrast.p)})"
        for (_, _, showing), contrast in found.items()
    )
    outcome = outcome_under(contrast.first_lower for contrast in found.values())
    return Verdict(outcome, f"{said[:1].upper()}{said[1:]}; {seeds} seeds.")


def draw(table: pd.DataFrame) -> Figure:
    """With and without it, by showing."""
    return showings.draw_arms(table, MACHINES)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A line for every arm."""
    return showings.summarise_arms(table, MACHINES)


STUDY = Study(
    name="late_write",
    claim="What one-shot learning lacked is the late write: the label comes a step after its image, when the slot of "
    "the image has been written.",
    sweeps=(showings.SWEEP,),
    measure=showings.measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
    page="machines",
)
