"""The initial memory: does a constant one stabilise training, compared with a learned one?"""

import math

import pandas as pd

from ntm_lab.studies.contrasts import Contrast
from ntm_lab.studies.report.init_page import draw, summarise
from ntm_lab.studies.report.init_table import (
    CONSTANT,
    LEARNED,
    MEMORIES,
    SETTINGS,
    WEIGHTINGS,
    compare,
    conditions,
    measure,
    side,
)
from ntm_lab.studies.statistics import p_value, success_rate
from ntm_lab.studies.study import MIN_SEEDS, TOO_FEW, Study, Verdict, outcome_under


def judge(table: pd.DataFrame) -> Verdict:
    """By the time until less than 3 % of the bits are wrong: constant memories, kept or trained, against learned ones.

    Whether constant is sooner, under each setting and weighting (`outcome_under`), by logrank tests adjusted after Holm
    at a level of 5 %.
    """
    sizes = table.groupby(["settings", "weighting", "memory"]).size()
    if len(sizes) < len(SETTINGS) * len(WEIGHTINGS) * len(MEMORIES) or sizes.min() < MIN_SEEDS:
        return Verdict(TOO_FEW, f"An arm has fewer than {MIN_SEEDS} seeds.")
    found = compare(table)
    said = {
        (settings, weighting): _said(settings, weighting, runs, found[settings, weighting])
        for settings, weighting, runs in conditions(table)
    }
    sooner = [said[place] for place, contrast in found.items() if contrast.first_lower]
    later = [said[place] for place, contrast in found.items() if contrast.second_lower]
    told = "; ".join([*sooner, *later]) or f"the clearest: {said[min(found, key=lambda place: found[place].p)]}"
    by_weighting = ", ".join(
        f"{success_rate(table.loc[table['weighting'] == weighting, 'learned'].notna())} {name}"
        for weighting, name in WEIGHTINGS.items()
    )
    return Verdict(
        outcome_under(contrast.first_lower for contrast in found.values()),
        f"A constant memory learned sooner than a learned one in {len(sooner)} and later in {len(later)} of"
        f" {len(found)} settings and weightings ({told}). It lost again what it had learned in"
        f" {_lost(side(table, CONSTANT))} runs, a learned one in {_lost(side(table, LEARNED))}. Runs that learned, by"
        f" where heads look at first: {by_weighting}. There are {sizes.min()} seeds of each memory.",
    )


def _said(settings: str, weighting: str, runs: pd.DataFrame, contrast: Contrast) -> str:
    """Both sides under one of the settings and weightings."""
    sides = [(side(runs, CONSTANT), contrast.first), (side(runs, LEARNED), contrast.second)]
    told = " against ".join(
        f"{group['learned'].notna().sum()} of {len(group)} after "
        + (f"{median:,.0f} sequences" if median < math.inf else f"more than {group['ended'].min():,.0f}")
        for group, median in sides
    )
    return f"{SETTINGS[settings]}, heads {WEIGHTINGS[weighting]}: {told} ({p_value(contrast.p)})"


def _lost(runs: pd.DataFrame) -> str:
    learned = runs[runs["learned"].notna()]
    return f"{int(learned['lost'].sum())} of {len(learned)}"


STUDY = Study(
    name="init",
    claim='"Constant memory initialization as opposed to a learned memory bias stabilize training."',
    sweeps=("init",),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
)
