"""Figure 5: what is measured of a tiny sweep, and the verdict on made-up curves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ntm_lab.studies.report.figure5 import STUDY, checkpoints, harder
from ntm_lab.studies.results import read_curves
from ntm_lab.studies.study import IN_PART, REPRODUCED, TOO_FEW

LENGTHS = (1, 10, 20, 60, 120)
Rate = Callable[[int, float], float]


def made_up(rate: Rate, seeds: int = 5) -> pd.DataFrame:
    """Runs of 1,000 sequences, evaluated every 200: half of the bits wrong before the first step, then the share that
    ``rate`` gives for a length and the part of training that is over."""
    rows = [
        {"seed": seed, "sequences": sequences, "length": length, "longest": 20}
        | {"bit_error_rate": 0.5 if sequences == 0 else rate(length, sequences / 1000)}
        for seed in range(seeds)
        for sequences in range(0, 1001, 200)
        for length in LENGTHS
    ]
    table = pd.DataFrame(rows)
    return table.assign(wrong_bits=6 * table["length"] * table["bit_error_rate"])


def learning(length: int, part: float) -> float:
    """Longer ones later, all in the end."""
    return (1 - part) * length / 240


def as_hard(length: int, part: float) -> float:
    return (1 - part) / 2


def shorter_harder(length: int, part: float) -> float:
    return (1 - part) * (0.5 - length / 300)


def but_one(length: int, part: float) -> float:
    """The longest is as bad at the end as untrained."""
    return 0.5 if length == 120 else learning(length, part)


@pytest.mark.parametrize(
    ("rate", "outcome", "parts"),
    [
        (learning, REPRODUCED, ("were harder", "above 0 for 5 of 5", "every length from 1 to 120", "5 of 5 seeds had")),
        (as_hard, IN_PART, ("were not harder", "every length")),
        (shorter_harder, IN_PART, ("were not harder", "above 0 for 0 of 5")),
        (but_one, IN_PART, ("were harder", "not every length", "least sure is 120: p = 1)", "0 of 5 seeds had")),
    ],
)  # fmt: skip
def test_each_half_is_judged(rate: Rate, outcome: str, parts: tuple[str, ...]) -> None:
    verdict = STUDY.judge(made_up(rate))
    assert verdict.outcome == outcome
    for part in parts:
        assert part in verdict.sentence


def test_too_few_seeds() -> None:
    verdict = STUDY.judge(made_up(learning, seeds=4))
    assert verdict[:2] == (TOO_FEW, "There are 4 seeds of the NTM on copy; it takes 5.")


def test_the_untrained_model_says_nothing_of_what_is_harder() -> None:
    """Of the five evaluations after it four rank the lengths, and the last has no error."""
    assert harder(made_up(learning)).tolist() == pytest.approx([0.8] * 5)


@pytest.mark.slow
def test_measure_has_every_length_at_every_evaluation(
    train: Callable[..., Any], tmp_path: Path, tiny_ntm: list[str]
) -> None:
    tiny = [*(setting for setting in tiny_ntm if not setting.startswith("callbacks=")), "callbacks.far.sequences=2"]
    folder = [f"hydra.sweep.dir={tmp_path}", "hydra.sweep.subdir=${hydra.job.num}"]
    ended = train("-m", "experiment=report/copy", *tiny, "test.difficulties=[{length: 2}]", "seed=0,1", *folder)
    assert ended.status == 0, ended.err
    table = STUDY.measure({"copy": tmp_path}, False)
    assert sorted(set(table["length"])) == [1, 5, 10, 15, 20, 30, 40, 60, 80, 100, 120]
    assert table.groupby(["seed", "length"])["sequences"].apply(list).map(tuple).unique().tolist() == [(0, 8, 16, 24)]
    assert set(table["longest"]) == {4}
    longest = table[table["length"] == 120]
    assert longest["wrong_bits"].tolist() == read_curves(tmp_path, ["far_wrong_bits/length_120"])["value"].tolist()
    assert (longest["bit_error_rate"] * 120 * 4).tolist() == pytest.approx(longest["wrong_bits"].tolist())


def test_the_figure_has_a_row_for_every_length_and_a_line_for_every_checkpoint(tmp_path: Path) -> None:
    table = made_up(learning)
    figure = STUDY.draw(table)
    heat, curves = figure.get_axes()[:2]
    assert [label.get_text() for label in heat.get_yticklabels()] == [str(length) for length in LENGTHS]
    image = heat.collections[0].get_array()
    assert image is not None and np.asarray(image).reshape(5, 6)[:, [0, -1]].tolist() == [[0.5, 0]] * 5
    lines = [line for line in curves.get_lines() if len(np.asarray(line.get_xdata())) == len(LENGTHS)]
    assert len(lines) == len(checkpoints(table))
    styles = {(line.get_color(), str(line.get_linestyle()), line.get_marker()) for line in lines}
    assert len(styles) == len(lines)
    figure.savefig(tmp_path / "figure.png")


def test_checkpoints_run_from_the_first_evaluation_to_the_median_end() -> None:
    table = made_up(learning)
    assert checkpoints(table) == [0, 200, 400, 1000]  # a half, 500, is as near to 400
    long = table[table["seed"] == 0].assign(sequences=lambda rows: 10 * rows["sequences"])
    assert checkpoints(pd.concat([table[table["seed"] > 0], long]))[-1] == 1000


def test_the_lines_below_it_carry_on_what_ended() -> None:
    """One run ended, solved, at 600 sequences: at 1,000 it counts as it was."""
    table = made_up(lambda length, part: 0.1 * part)
    short = table[(table["seed"] < 3) & (table["sequences"] <= 600)].assign(
        bit_error_rate=lambda rows: rows["bit_error_rate"].where(rows["sequences"] < 600, 0)
    )
    lines = STUDY.summarise(pd.concat([short, table[table["seed"] >= 3]]))
    assert lines["sequences"].iloc[-1] == "600"  # where the median run ended
    assert lines["length 60"].iloc[-1] == "0.0%"
    assert lines["rank correlation"].iloc[-1] == "0.00"
