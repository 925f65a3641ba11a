"""The study of Graves et al.'s learning curves: its sweep, and what follows from which costs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ntm_lab.runs.run import Run
from ntm_lab.studies.report.graves2014 import TASKS, common_place, compare, draw, judge, measure, summarise
from ntm_lab.studies.study import NOT_REPRODUCED, REPRODUCED, TOO_FEW

LOW, HIGH = [1.0, 2.0, 3.0, 4.0, 5.0], [31.0, 32.0, 33.0, 34.0, 35.0]


def rows(task: str, model: str, costs: Sequence[float], **more: Any) -> pd.DataFrame:
    """Runs that go from 60 bits to their cost in four validations; an LSTM takes twice the seconds."""
    lines = [
        {"form": "short", "task": task, "model": model, "parameters": 10, "seed": seed, "finished": False}
        | {"sequences": 1000 * place, "seconds": (1.0 if model == "ntm" else 2.0) * place, "optimum": 0.0}
        | {"cost": 60.0 + (cost - 60.0) * place / 4}
        for seed, cost in enumerate(costs)
        for place in range(1, 5)
    ]
    return pd.DataFrame(lines).assign(**more)


def table(ntm: Mapping[str, Sequence[float]] | None = None, lstm: Sequence[float] = HIGH) -> pd.DataFrame:
    """All tasks, where nothing else is said with an NTM that is better."""
    chosen = dict.fromkeys(TASKS, LOW) | dict(ntm or {})
    parts = [part for task in TASKS for part in (rows(task, "ntm", chosen[task]), rows(task, "lstm", lstm))]
    return pd.concat(parts, ignore_index=True)


def test_compared_as_far_as_both_went() -> None:
    short = rows("copy", "ntm", LOW).query("sequences <= 2000")
    assert common_place({"ntm": short, "lstm": rows("copy", "lstm", HIGH)}, "sequences") == 2000
    assert common_place({"ntm": short, "lstm": rows("copy", "lstm", HIGH)}, "seconds") == 2


def test_a_finished_run_is_no_limit_and_keeps_its_last_cost() -> None:
    short = rows("copy", "ntm", LOW, finished=True).query("sequences <= 2000")
    arms = {"ntm": short, "lstm": rows("copy", "lstm", HIGH)}
    assert common_place(arms, "sequences") == 4000
    assert common_place(arms, "seconds") == 8
    at_end = compare(pd.concat(arms.values()))[0]
    assert (at_end.place, at_end.costs.first, at_end.costs.second) == (4000, (60 + 3) / 2, 33)


def test_no_run_is_compared_before_its_first_validation() -> None:
    slow = rows("copy", "lstm", HIGH).assign(seconds=100.0)
    assert common_place({"ntm": rows("copy", "ntm", LOW), "lstm": slow}, "seconds") == 100


def test_all_finished() -> None:
    arms = {model: rows("copy", model, LOW, finished=True) for model in ("ntm", "lstm")}
    assert common_place(arms, "sequences") == 4000


def test_a_row_for_every_task_and_axis() -> None:
    found = compare(table())
    assert [(one.axis, one.task) for one in found] == [
        (axis, task) for axis in ("sequences", "seconds") for task in TASKS
    ]
    first = found[0]
    assert (first.place, first.costs.first, first.costs.second, first.lower, first.seeds) == (4000, 3, 33, 5, 5)
    assert first.costs.p == pytest.approx(5 * 2 / 252)  # two of the C(10, 5) orders, five tasks
    assert first.costs.first_lower
    after_four_seconds = found[5]
    assert after_four_seconds.place == 4
    assert (after_four_seconds.costs.first, after_four_seconds.costs.second) == (3, (60 + 33) / 2)


def test_reproduced_in_all_five() -> None:
    outcome, sentence, _ = judge(table())
    assert outcome == REPRODUCED
    assert "in 5 of the 5 tasks, at equal seconds in 5" in sentence
    assert (
        "Copy: 3.00 against 33.0 bits after 4,000 sequences, lower in 5 of 5 seeds (p = 0.04); after 4.00 s" in sentence
    )


@pytest.mark.parametrize(
    "ntm", [HIGH, [50.0] * 5, [1.0, 2.0, 3.0, 40.0, 41.0]], ids=["alike", "worse", "for some seeds"]
)
def test_not_reproduced_where_one_is_missing(ntm: Sequence[float]) -> None:
    outcome, sentence, _ = judge(table({"sort": ntm}))
    assert outcome == NOT_REPRODUCED
    assert "in 4 of the 5 tasks" in sentence


@pytest.mark.parametrize("few", ["ntm", "lstm"])
def test_too_few_seeds(few: str) -> None:
    whole = table()
    outcome, sentence, _ = judge(whole[~((whole["model"] == few) & (whole["task"] == "ngrams") & (whole["seed"] == 4))])
    assert outcome == TOO_FEW
    assert f"4 of {few} on ngrams" in sentence


def test_too_few_where_a_task_is_missing() -> None:
    whole = table()
    outcome, sentence, _ = judge(whole[whole["task"] != "sort"])
    assert outcome == TOO_FEW and "0 of ntm on sort, 0 of lstm on sort" in sentence


def test_the_lines_below_the_figure() -> None:
    lines = summarise(table())
    assert len(lines) == 10
    assert lines["at equal"][0] == "sequences: 4,000" and lines["at equal"][5] == "seconds: 4.00"
    assert lines["NTM is lower"][0] == "5 of 5 seeds"


def test_a_panel_for_every_task(tmp_path: Path) -> None:
    whole = table()
    whole.loc[whole["task"] == "ngrams", "optimum"] = 0.5
    figure = draw(whole)
    panels = figure.axes[:5]
    assert [panel.get_title() for panel in panels] == [*TASKS.values()]
    for panel in panels:
        assert (panel.get_xlabel(), panel.get_ylabel()) == ("sequences seen", "cost, bits per sequence")
        bold = {str(line.get_label()): line for line in panel.get_lines() if line.get_linewidth() == 2}
        assert {*bold} == {"NTM", "LSTM"}
        assert np.asarray(bold["NTM"].get_ydata())[-1] == 3
    drawn = ["optimum" in [str(line.get_label()) for line in panel.get_lines()] for panel in panels]
    assert drawn == [task == "ngrams" for task in TASKS]
    figure.savefig(tmp_path / "figure.png")


def test_what_is_there_is_drawn(tmp_path: Path) -> None:
    draw(table().query("task == 'copy' and model == 'ntm'")).savefig(tmp_path / "figure.png")


@pytest.mark.slow
def test_the_table_of_a_sweep(
    train: Callable[..., Any], tiny_ntm: list[str], tiny_lstm: list[str], tmp_path: Path
) -> None:
    for arm, tiny in (("ntm", tiny_ntm), ("lstm", [one for one in tiny_lstm if one != "model=lstm"])):
        chosen = [f"experiment/report/graves2014={arm}", "task=copy", "seed=2", f"hydra.sweep.dir={tmp_path}"]
        ended = train("-m", "experiment=report/graves2014", *tiny, *chosen)
        assert ended.status == 0, ended.err
    found = measure({"graves2014": tmp_path}, full=False)
    assert found["model"].value_counts().to_dict() == {"ntm": 3, "lstm": 3}
    assert found["sequences"].tolist() == [8, 16, 24] * 2
    assert set(found["seed"]) == {2} and set(found["task"]) == {"copy"} and not found["finished"].any()
    assert (found["cost"] > 0).all() and (found["optimum"] == 0).all() and (found["seconds"] > 0).all()
    assert {one.seeds for one in compare(found)} == {1}
    assert judge(found).outcome == TOO_FEW


@pytest.mark.slow
def test_every_task_has_its_budget_and_its_lstm(started: Callable[..., Run]) -> None:
    sizes = {"copy": 256, "repeat_copy": 512, "associative_recall": 256, "ngrams": 128, "sort": 128}  # table 3
    for task, size in sizes.items():
        chosen = ["experiment=report/graves2014", "form=full", f"task={task}"]
        config = started(*chosen, "experiment/report/graves2014=lstm_long").config
        assert (config.model.layers, config.model.size) == (3, size)
        short = started("experiment=report/graves2014", f"task={task}", "experiment/report/graves2014=lstm").config
        assert short.max_sequences <= config.max_sequences / 3 and short.data.validate_every * 4 <= short.max_sequences


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_the_ntm_has_its_recipe(task: str, started: Callable[..., Run]) -> None:
    """In the short form cut off, in the full form whole."""
    recipe = started(f"task={task}").config
    chosen = ["experiment=report/graves2014", f"task={task}"]
    full = started(*chosen, "form=full", "experiment/report/graves2014=ntm_long").config
    short = started(*chosen).config
    for part in ("controller", "memory", "model", "optimizer", "schedule", "penalty"):
        assert short[part] == full[part] == recipe[part], part
    assert full.max_sequences == recipe.max_sequences > short.max_sequences
    assert short.data.validate_every * 8 <= short.max_sequences
