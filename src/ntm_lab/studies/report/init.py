"""What is in the memory before the first step: does a constant memory stabilise training, as against a learned one?"""

from collections.abc import Sequence

import pandas as pd

from ntm_lab.studies.report.init_page import draw, summarise
from ntm_lab.studies.report.init_table import (
    CONSTANT,
    LEARNED,
    MEMORIES,
    SETTINGS,
    WEIGHTINGS,
    contrasts,
    measure,
)
from ntm_lab.studies.statistics import success_rate
from ntm_lab.studies.study import MIN_SEEDS, MUDDLED, NOT_REPRODUCED, REPRODUCED, TOO_FEW, Study, Verdict


def judge(table: pd.DataFrame) -> Verdict:
    """By the time until less than 3 % of the bits are wrong: constant memories, kept or trained, against learned ones.

    Logrank tests, one for each setting and weighting, adjusted after Holm, at a level of 5 %. Reproduced: constant is
    sooner somewhere and later nowhere. Muddled: sooner here and later there, so that it is not the memory that decides.
    Not reproduced: sooner nowhere.
    """
    sizes = table.groupby(["settings", "weighting", "memory"]).size()
    if len(sizes) < len(SETTINGS) * len(WEIGHTINGS) * len(MEMORIES) or sizes.min() < MIN_SEEDS:
        return Verdict(TOO_FEW, f"Of some arm there are fewer than {MIN_SEEDS} seeds.")
    found = contrasts(table)
    sooner = [contrast for contrast in found if contrast.constant_sooner]
    later = [contrast for contrast in found if contrast.learned_sooner]
    outcome = (MUDDLED if later else REPRODUCED) if sooner else NOT_REPRODUCED
    told = "; ".join(map(str, [*sooner, *later])) or f"the clearest: {min(found, key=lambda contrast: contrast.p)}"
    by_weighting = ", ".join(
        f"{success_rate(table.loc[table['weighting'] == weighting, 'learned'].notna())} {name}"
        for weighting, name in WEIGHTINGS.items()
    )
    return Verdict(
        outcome,
        f"A constant memory learned sooner than a learned one in {len(sooner)} and later in {len(later)} of"
        f" {len(found)} settings and weightings ({told}). It lost again what it had learned in {_lost(table, CONSTANT)}"
        f" runs, a learned one in {_lost(table, LEARNED)}. Runs that learned, by where heads look at first:"
        f" {by_weighting}. There are {sizes.min()} seeds of each memory.",
    )


def _lost(table: pd.DataFrame, memories: Sequence[str]) -> str:
    runs = table[table["memory"].isin(memories) & table["learned"].notna()]
    return f"{int(runs['lost'].sum())} of {len(runs)}"


STUDY = Study(
    name="init",
    claim='"Constant memory initialization as opposed to a learned memory bias stabilize training."',
    sweeps=("init",),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
)
