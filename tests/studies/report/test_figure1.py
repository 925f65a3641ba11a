"""The study of one copied sequence: what counts as reading where it was written, which slots are drawn, the panels."""

import io
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch.nn.functional import one_hot

from ntm_lab.studies.report import figure1
from ntm_lab.studies.report.figure1_table import SHOWN, in_use, measure, median_seed, retraced
from ntm_lab.studies.study import NOT_REPRODUCED, REPRODUCED, TOO_FEW
from ntm_lab.tasks import Copy
from ntm_lab.types import Batch

SLOTS = 8


@pytest.fixture
def batch() -> Batch:
    """Start code, three vectors, end code, three answers."""
    return Copy(bits=2, start_code=True).sample(1, {"length": 3}, torch.Generator().manual_seed(0))


def weighting(*slots: int) -> torch.Tensor:
    """Of one head that is on one slot at every step, (1, T, 1, SLOTS)."""
    return one_hot(torch.tensor(slots), SLOTS)[None, :, None].float()


@pytest.mark.parametrize(
    ("reads", "share"),
    [
        pytest.param((2, 3, 4), 1.0, id="all"),
        pytest.param((2, 3, 5), 2 / 3, id="the last elsewhere"),
        pytest.param((1, 2, 3), 0.0, id="always one behind"),
    ],
)
def test_retraced_compares_recall_with_storing(batch: Batch, reads: tuple[int, ...], share: float) -> None:
    signals = {
        "write_weighting": weighting(1, 2, 3, 4, 5, 6, 7, 0),
        "read_weighting": weighting(0, 0, 0, 0, 1, *reads),
    }
    assert retraced(signals, batch, first=1) == pytest.approx(share)


def test_of_two_write_heads_either_will_do(batch: Batch) -> None:
    idle = weighting(*[0] * 8)
    signals = {
        "write_weighting": torch.cat([idle, weighting(1, 2, 3, 4, 5, 6, 7, 0)], 2),
        "read_weighting": torch.cat([weighting(0, 0, 0, 0, 1, 2, 3, 4), idle], 2),
    }
    assert retraced(signals, batch, first=1) == 1


@pytest.mark.parametrize(
    ("writes", "reads", "slots"),
    [
        pytest.param((1, 2, 3), (1, 1, 2), [1, 2, 3], id="in the middle"),
        pytest.param((7, 0, 1), (6, 7, 0), [6, 7, 0, 1], id="round the end"),
        pytest.param((0, 5), (0, 0), [5, 6, 7, 0], id="with those between, the shorter way"),
        pytest.param((3, 3), (3, 3), [3], id="one"),
        pytest.param(range(8), range(8), [0, 1, 2, 3, 4, 5, 6, 7], id="all"),
    ],
)
def test_slots_in_use(writes: tuple[int, ...], reads: tuple[int, ...], slots: list[int]) -> None:
    signals = {"write_weighting": weighting(*writes), "read_weighting": weighting(*reads)}
    found = in_use(signals)
    assert sorted(found) == sorted(slots) if len(slots) == SLOTS else found == slots


def test_the_median_seed() -> None:
    def runs(*times: float | None) -> pd.DataFrame:
        return pd.DataFrame({"seed": range(len(times)), "sequences_to_solve": times})

    assert median_seed(runs(300, 100, 200)) == 2
    assert median_seed(runs(300, 100, 200, 400)) == 2  # the earlier of two
    assert median_seed(runs(None, 100, None)) == 0  # the unsolved are last


def made(**seeds: tuple[float, float]) -> pd.DataFrame:
    """Of every seed the shares that are exact and retraced."""
    rows = [
        {"seed": seed, "signal": name, "value": value}
        for seed, shares in enumerate(seeds.values())
        for name, value in zip(("exact", "retraced", "sequences_to_solve"), (*shares, 5000.0), strict=True)
    ]
    return pd.DataFrame(rows).assign(step=None, row=None)


GOOD, STRAYING, WRONG = (1.0, 0.995), (1.0, 0.9), (0.99, 1.0)


@pytest.mark.parametrize(
    ("seeds", "outcome"),
    [
        pytest.param([GOOD] * 5, REPRODUCED, id="all"),
        pytest.param([GOOD] * 4, TOO_FEW, id="four seeds"),
        pytest.param([STRAYING] * 6, NOT_REPRODUCED, id="right, but read elsewhere"),
        pytest.param([WRONG] * 6, NOT_REPRODUCED, id="wrong"),
        pytest.param([GOOD, GOOD, GOOD, WRONG, STRAYING, WRONG], TOO_FEW, id="half of them"),
    ],
)
def test_verdicts(seeds: list[tuple[float, float]], outcome: str) -> None:
    verdict = figure1.judge(made(**{str(seed): shares for seed, shares in enumerate(seeds)}))
    assert verdict.outcome == outcome
    assert f"{seeds.count(GOOD)} of {len(seeds)} seeds " in verdict.sentence


@pytest.fixture(scope="module")
def measured(finished: Path) -> pd.DataFrame:
    """Of a run with 16 slots and 4 bits, without start code, as it comes back from its file."""
    table = measure({"copy": finished}, full=False)
    return pd.read_csv(io.StringIO(table.to_csv(index=False)))


def test_a_tiny_run_has_all_signals_of_one_sequence(measured: pd.DataFrame) -> None:
    assert set(measured["signal"]) == {*SHOWN, "exact", "retraced", "sequences_to_solve"}
    sizes = measured.groupby("signal")[["step", "row"]].max().astype("Int64") + 1
    assert sizes.loc["input"].tolist() == [41, 5]
    assert sizes.loc["output"].tolist() == [41, 4]
    assert sizes.loc["reads"].tolist() == [41, 6]
    assert (
        sizes.loc["read_weighting", "row"] == sizes.loc["write_weighting", "row"] == sizes.loc["memory", "step"] <= 16
    )
    asked = measured[measured["signal"] == "scored"]
    assert asked["step"].tolist() == list(range(21, 41))
    assert figure1.summarise(measured)["exact sequences"].tolist() == ["0%"]


def test_the_picture_tells_whose_copy_it_is_and_how_it_went(measured: pd.DataFrame) -> None:
    figure = figure1.draw(measured)
    panels = {axes.get_title("left"): axes for axes in figure.axes}
    assert {"input", "output", "vectors written", "vectors read", "write weighting", "read weighting"} < panels.keys()
    assert all(panels[title].get_xlim() == (-0.5, 40.5) for title in ("input", "output", "read weighting"))
    assert [text.get_text() for text in panels["input"].texts] == ["listens", "answers"]
    assert figure.texts[-1].get_text().startswith("seed 0, the median of 1 by time to solve")
    output, target = (
        measured[measured["signal"] == name].set_index(["step", "row"])["value"] for name in ("output", "target")
    )
    both = pd.concat([output, target], axis=1).fillna(0)
    wrong = int(((both > 0.5).nunique(axis=1) > 1).sum())
    assert wrong > 0 and figure.get_suptitle() == f"copy · NTM · {wrong} of 80 bits wrong"
