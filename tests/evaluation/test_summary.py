"""The text at the end of a run."""

from pathlib import Path
from typing import Any

import pytest

from ntm_lab.evaluation import summary


@pytest.fixture
def results() -> dict[str, Any]:
    return {
        "task": "copy",
        "model": "ntm",
        "seed": 7,
        "parameters": 12_345,
        "state_bits": 6_789,
        "sequences": 50_000,
        "seconds": 61.25,
        "stopped_by": "stop_at_cost",
        "test": [
            {"difficulty": {"length": 20}, "n": 1000, "cost_bits": 0.1234, "wrong_bits": 0.25, "exact": 0.985},
            {"difficulty": {"length": 4, "repeats": 7}, "n": 10, "cost_bits": 30.5, "wrong_bits": 8.0, "exact": 0.0},
        ],
        "overlap": {"length_001": 1.0, "length_002": 0.42, "length_003": 0.0001},
    }


def test_it_holds_the_numbers(results: dict[str, Any]) -> None:
    text = summary(results, Path("runs/here"))
    table = [line.split() for line in text.splitlines()]
    assert ["length", "20", "1000", "0.1234", "0.2500", "98.50%"] in table
    assert ["length", "4,", "repeats", "7", "10", "30.5000", "8.0000", "0.00%"] in table
    for part in (
        "ntm on copy",
        "12,345 parameters",
        "6,789 bits of state",
        "seed 7",
        "50,000 sequences",
        "61.2 s",
        "stop_at_cost",
    ):
        assert part in text
    assert text.endswith("results in runs/here")


def test_the_units_stand_above_their_columns(results: dict[str, Any]) -> None:
    head, row = summary(results, Path()).splitlines()[1:3]
    for unit, number in (("cost, bits", "0.1234"), ("wrong bits", "0.2500"), ("exact", "98.50%"), (" n", "1000")):
        assert head.rindex(unit) + len(unit) == row.rindex(number) + len(number)


def test_overlap_is_told_where_there_is_some(results: dict[str, Any]) -> None:
    assert "length_001 100%, length_002 42%, others below 1%" in summary(results, Path())
    assert "occurred in training" not in summary(results | {"overlap": {"length_003": 0.0001}}, Path())


def test_the_optimum_is_told_where_there_is_one(results: dict[str, Any]) -> None:
    assert "optimum" not in summary(results, Path())
    results["test"][0]["optimum_bits"] = 128.25
    assert "(optimum 128.25 bits)" in summary(results, Path()).splitlines()[2]


def test_other_answers_have_their_own_columns(results: dict[str, Any]) -> None:
    row = {"difficulty": {"length": 20}, "n": 1000, "cost_bits": 0.5, "wrong_symbols": 0.25, "exact": 0.985}
    head, line = summary(results | {"test": [row]}, Path()).splitlines()[1:3]
    assert head.split("  ")[-1].strip() == "exact" and "wrong symbols" in head
    for unit, number in (("cost, bits", "0.5000"), ("wrong symbols", "0.2500"), ("exact", "98.50%")):
        assert head.rindex(unit) + len(unit) == line.rindex(number) + len(number)
    row = {"difficulty": {"length": 20}, "n": 10, "squared_error": 2.5, "optimum_squared_error": 1.25}
    head, line = summary(results | {"test": [row]}, Path()).splitlines()[1:3]
    assert head.split() == ["fresh", "sequences", "n", "squared", "error"]
    assert line.endswith("2.5000  (optimum 1.25 squared error)")
