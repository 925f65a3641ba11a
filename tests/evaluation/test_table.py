"""The text of detailed rows."""

import re
from statistics import fmean

import pytest
import torch

from ntm_lab.evaluation import evaluate, table
from ntm_lab.evaluation.babi import PUBLISHED
from ntm_lab.evaluation.table import aligned
from ntm_lab.nn import LSTM
from ntm_lab.tasks import Copy, NGrams
from ntm_lab.types import Difficulty, Task


def rows_of(task: Task, difficulties: list[Difficulty], sequences: int = 40) -> list[dict]:
    torch.manual_seed(0)
    model = LSTM(task.input_size, task.output_size, size=4, layers=1)
    return evaluate(model, task, difficulties, sequences, details=True)


def test_measures_intervals_and_yardsticks_are_told() -> None:
    rows = rows_of(Copy(bits=3), [{"length": 7}, {"length": 50}])
    rows[0] |= {"cost_bits": 12.5, "cost_interval": [12.0, 13.0], "wrong_bits": 1.25, "wrong_interval": [0.0, 2.75]}
    rows[0] |= {"exact": 0.9, "exact_interval": [0.87654, 0.92], "slots": 128}
    head, first, second, *_ = (line.split("  ") for line in table(rows).splitlines())
    assert [cell.strip() for cell in head if cell] == [
        *("fresh sequences", "n", "slots", "cost, bits", "wrong bits", "exact", "chance: cost", "wrong bits")
    ]
    assert [cell.strip() for cell in first if cell] == [
        *("length 7", "40", "128", "12.500 ± 0.500", "1.250 ± 1.500", "90.0% (87.7% … 92.0%)", "21", "10.5")
    ]
    assert [cell.strip() for cell in second if cell][-2:] == ["150", "75"]
    assert [cell.strip() for cell in second if cell][2] == "–"  # no memory, no slots


def test_errors_are_told_by_kind_and_place() -> None:
    rows = rows_of(Copy(bits=3), [{"length": 10}, {"length": 2}])
    rows[0]["errors"] |= {"wrong_bits_only": 5, "doubled": 2, "skipped": 1, "shifts": [[1, 3], [1, 6], [-1, 8]]}
    rows[0]["by_step"]["wrong_bits"] = [0.0, 0.5, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 2.0, 3.0]
    lines = table(rows).splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("sequences with errors"))
    told = ["length", "10", "5", "2", "1", "7", "of", "10", "0.250", "1.000", "0.000", "0.000", "2.500"]
    assert lines[start + 1].split() == told
    assert len(lines[start + 2].split()) == 2 + 4 + 2  # two steps are not cut into five parts


def test_without_errors_there_is_nothing_to_tell() -> None:
    rows = rows_of(Copy(bits=3), [{"length": 10}])
    rows[0]["wrong_bits"] = 0.0
    assert len(table(rows).splitlines()) == 2


def test_the_gap_is_told_by_parts() -> None:
    rows = rows_of(NGrams(length=30, context=2), [{"length": 30, "context": 2}])
    rows[0] |= {"gap_bits": 4.25, "gap_interval": [4.0, 4.5], "gap_by_step": [0.1] * 14 + [0.2] * 14}
    text = table(rows)
    assert "gap to it, bits" in text and "4.250 ± 0.250  0.1000  0.1000" in text
    assert "sequences with errors" not in text


def of_symbols() -> list[dict]:
    """Rows whose answers are symbols, by group."""
    rows = rows_of(Copy(bits=3), [{"length": 10}, {"length": 4}])
    for row in rows:
        del row["errors"]
        row["wrong_symbols"] = row.pop("wrong_bits")
        row["chance"]["wrong_symbols"] = row["chance"].pop("wrong_bits")
        row["by_step"]["wrong_symbols"] = row["by_step"].pop("wrong_bits")
    rows[0]["by_group"] = {"showing_01": 0.25, "showing_02": 0.876}
    rows[0]["by_group_interval"] = {"showing_01": [0.2, 0.3], "showing_02": [0.8, 0.9]}
    rows[0]["by_group_solve"] = {"showing_01": 0.5, "showing_02": 1.0}
    rows[1]["by_group"] = {"showing_01": 0.2}
    rows[1]["by_group_interval"] = {"showing_01": [0.1, 0.3]}
    rows[1]["by_group_solve"] = {"showing_01": 1.0}
    rows[0]["by_step"]["wrong_symbols"] = [0.0, 0.5, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 2.0, 3.0]
    return rows


def test_symbols_are_told_by_step_and_by_group() -> None:
    head, *_, of_steps, long, short, note, _, groups, first, second, told = table(of_symbols()).splitlines()
    assert "wrong symbols" in head and head.endswith("chance: cost  wrong symbols")
    assert of_steps.split() == ["sequences", "with", "errors", "1/5", "2/5", "3/5", "4/5", "5/5"]
    assert long.split() == ["length", "10", "0.250", "1.000", "0.000", "0.000", "2.500"] and short.split()[1] == "4"
    assert note == "(right: wrong symbols per step in each of 5 parts of the answer)"
    assert re.split("  +", groups) == ["right answers", "length 10", "length 4", "best, length 10"]
    assert re.split("  +", first) == ["showing_01", "25.0% (20.0% … 30.0%)", "20.0% (10.0% … 30.0%)", "50.0%"]
    assert re.split("  +", second) == ["showing_02", "87.6% (80.0% … 90.0%)", "–", "100.0%"]
    assert told == "(best: the solution of the task itself, which can only guess there)"


def test_errors_on_tasks_of_babi_stand_beside_the_published() -> None:
    """Task 15 at 6 % has failed, task 4 has not; the means of Graves et al. 2016 over all tasks are those they tell."""
    (row,) = rows_of(Copy(bits=3), [{"length": 4}])
    row |= {"by_group": {"babi_04": 0.996, "babi_15": 0.94}, "by_group_solve": {"babi_04": 1.0, "babi_15": 1.0}}
    row["by_group_interval"] = {"babi_04": [0.99, 0.998], "babi_15": [0.9, 0.96]}
    *_, head, fourth, fifteenth, mean, failed = table([row]).splitlines()
    assert re.split("  +", head)[1:] == ["%", "95 % interval", "LSTM 2016", "DNC 2016"]
    assert re.split("  +", fourth) == ["task 4", "0.4", "0.2 … 1.0", "0.8", "0.4"]
    assert re.split("  +", fifteenth) == ["task 15", "6.0", "4.0 … 10.0", "failed", "47.0", "27.2"]
    assert re.split("  +", mean) == ["mean", "3.2", "23.9", "13.8"]
    assert re.split("  +", failed) == ["failed (above 5 %)", "1"]
    assert {name: round(fmean(errors), 1) for name, errors in PUBLISHED.items()} == {
        "LSTM 2016": 27.3,
        "DNC 2016": 16.7,
    }
    assert all(len(errors) == 20 for errors in PUBLISHED.values())


def test_numbers_have_one_measure() -> None:
    row = {"difficulty": {"length": 3}, "n": 10, "squared_error": 1.25, "cost_interval": [1.0, 1.5]}
    row |= {"chance": {"squared_error": 4.0}, "solve": {"squared_error": 0.5}}
    row |= {"gap_squared_error": 0.75, "gap_interval": [0.5, 1.0]}
    text = table([row]).splitlines()
    assert text[0].split("  ")[-2:] == ["squared error", "chance: squared error"]
    assert text[1].split() == ["length", "3", "10", "–", "1.250", "±", "0.250", "4"]
    assert "gap to it, squared error" in text[3] and "0.750 ± 0.250" in text[4]


def test_one_sequence_is_told_without_an_interval() -> None:
    assert "±" not in table(rows_of(Copy(bits=3), [{"length": 10}], sequences=1))


@pytest.mark.parametrize(
    ("lines", "text"),
    [([["a", "b"], ["long", "wide"]], "a        b\nlong  wide"), ([["a", "b", "c"], ["d"]], "a  b  c\nd")],
)
def test_columns(lines: list[list[str]], text: str) -> None:
    assert aligned(lines) == text
