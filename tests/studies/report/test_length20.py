"""The study of accuracy at length 20, on made-up tables and on one tiny run."""

import io
from pathlib import Path

import pandas as pd
import pytest

from ntm_lab.studies.report import length20
from ntm_lab.studies.study import NOT_REPRODUCED, REPRODUCED, TOO_FEW


def made(*exact: int, n: int = 10_000) -> pd.DataFrame:
    """A seed for every number of exact sequences."""
    return pd.DataFrame(
        {
            "seed": range(len(exact)),
            "sequences": 8000,
            "seconds": 4.0,
            "n": n,
            "exact": exact,
            "wrong_bits": [60 * (1 - share / n) for share in exact],
            "cost_bits": 0.1,
            "overlap": 0.0,
        }
    )


@pytest.mark.parametrize(
    ("table", "outcome"),
    [
        pytest.param(made(*[10_000] * 5), REPRODUCED, id="all"),
        pytest.param(made(*[9_990] * 8, 0, 0), TOO_FEW, id="eight of ten may be half of all"),
        pytest.param(made(*[9_990] * 9, 0), REPRODUCED, id="nine of ten are more"),
        pytest.param(made(*[9_940] * 10), NOT_REPRODUCED, id="99.4 %"),
        pytest.param(made(*[199] * 10, n=199), NOT_REPRODUCED, id="too few sequences to be sure"),
        pytest.param(made(*[10_000] * 4), TOO_FEW, id="four seeds"),
    ],
)
def test_verdicts(table: pd.DataFrame, outcome: str) -> None:
    verdict = length20.judge(table)
    assert verdict.outcome == outcome
    assert f"{len(table)} seeds" in verdict.sentence


def test_the_sentence_has_the_numbers() -> None:
    sentence = length20.judge(made(*[10_000] * 6, 9_990)).sentence
    assert "7 of 7 seeds (95 % interval 65% to 100%)" in sentence
    assert "6 of them all; the worst seed 99.90% (99.82% to 99.95%)" in sentence


def test_a_tiny_run_is_tested_on_all_the_sequences(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(length20, "SEQUENCES", 40)
    table = length20.measure({"copy": finished}, full=False)
    assert table[["seed", "n", "exact"]].to_numpy().tolist() == [[0, 40, 0]]
    assert 20 < table["wrong_bits"][0] < 60  # of 80, learned is nothing yet
    read_back = pd.read_csv(io.StringIO(table.to_csv(index=False)))
    assert length20.judge(read_back).outcome == TOO_FEW
    assert length20.summarise(read_back)["exact sequences"].tolist() == ["0 of 40"]


def test_a_summary_line_for_every_seed() -> None:
    lines = length20.summarise(made(10_000, 9_990))
    assert lines["exact sequences"].tolist() == ["10,000 of 10,000", "9,990 of 10,000"]
    assert lines["95 % interval"].tolist() == ["99.96% to 100.00%", "99.82% to 99.95%"]
