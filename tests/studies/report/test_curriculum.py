"""Curricula: what is measured of tiny sweeps, and the verdict on made-up times."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ntm_lab.studies.report.curriculum import STUDY
from ntm_lab.studies.report.curriculum_table import CURRICULA, SHORT_FIRST, TASKS, compare
from ntm_lab.studies.results import read_runs
from ntm_lab.studies.study import DEPENDS, NOT_REPRODUCED, REPRODUCED, TOO_FEW

CONF = Path(__file__).parents[3] / "conf"
EARLY, MIDDLE, LATE = [600, 700, 800, 800, 900], [2000, 2100, 2200, 2300, 2400], [4000, 4100, 4200, 4300, 4500]
NEVER = [None] * 5
Times = Sequence[int | None]


def made_up(special: Mapping[tuple[str, str], Times], seconds: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Runs of 5,000 sequences and batches of 10: the sequences until they learned, 2,000 and more where nothing is
    said; a curriculum takes a second for 1,000 sequences, or so many more."""
    rows = []
    for task in TASKS:
        for curriculum in CURRICULA:
            pace = (seconds or {}).get(curriculum, 1.0) / 1000
            for seed, time in enumerate(special.get((task, curriculum), MIDDLE)):
                learned = float("nan") if time is None else time
                row = {"task": task, "curriculum": curriculum, "seed": seed, "solved": time is not None}
                row |= {"learned_sequences": learned, "learned_steps": learned / 10, "learned_seconds": learned * pace}
                row |= {"ended_sequences": 5000, "ended_steps": 500, "ended_seconds": 5000 * pace}
                errors = {
                    "hardest": "length 20",
                    "hardest_error": 0.01 * seed,
                    "beyond": "length 60",
                    "beyond_error": 0.3,
                }
                rows.append(row | errors)
    return pd.DataFrame(rows)


ONE_SOONER = {(task, "combined"): EARLY for task in TASKS}
ALL_LATER = {(task, curriculum): LATE for task in TASKS for curriculum in SHORT_FIRST}


@pytest.mark.parametrize(
    ("table", "outcome", "part"),
    [
        (made_up(ONE_SOONER), REPRODUCED, "on copy 1 learned sooner and 0 later in sequences"),
        (made_up(ALL_LATER), NOT_REPRODUCED, "on repeat copy 0 learned sooner and 4 later in sequences"),
        (made_up({("copy", "growing"): EARLY}), DEPENDS, "on associative recall 0 learned sooner and 0 later"),
        (made_up({}), NOT_REPRODUCED, "There are 5 seeds of each"),
        (made_up({(task, "prediction_gain"): EARLY for task in TASKS}), NOT_REPRODUCED, "prediction gain sooner"),
        (made_up({}, {"growing": 0.2}), REPRODUCED, "0 learned sooner and 0 later in sequences, 1 learned sooner"),
        (made_up({("copy", "fixed"): EARLY[:4]}), TOO_FEW, "fewer than 5 seeds"),
        (made_up({("copy", "fixed"): []}), TOO_FEW, "fewer than 5 seeds"),
    ],
    ids=["sooner", "later", "on-one-task", "alike", "not-by-short-first", "in-seconds-only", "arm-of-four", "no-arm"],
)  # fmt: skip
def test_the_verdict_is_whether_short_first_learns_sooner(table: pd.DataFrame, outcome: str, part: str) -> None:
    verdict = STUDY.judge(table)
    assert verdict.outcome == outcome
    assert part in verdict.sentence


def test_runs_that_never_learned_are_later_and_not_left_out() -> None:
    found = compare(made_up({("copy", "growing"): [600, None, None, None, None]})).query("task == 'copy'")
    growing = found[found["curriculum"] == "growing"]
    assert growing["p"].min() > 0.05  # one early and four never
    never = compare(made_up({("copy", "growing"): NEVER})).query("task == 'copy' and curriculum == 'growing'")
    assert never["later"].all() and not never["sooner"].any()


def test_every_curriculum_is_swept_and_held_against_uniform(composed: Callable[..., Any]) -> None:
    files = {path.stem for path in (CONF / "curriculum").glob("*.yaml")} - {"validated"}  # for stories, that run out
    assert files == {*CURRICULA}
    for sweep in STUDY.sweeps:
        for form in ("quick", "full"):
            params = composed(f"experiment=report/{sweep}", f"form={form}").hydra.sweeper.params
            assert set(params.curriculum.split(",")) == files
    assert set(compare(made_up({}))["curriculum"]) == files - {"uniform"}


TINY = {
    "copy": ["task.lengths=[1,2]", "task.bits=3", "test.difficulties=[{length: 2},{length: 5}]"],
    "repeat_copy": [
        *("task.lengths=[1,2]", "task.repeats=[1,2]", "task.bits=3"),
        "test.difficulties=[{length: 2,repeats: 2},{length: 4,repeats: 3}]",
    ],
    "associative_recall": ["task.items=[2,3]", "task.bits=3", "test.difficulties=[{items: 3},{items: 5}]"],
}
SCORED = {"copy": (2 * 3, 5 * 3), "repeat_copy": (5 * 4, 13 * 4), "associative_recall": (9, 9)}  # bits


@pytest.mark.slow
def test_measure_has_all_tasks_and_the_share_of_wrong_bits(
    train: Callable[..., Any], tmp_path: Path, tiny_ntm: list[str]
) -> None:
    shared = [setting for setting in tiny_ntm if not setting.startswith(("task.", "test.difficulties", "controller."))]
    folders = {f"curriculum_{task}": tmp_path / task for task in TASKS}
    for sweep, folder in folders.items():
        params = [
            "curriculum=uniform,growing",
            "seed=0",
            f"hydra.sweep.dir={folder}",
            "hydra.sweep.subdir=${hydra.job.num}",
        ]
        ended = train("-m", f"experiment=report/{sweep}", *shared, *TINY[folder.name], *params)
        assert ended.status == 0, ended.err
    table = STUDY.measure(folders, False)
    assert table["task"].tolist() == [task for task in TASKS for _ in range(2)]
    assert sorted(table["curriculum"]) == ["growing"] * 3 + ["uniform"] * 3
    assert set(table["ended_sequences"]) == {24} and set(table["ended_steps"]) == {6}
    assert table["learned_seconds"].isna().all()
    assert table["beyond"].unique().tolist() == ["length 5", "length 4, repeats 3", "items 5"]
    for task, rows in table.groupby("task"):
        tests = read_runs(tmp_path / str(task)).set_index("choices.curriculum")["test"]
        for row in rows.to_dict("records"):
            wrong = [measured["wrong_bits"] for measured in tests[row["curriculum"]]]
            expected = [count / bits for count, bits in zip(wrong, SCORED[str(task)], strict=True)]
            assert [row["hardest_error"], row["beyond_error"]] == pytest.approx(expected)


def test_the_figure_has_a_column_for_every_task(tmp_path: Path) -> None:
    figure = STUDY.draw(made_up(ALL_LATER | {("copy", "growing"): NEVER}))
    panels = figure.get_axes()
    assert [panel.get_title() for panel in panels[:3]] == [*TASKS.values()]
    assert [panel.get_xlabel() for panel in panels[::3]] == [
        *("sequences until it learned", "seconds until it learned", "wrong bits after training")
    ]
    assert all(
        [label.get_text() for label in panel.get_yticklabels()] == [*CURRICULA.values()] for panel in panels[::3]
    )
    growing = [*CURRICULA].index("growing")
    counts = [text.get_text() for text in panels[0].texts]
    assert counts[growing].startswith("0/") and not counts[0].startswith("0/")
    assert panels[6].yaxis_inverted() and panels[7].yaxis_inverted()
    figure.savefig(tmp_path / "figure.png")


def test_the_lines_below_it() -> None:
    lines = STUDY.summarise(made_up({("copy", "growing"): LATE, ("copy", "fixed"): NEVER}))
    assert len(lines) == len(TASKS) * len(CURRICULA)
    uniform, growing, fixed = (lines.iloc[[*CURRICULA].index(name)] for name in ("uniform", "growing", "fixed"))
    assert growing["sequences to learn"] == "4,200 (4,100 to 4,300; 4,500)"
    assert growing["sequences, times uniform"].startswith("1.91 (p = 0.0")
    assert fixed["seconds to learn"] == "–, 0 of 5 runs" and fixed["learned"].startswith("0 of 5")
    assert uniform["sequences, times uniform"] == "–"
    assert uniform["wrong, beyond"] == "30.0% (length 60)"
