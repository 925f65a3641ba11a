"""When runs learned, read off their validations."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from ntm_lab.studies.report.learning import read_learning


def run(folder: Path, rates: list[float]) -> None:
    """A run of batches of 4 and a second a batch, validated every 8 sequences."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("choices: {task: copy}\ndata: {batch_size: 4}\nseed: 0\n")
    sequences = 8 * len(rates)
    results: dict[str, Any] = {
        "seed": 0,
        "parameters": 1,
        "sequences": sequences,
        "steps": sequences // 4,
        "seconds": sequences / 4,
    }
    results |= {"sequences_to_solve": None, "seconds_to_solve": None, "largest_gradient_norm": 1.0}
    results |= {"stopped_by": "max_sequences", "test": [], "overlap": {}}
    (folder / "results.json").write_text(json.dumps(results))
    rows = [f"{8 * n},{2 * n},{2.0 * n},{rate}" for n, rate in enumerate(rates, start=1)]
    (folder / "metrics.csv").write_text("\n".join(["sequences,step,seconds,val/bit_error_rate", *rows]) + "\n")


@pytest.mark.parametrize(
    ("rates", "learned", "lost"),
    [
        ([0.5, 0.03, 0.029, 0.0], 24, False),
        ([0.5, 0.029, 0.05, 0.0], 16, False),
        ([0.2, 0.0, 0.1, 0.0], 16, True),
        ([0.5, 0.4, 0.3], math.nan, False),
    ],
    ids=["below-and-not-at-the-mark", "a-little-worse-is-not-lost", "lost", "never"],
)
def test_learned_is_the_first_validation_below_the_mark(
    rates: list[float], learned: float, lost: bool, tmp_path: Path
) -> None:
    run(tmp_path / "run", rates)
    (row,) = read_learning(tmp_path).to_dict("records")
    expected = [learned, learned / 4, learned / 4]
    assert [row[f"{unit}_to_learn"] for unit in ("sequences", "steps", "seconds")] == pytest.approx(
        expected, nan_ok=True
    )
    assert row["lost"] is lost


def test_every_run_has_its_own(tmp_path: Path) -> None:
    run(tmp_path / "a", [0.5, 0.5])
    run(tmp_path / "b", [0.5, 0.01])
    assert read_learning(tmp_path)["sequences_to_learn"].isna().tolist() == [True, False]
