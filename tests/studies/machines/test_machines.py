"""The studies of all machines: verdicts on made-up tables, and what is measured of tiny sweeps."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ntm_lab.studies.machines import late_write, memory, one_shot, repairs, showings, tasks
from ntm_lab.studies.study import DEPENDS, IN_PART, NOT_REPRODUCED, REPRODUCED, TOO_FEW

EARLY, LATE, NEVER = [1000, 1200, 1400, 1600, 1800], [3000, 3200, 3400, 3600, 4000], [None] * 5
Times = Sequence[int | None]


def runs(times: Mapping[tuple[str, str], Times], arm: str) -> pd.DataFrame:
    """Runs of 5,000 sequences, by task and arm, with the times until they were solved."""
    rows = [
        {"task": task, arm: name, "seed": seed, "sequences_to_solve": time, "sequences": 5000}
        for (task, name), of_arm in times.items()
        for seed, time in enumerate(of_arm)
    ]
    table = pd.DataFrame(rows).astype({"sequences_to_solve": float})
    return table.assign(
        parameters=1234,
        seconds=50.0,
        seconds_to_solve=table["sequences_to_solve"] / 100,
        difficulty="length 20",
        bits=0.0,
        wrong_bits=0.0,
    )


def all_tasks(dnc_on_recall: Times, recall: Times = LATE) -> pd.DataFrame:
    times = {("copy", "dnc"): EARLY, ("copy", "ntm"): LATE, ("copy", "lstm"): NEVER}
    return runs(
        times | {("associative_recall", "dnc"): dnc_on_recall, ("associative_recall", "ntm"): recall}, "machine"
    )


@pytest.mark.parametrize(
    ("table", "outcome", "part"),
    [
        (all_tasks(EARLY), REPRODUCED, "Copy: half of the DNCs after 1400 sequences, of the NTMs after 3,400"),
        (all_tasks(LATE), IN_PART, "associative recall: half of the DNCs after 3,400"),
        (all_tasks(NEVER), IN_PART, "half of the DNCs after – sequences, of the NTMs after 3,400 (p = "),
        (all_tasks(EARLY[:4]), TOO_FEW, "There are 4 seeds"),
    ],
    ids=["both", "one-alike", "one-never", "four-seeds"],
)
def test_the_dnc_is_faster_where_it_is_on_every_task(table: pd.DataFrame, outcome: str, part: str) -> None:
    verdict = tasks.judge(table)
    assert verdict.outcome == outcome and part.replace("1400", "1,400") in verdict.sentence
    if outcome == IN_PART:
        assert verdict.parts == {"copy": REPRODUCED, "associative recall": NOT_REPRODUCED}


def test_tasks_that_are_never_solved_are_not_compared() -> None:
    table = pd.concat([all_tasks(EARLY), runs({("sort", "dnc"): NEVER, ("sort", "ntm"): NEVER}, "machine")])
    assert {*tasks.compare(table)} == {"copy", "associative_recall"}
    assert len(tasks.draw(table).get_axes()) == 2
    lines = tasks.summarise(table)
    assert lines["task"].tolist() == ["copy"] * 3 + ["associative recall"] * 2 + ["priority sort"] * 2
    assert lines["after sequences"].iloc[0] == "3,400 (3,200 to 3,600; 4,000)"


def repaired(special: Mapping[tuple[str, str], Times]) -> pd.DataFrame:
    arms = {(task, arm): LATE for task in ("associative_recall", "repeat_copy") for arm in repairs.ARMS}
    return runs({**arms, **special}, "arm")


SHARP = {(task, "link_sharpness"): EARLY for task in ("associative_recall", "repeat_copy")}


@pytest.mark.parametrize(
    ("special", "outcome", "sharp"),
    [
        (SHARP, IN_PART, REPRODUCED),
        ({("repeat_copy", "link_sharpness"): EARLY}, DEPENDS, DEPENDS),
        ({}, NOT_REPRODUCED, NOT_REPRODUCED),
        ({("repeat_copy", "masking"): NEVER}, NOT_REPRODUCED, NOT_REPRODUCED),
    ],
    ids=["sharp-links-help", "on-one-task", "none-helps", "one-harms"],
)
def test_a_repair_helps_where_it_does_on_every_task(special: Any, outcome: str, sharp: str) -> None:
    verdict = repairs.judge(repaired(special))
    assert (verdict.outcome, verdict.parts["sharp links"]) == (outcome, sharp)
    assert verdict.parts["masked look-ups"] == NOT_REPRODUCED


def test_repairs_are_drawn_and_summarised() -> None:
    table = repaired(SHARP)
    assert len(repairs.draw(table).get_axes()) == 2
    lines = repairs.summarise(table)
    assert (
        len(lines) == 8 and lines["against none (Holm)"].iloc[0] == "" and "p =" in lines["against none (Holm)"].iloc[3]
    )
    assert repairs.judge(table[table["seed"] < 4]).outcome == TOO_FEW


def shown(wrong: Mapping[str, float], second: float = 0.0, seeds: int = 5) -> pd.DataFrame:
    """The share of wrong answers of every arm from the second showing on, a little other in every seed; ``second`` is
    added at the second."""
    rows = [
        {"arm": arm, "seed": seed, "showing": showing, "wrong": 0.6 if showing == 1 else share + seed / 1000}
        for arm, share in wrong.items()
        for seed in range(seeds)
        for showing in (1, 2, 3)
    ]
    table = pd.DataFrame(rows).assign(parameters=99, sequences=6400, seconds=20.0)
    table.loc[(table["showing"] == 2) & (table["arm"] == "mann"), "wrong"] += second
    return table


ARMS = {"mann": 0.1, "ntm": 0.3, "lstm": 0.5, "dnc": 0.2, "without_late_write": 0.3, "santoro2016": 0.6}


@pytest.mark.parametrize(
    ("table", "beaten", "lacked"),
    [
        (shown(ARMS), REPRODUCED, REPRODUCED),
        (shown(ARMS | {"ntm": 0.1}), IN_PART, REPRODUCED),
        (shown(ARMS, second=0.2), IN_PART, DEPENDS),
        (shown(dict.fromkeys(ARMS, 0.3)), NOT_REPRODUCED, NOT_REPRODUCED),
        (shown(ARMS, seeds=4), TOO_FEW, TOO_FEW),
    ],
    ids=["better", "as-good-as-the-ntm", "not-at-the-second", "all-alike", "four-seeds"],
)
def test_one_shot_learning_is_judged_by_showing(table: pd.DataFrame, beaten: str, lacked: str) -> None:
    assert one_shot.judge(table).outcome == beaten
    assert late_write.judge(table).outcome == lacked


def test_showings_are_drawn_and_summarised() -> None:
    table = shown(ARMS)
    for study, machines in ((one_shot, one_shot.MACHINES), (late_write, late_write.MACHINES)):
        assert len(study.summarise(table)) == len(machines)
        (axis,) = study.draw(table).get_axes()
        assert len([line for line in axis.get_lines() if line.get_linewidth() == 2]) == len(machines)
    assert showings.summarise_arms(table, ["mann"])["showing 2, % right"].iloc[0].startswith("89.8 (")


def kept(dnc: float, mann: float, seeds: int = 10) -> pd.DataFrame:
    """What is left to a DNC without links and to a MANN without reads."""
    arms = [("copy", "dnc", "links cut", dnc), ("one_shot", "mann", "reads zeroed", mann)]
    return pd.DataFrame(
        [
            {"task": task, "machine": machine, "seed": seed, "ablation": name, "wrong": 1.0, "kept": share}
            for task, machine, ablation, left in arms
            for seed in range(seeds)
            for name, share in (("intact", 1.0), ("slots shuffled", 0.0), (ablation, left))
        ]
    )


@pytest.mark.parametrize(
    ("table", "outcome", "dnc"),
    [
        (kept(0.1, 0.0), REPRODUCED, REPRODUCED),
        (kept(0.9, 0.0), IN_PART, NOT_REPRODUCED),
        (kept(0.1, 0.0, seeds=4), TOO_FEW, TOO_FEW),
    ],
    ids=["lost", "links-do-not-matter", "four-seeds"],
)
def test_what_most_models_lose_was_there(table: pd.DataFrame, outcome: str, dnc: str) -> None:
    verdict = memory.judge(table)
    assert (verdict.outcome, verdict.parts["DNC, copy"]) == (outcome, dnc)


def test_what_is_kept_is_drawn_and_summarised() -> None:
    table = kept(0.1, 0.0)
    (axis,) = memory.draw(table).get_axes()
    assert [text.get_text() for text in axis.texts] == ["", "0%", "10%", "0%", "0%", ""]
    lines = memory.summarise(table)
    assert lines.to_dict("list") == {
        "task": ["copy", "one-shot"],
        "machine": ["DNC", "MANN"],
        "runs": [10, 10],
        "reads zeroed": ["", "0%"],
        "slots shuffled": ["0%", "0%"],
        "links cut": ["10%", ""],
    }


TINY = [
    *("data.batch_size=4", "data.validate_every=8", "data.validation_sequences=4", "data.validation_rungs=2"),
    *("max_sequences=8", "test.sequences=4", "test.difficulties=null", "memory.slots=16", "memory.width=6"),
    *("controller.size=16", "seed=0"),
]


@pytest.mark.slow
def test_tables_of_tiny_sweeps(train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = {name: tmp_path / name for name in ("tasks", "repairs", "one_shot")}
    for name, chosen in (
        ("tasks", ["experiment/machines/tasks=ntm,dnc", "task=copy", "task.lengths=[1,4]"]),
        ("repairs", ["experiment/machines/repairs=none,masking", "task=associative_recall"]),
        ("one_shot", ["experiment/machines/one_shot=mann,dnc"]),
    ):
        ended = train("-m", f"experiment=machines/{name}", *TINY, *chosen, f"hydra.sweep.dir={folders[name]}")
        assert ended.status == 0, ended.err

    found = tasks.measure(folders, False)
    assert sorted(found["machine"]) == ["dnc", "ntm"] and set(found["difficulty"]) == {"length 4"}
    assert repairs.measure(folders, False)["arm"].tolist() == ["masking", "none"]
    by_showing = showings.measure(folders, False)
    assert by_showing.groupby("arm")["showing"].apply(list).to_dict() == {
        arm: [*range(1, 7)] for arm in ("dnc", "mann")
    }
    assert by_showing["wrong"].between(0, 1).all()

    with pytest.raises(ValueError, match="none of the runs has learned"):
        memory.measure(folders, False)
    monkeypatch.setattr(memory, "KNOWS", -10.0)
    ablated = memory.measure(folders, False)
    assert ablated.groupby(["task", "machine"]).size().to_dict() == {
        ("copy", "dnc"): 7,
        ("copy", "ntm"): 6,
        ("one_shot", "dnc"): 6,  # a memory that is cleared at every step is frozen, too
        ("one_shot", "mann"): 5,
    }
    assert (ablated.loc[ablated["ablation"] == "intact", "kept"] == 1).all()
