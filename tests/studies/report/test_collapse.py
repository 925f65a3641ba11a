"""The study of collapse: what counts as one, verdicts on made-up tables, and two tiny runs of the sweep itself."""

import io
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ntm_lab.studies.report import collapse, collapse_table
from ntm_lab.studies.report.collapse import STUDY
from ntm_lab.studies.report.collapse_table import LENGTHS, of_part
from ntm_lab.studies.study import IN_PART, NOT_REPRODUCED, REPRODUCED, TOO_FEW

SLOTS = 16
UNIFORM, SHARP = math.log2(SLOTS), 0.5


def curve(write_storing: Sequence[float], read_recalling: float = SHARP) -> pd.DataFrame:
    """Entropies at every 100 sequences."""
    own = pd.DataFrame({"sequences": [100 * (place + 1) for place in range(len(write_storing))]})
    return own.assign(
        write_storing=write_storing, write_recalling=SHARP, read_storing=UNIFORM, read_recalling=read_recalling
    )


@pytest.mark.parametrize(
    ("entropies", "solved", "since"),
    [
        pytest.param(curve([UNIFORM] * 3), False, 100, id="from the start"),
        pytest.param(curve([UNIFORM, SHARP, UNIFORM, UNIFORM]), False, 300, id="since it fell back"),
        pytest.param(curve([SHARP, SHARP], read_recalling=UNIFORM), False, 100, id="the read head"),
        pytest.param(curve([SHARP, 0.91 * UNIFORM]), False, 200, id="nearly uniform"),
        pytest.param(curve([UNIFORM, 0.89 * UNIFORM]), False, None, id="not quite"),
        pytest.param(curve([UNIFORM, SHARP]), False, None, id="once, not at the end"),
        pytest.param(curve([SHARP, UNIFORM]), True, None, id="but solved"),
    ],
)
def test_what_counts_as_collapsed(entropies: pd.DataFrame, solved: bool, since: int | None) -> None:
    outcome = collapse_table._outcome(entropies, SLOTS, solved)
    assert outcome["collapsed"] == (since is not None)
    assert outcome["since"] == since
    assert outcome["sequences"] == 100 * len(entropies)


def test_a_thinned_curve_keeps_its_end() -> None:
    assert len(collapse_table._thinned(curve([SHARP] * 25))) == 25
    thinned = collapse_table._thinned(curve([SHARP] * 120))
    assert len(thinned) == 24 and thinned["sequences"].iloc[-1] == 12_000


def run_row(arm: str, seed: int, collapsed: bool) -> dict[str, Any]:
    entropy = UNIFORM if collapsed else SHARP
    entropies = dict.fromkeys(collapse_table.ENTROPIES, entropy)
    since = 400.0 if collapsed else None
    about = {"part": "run", "arm": arm, "seed": seed, "slots": SLOTS, "sequences": 8000}
    return about | {"solved": not collapsed, "collapsed": collapsed, "since": since} | entropies


def ablation_rows(arm: str, seed: int, kept: Sequence[int]) -> list[dict[str, Any]]:
    """Of a model that has half of all bits wrong that chance has, and without reads all, but at lengths ``kept``."""
    return [
        {"part": "ablation", "arm": arm, "seed": seed, "ablation": name, "length": length, "chance": 3 * length}
        | {"wrong_bits": 3 * length * (0.5 if name == "intact" or length in kept else 1)}
        for length in LENGTHS
        for name in ("intact", "reads zeroed", "slots shuffled", "memory frozen", "memory cleared")
    ]


def made(report: Sequence[bool], kept: Sequence[int] = (), healthy: int = 5) -> pd.DataFrame:
    """A table as it comes back from its file: which runs of the report collapsed, and what they keep without reads."""
    rows = [run_row("recipe", seed, False) for seed in range(healthy)]
    rows += [run_row("report", seed, collapsed) for seed, collapsed in enumerate(report)]
    for own in rows[:]:
        about = {"part": "curve", "arm": own["arm"], "seed": own["seed"]}
        rows += [about | point for point in curve([own["write_storing"]] * 3).to_dict("records")]
    for seed in range(healthy):
        rows += ablation_rows("recipe", seed, ())
    for seed, collapsed in enumerate(report):
        rows += ablation_rows("report", seed, kept) if collapsed else []
    return pd.read_csv(io.StringIO(pd.DataFrame(rows).to_csv(index=False)), keep_default_na=False, na_values=[""])


@pytest.mark.parametrize(
    ("table", "outcome"),
    [
        pytest.param(made([True] * 6, kept=LENGTHS), REPRODUCED, id="all in the controller"),
        pytest.param(made([True] * 6, kept=(1, 2, 3)), IN_PART, id="short ones in the controller"),
        pytest.param(made([True] * 6, kept=()), IN_PART, id="nothing without the memory"),
        pytest.param(made([False] * 6), NOT_REPRODUCED, id="no collapse"),
        pytest.param(made([True, False] * 3, kept=LENGTHS), TOO_FEW, id="half of six"),
        pytest.param(made([True] * 4, kept=LENGTHS), TOO_FEW, id="four seeds"),
        pytest.param(made([]), TOO_FEW, id="no seed"),
    ],
)
def test_verdicts(table: pd.DataFrame, outcome: str) -> None:
    assert collapse.judge(table).outcome == outcome


def test_the_halves_of_the_claim_are_judged_one_by_one() -> None:
    parts = collapse.judge(made([True] * 6, kept=(1, 2, 3))).parts
    assert [*parts.values()] == [REPRODUCED, NOT_REPRODUCED]
    assert [*collapse.judge(made([False] * 6)).parts.values()] == [NOT_REPRODUCED]  # nothing to ask the other of


def test_the_sentence_has_the_numbers() -> None:
    sentence = collapse.judge(made([True] * 6, kept=(1, 2))).sentence
    assert "combination 6 of 6 (61% to 100%) runs collapse, half of them since 400 sequences" in sentence
    assert "recipe 0 of 5 (0% to 43%)" in sentence
    assert "With zeroed reads 6, 6, 0, 0, 0, 0 of 6 collapsed models of all settings keep 90%" in sentence
    assert "of sequences of 1, 2, 3, 5, 10, 20 vectors: clearly most of them at 1, 2 only." in sentence


def test_what_a_model_keeps_is_measured_by_what_it_knew() -> None:
    """A wrong bit more of three is much of half a bit known, and little of three."""
    table = made([True] * 5, kept=LENGTHS)
    intact = table["ablation"] == "intact"
    table.loc[intact & (table["length"] == 1), "wrong_bits"] = 0.0  # without reads 1.5
    table.loc[intact & (table["length"] == 20), "wrong_bits"] = 28.0  # without reads 30
    kept = collapse.without_reads(table)
    assert {length: rate.successes for length, rate in kept.items()} == dict.fromkeys(LENGTHS, 5) | {1: 0}


def test_summary_is_ordered_by_how_often_it_collapses() -> None:
    lines = collapse.summarise(made([True] * 6))
    assert lines["settings"].tolist() == ["the report's combination", "our recipe"]
    assert lines["collapsed"].tolist() == ["6 of 6 (61% to 100%)", "0 of 5 (0% to 43%)"]
    assert lines["since (median), sequences"].tolist() == ["400", "–"]
    assert lines["write storing, bits"].tolist() == ["4.00", "0.50"]


def test_the_figure_has_rates_entropies_and_ablations() -> None:
    rates, entropy, ablations = STUDY.draw(made([True] * 6, kept=(1, 2))).axes
    assert [text.get_text() for text in rates.texts] == ["0 of 5", "6 of 6"]
    assert [label.get_text() for label in rates.get_yticklabels()] == ["our recipe", "the report's combination"]
    names = entropy.get_legend_handles_labels()[1]
    assert names == ["collapsed, 6 runs", "solved, 5 runs", "uniform over 16 slots"]
    drawn = dict(zip(reversed(ablations.get_legend_handles_labels()[1]), reversed(ablations.containers), strict=True))
    assert drawn["collapsed: intact"][0].get_ydata() == pytest.approx([0.5] * 6)
    assert drawn["collapsed: reads zeroed"][0].get_ydata() == pytest.approx([0.5, 0.5, 1, 1, 1, 1])
    assert drawn["solved: reads zeroed"][0].get_ydata() == pytest.approx([1] * 6)


def test_without_a_collapse_the_figure_is_drawn_all_the_same() -> None:
    entropy = STUDY.draw(made([False] * 5)).axes[1]
    assert entropy.get_legend_handles_labels()[1] == ["solved, 10 runs", "uniform over 16 slots"]


@pytest.fixture(scope="module")
def sweep(train: Callable[..., Any], tiny_ntm: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms of the sweep, tiny."""
    folder = tmp_path_factory.mktemp("sweep")
    for arm in ("recipe", "uniform_start"):
        arms = ["experiment=report/collapse", f"experiment/report/collapse={arm}"]
        with warnings.catch_warnings(action="ignore"):  # that slots are all alike is what is wanted
            ended = train(*arms, *tiny_ntm, "callbacks=addressing", f"hydra.run.dir={folder / arm}")
        assert ended.status == 0, ended.err
    return folder


@pytest.mark.slow
def test_two_tiny_runs(sweep: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder) -> None:
    monkeypatch.setattr(collapse_table, "SEQUENCES", 20)
    table = STUDY.measure({"collapse": sweep}, False)
    assert not [warning for warning in recwarn if "alike" in str(warning.message)]
    table = pd.read_csv(io.StringIO(table.to_csv(index=False)))
    runs = of_part(table, "run").set_index("arm")
    assert runs["collapsed"].to_dict() == {"recipe": False, "uniform_start": True}
    assert runs.loc["uniform_start", "since"] == 8  # its first validation
    for name in collapse_table.ENTROPIES:
        assert runs.loc["uniform_start", name] == pytest.approx(UNIFORM, abs=1e-4)
        assert runs.loc["recipe", name] < 0.9 * UNIFORM
    for _, points in of_part(table, "curve").groupby("arm"):
        assert points["sequences"].tolist() == [8, 16, 24]
    ablations = of_part(table, "ablation")
    assert set(ablations["arm"]) == {"uniform_start"}  # the other is neither collapsed nor solved
    assert set(ablations["chance"] / ablations["length"]) == {2}  # of four bits
    wrong = ablations.pivot(index="length", columns="ablation", values="wrong_bits")
    assert wrong.shape == (len(LENGTHS), 6)
    assert (wrong["slots shuffled"] == wrong["intact"]).all()  # all slots are alike
    STUDY.draw(table)
    assert STUDY.judge(table).outcome == TOO_FEW
