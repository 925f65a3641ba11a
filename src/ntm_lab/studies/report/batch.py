"""Is a batch larger than 1 important for generalisation? NTM and LSTM at seven batch sizes."""

from collections.abc import Mapping

import pandas as pd

from ntm_lab.studies.contrasts import Contrast, contrasts
from ntm_lab.studies.report.batch_page import draw, summarise
from ntm_lab.studies.report.batch_table import (
    MODELS,
    batches_of,
    compared_length,
    ends_of,
    measure,
    one_meanwhile,
    tests_of,
)
from ntm_lab.studies.study import MIN_SEEDS, TOO_FEW, Study, Verdict, outcome_under


def _senses(table: pd.DataFrame, model: str) -> dict[str, dict[int, Contrast]]:
    """Batch 1 against every larger one, after the same sequences and after the same seconds."""
    larger, length = batches_of(table)[1:], compared_length(table, model)
    of_one = tests_of(table, model, 1, length)
    return {
        f"at length {length} after the same sequences": contrasts(
            {batch: (of_one, tests_of(table, model, batch, length)) for batch in larger}
        ),
        "in validation after the same seconds": contrasts(
            {
                batch: (one_meanwhile(table, model, batch), ends_of(table, model, batch)["value"].to_numpy())
                for batch in larger
            }
        ),
    }


def judge(table: pd.DataFrame) -> Verdict:
    """Batch 1 against every larger one by the share of wrong bits, in four senses: for NTM and LSTM, in the test beyond
    the lengths of training (`TIMES`) after the same sequences, and in the validation after the same seconds.

    It holds in a sense if some larger batch is better (Mann–Whitney at 5 %, Holm over the batch sizes); `outcome_under`
    combines the senses.
    """
    seeds = min(len(ends_of(table, model, batch)) for model in MODELS for batch in batches_of(table))
    if seeds < MIN_SEEDS:
        return Verdict(TOO_FEW, f"A model has only {seeds} seeds at some batch size.")
    senses = {
        f"{name} {sense}": found for model, name in MODELS.items() for sense, found in _senses(table, model).items()
    }
    better = [any(contrast.second_lower for contrast in found.values()) for found in senses.values()]
    said = [f"{sense} {_sides(found)}" for sense, found in senses.items()]
    sentence = f"By the share of wrong bits, against batch 1: {'; '.join(said)}; {seeds} seeds of each."
    return Verdict(outcome_under(better), sentence)


def _sides(found: Mapping[int, Contrast]) -> str:
    """The batch sizes that are better and worse than 1."""
    better = [str(batch) for batch, contrast in found.items() if contrast.second_lower]
    worse = [str(batch) for batch, contrast in found.items() if contrast.first_lower]
    return f"better with {', '.join(better) or 'none'} and worse with {', '.join(worse) or 'none'}"


STUDY = Study(
    name="batch",
    claim='"Using a batch size larger than 1 is important for generalization abilities."',
    sweeps=("batch",),
    measure=measure,
    draw=draw,
    judge=judge,
    summarise=summarise,
)
