"""NTM and LSTM: what is measured of a tiny sweep, and the verdict on made-up shares of wrong bits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ntm_lab.studies.report.baseline import NAMES, STUDY
from ntm_lab.studies.study import NOT_REPRODUCED, REPRODUCED, TOO_FEW

TINY = [
    *("max_sequences=8", "data.batch_size=4", "data.validate_every=4", "data.validation_sequences=2"),
    *("data.validation_rungs=1", "task.lengths=[1,2]", "test.difficulties=[{length: 2},{length: 4}]"),
    "test.sequences=2",
]
LENGTHS = (5, 10, 20, 40, 120)
FAR = {"ntm": 120, "lstm": 5}  # the longest that is known
NOTHING = {"ntm": 120, "lstm": 1}


def made_up(long: dict[str, int], short: dict[str, int], seeds: int = 5, forgetful: int = 0) -> pd.DataFrame:
    """Sequences are known up to a length of each model, those trained on lengths up to 20 and up to 5; of the short
    LSTMs the first `forgetful` know nothing."""
    rows: list[dict[str, Any]] = []
    for arm in NAMES:
        known = (short if arm.startswith("short") else long)["ntm" if "ntm" in arm else "lstm"]
        longest = 5 if arm.startswith("short") else 20
        for seed in range(seeds):
            run = {"arm": arm, "seed": seed, "parameters": 100, "longest": longest}
            for sequences in (800, 1600):
                row = {"sequences": sequences, "seconds": sequences / 500}
                rows.append(run | row | {"kind": "curve", "value": 20 - sequences / 100})
            for length in LENGTHS:
                forgets = arm == "short_lstm" and seed < forgetful
                value = 0.4 if length > known or forgets else 0.01
                rows.append(run | row | {"kind": "test", "length": length, "value": value})
    return pd.DataFrame(rows)


@pytest.mark.slow
def test_measure_has_validations_and_tests_of_every_run(train: Callable[..., Any], tmp_path: Path) -> None:
    params = ["experiment/report/baseline=ntm_feedforward,short_lstm", "seed=0", f"hydra.sweep.dir={tmp_path}"]
    ended = train("-m", "experiment=report/baseline", *params, *TINY)
    assert ended.status == 0, ended.err
    table = STUDY.measure({"baseline": tmp_path}, False)
    assert table.groupby(["arm", "kind"])["sequences"].apply(list).to_dict() == {
        (arm, kind): sequences
        for arm in ("ntm_feedforward", "short_lstm")
        for kind, sequences in (("curve", [4, 8]), ("test", [8, 8]))
    }
    tests = table[table["kind"] == "test"]
    assert tests["length"].tolist() == [2, 4, 2, 4]
    assert tests["value"].between(0.2, 0.8).all()  # nothing is learned in two steps


def test_reproduced_by_those_that_learned() -> None:
    verdict = STUDY.judge(made_up(NOTHING, FAR))
    assert verdict.outcome == REPRODUCED
    for part in ("up to 20, 5 NTMs and 0 LSTMs learn them", "0 of 5 (0% to 43%) LSTMs know twice", "5 seeds"):
        assert part in verdict.sentence


def test_not_reproduced_if_the_lstm_holds_as_far() -> None:
    assert STUDY.judge(made_up(NOTHING, {"ntm": 120, "lstm": 10})).outcome == NOT_REPRODUCED


def test_not_reproduced_if_the_ntm_holds_no_further() -> None:
    assert STUDY.judge(made_up(NOTHING, {"ntm": 5, "lstm": 5})).outcome == NOT_REPRODUCED


def test_not_reproduced_if_one_of_the_pairs_says_otherwise() -> None:
    assert STUDY.judge(made_up({"ntm": 120, "lstm": 40}, FAR)).outcome == NOT_REPRODUCED


def test_too_few_if_too_few_have_learned() -> None:
    """Four of five LSTMs: how far does the fifth hold?"""
    verdict = STUDY.judge(made_up(NOTHING, FAR, forgetful=1))
    assert verdict.outcome == TOO_FEW
    assert "up to 5, 5 NTMs and 4 LSTMs learn them, too few" in verdict.sentence


def test_too_few_seeds() -> None:
    verdict = STUDY.judge(made_up(NOTHING, FAR, seeds=4))
    assert verdict.outcome == TOO_FEW and "4 seeds" in verdict.sentence


def test_the_figure_has_curves_and_lengths_of_both_ranges() -> None:
    figure = STUDY.draw(made_up(NOTHING, FAR))
    assert [axis.get_xlabel() for axis in figure.axes] == 2 * [
        "sequences seen",
        "seconds of training",
        "length (grey: of training)",
    ]
    assert [len(figure.axes[place].lines) for place in (2, 5)] == [5, 3]  # an arm each, and guessing
    short, long = figure.axes[5].lines[1], figure.axes[2].lines[3]
    assert short.get_color() == long.get_color() and list(short.get_xdata()) == list(LENGTHS)
    figure.draw_without_rendering()


def test_the_summary_tells_learned_from_generalised() -> None:
    summary = STUDY.summarise(made_up(NOTHING, FAR)).set_index("arm")
    line = summary.loc["LSTM 1x256, lengths 1 to 5"]
    assert (line["learned"], line["generalises"]) == ("5 of 5 (57% to 100%)", "0 of 5 (0% to 43%)")
    assert line["% wrong at twice that"].startswith("40.0")
