"""One-shot classification by every machine: does the MANN beat the others?"""

import pandas as pd
from matplotlib.figure import Figure

from ntm_lab.studies.machines import showings
from ntm_lab.studies.machines.showings import ARMS, SECOND, compare, seeds_of
from ntm_lab.studies.statistics import p_value
from ntm_lab.studies.study import MIN_SEEDS, NOT_REPRODUCED, REPRODUCED, TOO_FEW, Study, Verdict, verdict_of_parts

RIVALS = ("ntm", "lstm")  # of the claim
MACHINES = ("mann", "ntm", "dnc", "lstm")


def judge(table: pd.DataFrame) -> Verdict:
    """Is less wrong at the second showing of a class with a MANN than with an NTM, and than with an LSTM?

    By Mann and Whitney's test, adjusted after Holm, at a level of 5 %; `verdict_of_parts`.
    """
    seeds = seeds_of(table, ("mann", *RIVALS))
    if seeds < MIN_SEEDS:
        return Verdict(TOO_FEW, f"There are {seeds} seeds of some machine, and it takes {MIN_SEEDS}.")
    found = compare(table, [("mann", rival, SECOND) for rival in RIVALS])
    parts = {
        f"than the {ARMS[rival]}": REPRODUCED if contrast.first_lower else NOT_REPRODUCED
        for (_, rival, _), contrast in found.items()
    }
    said = ", ".join(
        f"{1 - contrast.second:.1%} of the {ARMS[rival]} ({p_value(contrast.p)})"
        for (_, rival, _), contrast in found.items()
    )
    right = 1 - next(iter(found.values())).first
    return verdict_of_parts(
        parts,
        f"At the second showing {right:.1%} of the MANN's answers are right, against {said}; {seeds} seeds. Each has a"
        " recipe of its own, all have the same controller size, rate and memory.",
    )


def draw(table: pd.DataFrame) -> Figure:
    """The machines, by showing."""
    return showings.draw_arms(table, MACHINES)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A line for every machine."""
    return showings.summarise_arms(table, MACHINES)


STUDY = Study(
    name="one_shot",
    claim="The MANN beats NTM and LSTM at one-shot learning (Santoro et al. 2016): more is right the second time that "
    "a class is shown.",
    sweeps=(showings.SWEEP,),
    measure=showings.measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
    page="machines",
)
