"""`ntm-lab models`: the table and the cards."""

from pathlib import Path
from typing import Any

import pytest

from ntm_lab.cli import main
from ntm_lab.zoo import shipped
from ntm_lab.zoo.card import write
from ntm_lab.zoo.find import card_of, find


@pytest.fixture
def three(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with three models: two that copy, and one n-gram model whose cost cannot be zero."""
    found = find(finished)
    card = card_of(found) | {"parameters": 62_880, "sequences": 12_000}
    ngrams = {"length": 200, "context": 5}
    rows: dict[str, Any] = {
        "copy-ntm-lstm": {"difficulty": {"length": 40}, "wrong_bits": 0.25, "exact": 0.9875},
        "copy-ntm-feedforward": {"difficulty": {"length": 40}, "wrong_bits": 0.125, "exact": 0.5},
        "ngrams-ntm-lstm": {"difficulty": ngrams, "wrong_bits": 50, "exact": 0, "optimum_bits": 9},
    }
    for name, row in rows.items():
        task, model, controller = name.split("-")
        own = {"name": name, "task": task, "model": model, "controller": controller}
        easy = {"n": 1000, "cost_bits": 0.5, "wrong_bits": 0.0, "exact": 1.0, "difficulty": {"length": 2}}
        write(tmp_path / name, card | own | {"test": [easy | row, easy]}, found.model.state_dict())
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    return tmp_path


def test_the_table_has_a_line_for_every_model(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    size = f"{sum(path.stat().st_size for path in (three / 'copy-ntm-lstm').iterdir()) / 1000:.0f}"
    assert ["copy-ntm-lstm", "62,880", size, "12,000", "length", "40", "0.2500", "98.75%"] in table
    better = next(line for line in table if line and line[0] == "copy-ntm-feedforward")
    assert better[4:] == ["length", "40", "0.1250", "50.00%", "copy-ntm"]
    assert ["length", "200,", "context", "5", "50.0000", "0.00%", "ngrams-ntm"] in [line[4:] for line in table]


@pytest.mark.parametrize("named", ["copy-ntm", "copy-ntm-feedforward"])
def test_a_card_is_told_in_full(named: str, three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", named]) == 0
    text = capsys.readouterr().out
    words = [line.split() for line in text.splitlines()]
    assert words[0] == ["copy-ntm-feedforward"]
    for line in (["task", "copy"], ["controller", "feedforward"], ["best", "copy-ntm"], ["slots:", "16"]):
        assert line in words
    assert ["length", "40", "1000", "0.5000", "0.1250", "50.00%"] in words
    assert ["length", "2", "1000", "0.5000", "0.0000", "100.00%"] in words
    card = shipped.cards()["copy-ntm-feedforward"]
    for part in (card["command"], "seed 0", "12,000 sequences", "62,880", f"torch {card['versions']['torch']}"):
        assert part in text
    assert "optimum" not in text


def test_the_optimum_is_told_where_there_is_one(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "ngrams-ntm-lstm"]) == 0
    words = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["length", "200,", "context", "5", "1000", "0.5000", "50.0000", "0.00%", "9.0000"] in words


def test_one_that_is_not_the_best_is_not_called_so(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "copy-ntm-lstm"]) == 0
    assert not any(line.startswith("  best") for line in capsys.readouterr().out.splitlines())


def test_the_card_of_a_folder(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", str(three / "copy-ntm-lstm")]) == 0
    assert capsys.readouterr().out.startswith("copy-ntm-lstm\n")


@pytest.mark.parametrize("named", ["copi", "run"])
def test_what_is_no_such_model_is_one_line(
    named: str, three: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", str(finished) if named == "run" else named]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert ("has no card.json" if named == "run" else "copy-ntm, copy-ntm-feedforward") in line
