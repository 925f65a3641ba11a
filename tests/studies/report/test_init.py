"""Initial memories: what is measured of a tiny sweep, and the verdict on made-up times."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from ntm_lab.runs.run import Run
from ntm_lab.studies.report.init import STUDY
from ntm_lab.studies.report.init_table import MEMORIES, SETTINGS, WEIGHTINGS, compare
from ntm_lab.studies.study import DEPENDS, NOT_REPRODUCED, REPRODUCED, TOO_FEW

EARLY, LATE = [1000, 1200, 1400, 1600, 1800], [3000, 3200, 3400, 3600, 4000]
NEVER = [None] * 5
NUMBERED = "hydra.sweep.subdir=${hydra.job.num}"  # with all settings of a tiny run a folder would have too long a name
Times = Sequence[int | None]
Arm = tuple[str, str, str]


def made_up(special: Mapping[Arm, Times], otherwise: Times = EARLY) -> pd.DataFrame:
    """Runs of 5,000 sequences; the times until they learned, of some arms others than of the rest."""
    rows = [
        {"settings": settings, "weighting": weighting, "memory": memory, "seed": seed, "learned": time}
        for settings in SETTINGS
        for weighting in WEIGHTINGS
        for memory in MEMORIES
        for seed, time in enumerate(special.get((settings, weighting, memory), otherwise))
    ]
    table = pd.DataFrame(rows).assign(ended=5000, solved=False)
    return table.assign(learned=table["learned"].astype(float), lost=table["learned"] == EARLY[0])


LEARNED_LATE_EVERYWHERE: dict[Arm, Times] = {
    (settings, weighting, "random trained"): LATE for settings in SETTINGS for weighting in WEIGHTINGS
}
LEARNED_LATE: dict[Arm, Times] = {("ours", "first_slot", "random trained"): LATE}
CONSTANT_NEVER: dict[Arm, Times] = {
    ("collier2018", "uniform", memory): NEVER for memory in ("constant", "constant trained")
}
ONE_CONSTANT_NEVER = {("collier2018", "uniform", "constant"): [None, None, 1400, 1600, 1800]}


@pytest.mark.parametrize(
    ("special", "outcome", "part"),
    [
        (LEARNED_LATE_EVERYWHERE, REPRODUCED, "sooner than a learned one in 6 and later in 0 of 6 settings and"),
        (LEARNED_LATE, DEPENDS, "sooner than a learned one in 1 and later in 0 of 6 settings and weightings"),
        (CONSTANT_NEVER, NOT_REPRODUCED, "everywhere alike: 0 of 10 after more than 5,000 against 5 of 5 after 1,400"),
        (LEARNED_LATE | CONSTANT_NEVER, DEPENDS, "in 1 and later in 1 of 6"),
        (ONE_CONSTANT_NEVER, NOT_REPRODUCED, "in 0 and later in 0 of 6 settings and weightings (the clearest: "),
        ({}, NOT_REPRODUCED, "heads look at first: 40 of 40 (91% to 100%) on the first slot"),
        ({("ours", "uniform", "random"): EARLY[:4]}, TOO_FEW, "fewer than 5 seeds"),
        ({("ours", "uniform", "random"): []}, TOO_FEW, "fewer than 5 seeds"),
    ],
    ids=["sooner-everywhere", "sooner", "later", "both", "two-of-ten-later", "alike", "an-arm-of-four", "no-arm"],
)  # fmt: skip
def test_the_verdict_is_where_constant_memories_learn_sooner(
    special: Mapping[Arm, Times], outcome: str, part: str
) -> None:
    verdict = STUDY.judge(made_up(special))
    assert verdict.outcome == outcome
    assert part in verdict.sentence


def test_what_was_lost_again_is_of_the_runs_that_had_learned() -> None:
    """The first run of every arm loses it, and two arms never learn."""
    sentence = STUDY.judge(made_up(CONSTANT_NEVER)).sentence
    assert "lost again what it had learned in 10 of 50 runs, a learned one in 6 of 30" in sentence


def test_a_random_memory_that_is_kept_is_on_neither_side() -> None:
    table = made_up({})
    changed = made_up({(settings, weighting, "random"): NEVER for settings in SETTINGS for weighting in WEIGHTINGS})
    assert compare(table) == compare(changed)


def test_p_values_are_adjusted_for_six() -> None:
    """Alone, the same times are told apart more surely."""
    among_six = compare(made_up(LEARNED_LATE))["ours", "first_slot"]
    (alone,) = compare(made_up(LEARNED_LATE).query("settings == 'ours' and weighting == 'first_slot'")).values()
    assert among_six.p == pytest.approx(6 * alone.p)


@pytest.mark.slow
def test_measure_has_every_arm(train: Callable[..., Any], tmp_path: Path, tiny_ntm: list[str]) -> None:
    params = ["memory.weighting=near_uniform", "seed=0", "log_every=2"]
    ended = train("-m", "experiment=report/init", *tiny_ntm, *params, f"hydra.sweep.dir={tmp_path}", NUMBERED)
    assert ended.status == 0, ended.err
    table = STUDY.measure({"init": tmp_path}, False).sort_values(["settings", "memory"])
    assert table["settings"].tolist() == ["collier2018"] * 4 + ["ours"] * 4
    assert table["memory"].tolist() == sorted(MEMORIES) * 2
    assert set(table["weighting"]) == {"near_uniform"} and set(table["ended"]) == {24}
    assert table["learned"].isna().all() and not table["lost"].any() and not table["solved"].any()


@pytest.mark.parametrize("memory", MEMORIES)
def test_an_arm_trains_what_its_name_says(memory: str, started: Callable[..., Run], tiny_ntm: list[str]) -> None:
    init, trained = memory.split()[0], "trained" in memory
    run = started(
        "experiment=report/init", *tiny_ntm, f"memory.init={init}", f"memory.init.trainable={str(trained).lower()}"
    )
    before = run.learner.model.state_dict()["access.contents.value"].clone()
    run.fit()
    assert torch.equal(before, run.learner.model.state_dict()["access.contents.value"]) is not trained


def test_the_settings_are_collier_and_beels_but_for_the_batch(composed: Callable[..., Any]) -> None:
    ours = composed("experiment=report/init", "experiment/report/init=collier2018")
    theirs = composed("experiment=collier2018/copy")
    for part in ("optimizer", "clip", "schedule", "penalty", "task", "controller"):
        assert ours[part] == theirs[part]
    assert ours.model == theirs.model


def test_the_figure_has_a_panel_for_every_setting_and_weighting(tmp_path: Path) -> None:
    figure = STUDY.draw(made_up(LEARNED_LATE | CONSTANT_NEVER))
    panels = figure.get_axes()
    assert [panel.get_title() for panel in panels[:3]] == [f"heads {name}" for name in WEIGHTINGS.values()]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == [*MEMORIES.values()]
    dots = sum(len(line.get_xdata()) for panel in panels for line in panel.get_lines() if line.get_marker() in "o>")
    assert dots == len(made_up(LEARNED_LATE | CONSTANT_NEVER))
    figure.savefig(tmp_path / "figure.png")


def test_the_lines_below_it() -> None:
    lines = STUDY.summarise(made_up(LEARNED_LATE | CONSTANT_NEVER))
    assert len(lines) == 24
    late, never = lines.iloc[3], lines.iloc[20]
    assert late["after sequences"] == "3,400 (3,200 to 3,600; 4,000)" and late["against constant"] == "p = 0.0034"
    assert never["after sequences"] == "–, 0 of 5 runs" and never["lost again"] == "0 of 0"
    assert (lines["against constant"] != "").sum() == 6
