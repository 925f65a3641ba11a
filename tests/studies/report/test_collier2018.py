"""The study of Collier and Beel's memories: its sweeps, and what follows from which times."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import DictConfig

from ntm_lab.runs.run import Run
from ntm_lab.studies.report.collier2018 import CONVERGED, STUDY, TASKS, draw, judge, measure, summarise, times_to_mark
from ntm_lab.studies.study import NOT_REPRODUCED, REPRODUCED, TOO_FEW

ENDED, EVERY = 24_000, 1_600
Times = Sequence[int | None]

EARLY, LATE = [4800, 4800, 6400, 6400, 4800], [19_200, 20_800, 19_200, 22_400, 20_800]
NEVER = [None] * 5


def rows(task: str, memory: str, times: Times, form: str = "short") -> pd.DataFrame:
    """Runs that are half wrong of 40 bits, and from their time on at a quarter of the mark."""
    mark = CONVERGED if form == "full" else 10.0
    lines = [
        {"form": form, "task": task, "sizes": "small", "memory": memory, "seed": seed, "sequences": sequences}
        | {"chance": 20.0, "mark": mark}
        | {"wrong_bits": 20.0 if time is None or sequences < time else mark / 4}
        for seed, time in enumerate(times)
        for sequences in range(EVERY, ENDED + 1, EVERY)
    ]
    return pd.DataFrame(lines)


def table(constant: Times, learned: Times, random: Times, task: str = "copy", form: str = "short") -> pd.DataFrame:
    arms = {"constant": constant, "learned": learned, "random": random}
    return pd.concat([rows(task, memory, times, form) for memory, times in arms.items()], ignore_index=True)


def test_the_time_is_that_of_the_first_validation_below_the_mark() -> None:
    times = times_to_mark(rows("copy", "constant", [4800, None]))
    assert times["first"].tolist()[0] == 4800 and pd.isna(times["first"][1])
    assert times["ended"].tolist() == [ENDED, ENDED]


@pytest.mark.parametrize(
    ("learned", "random"), [(LATE, NEVER), (NEVER, LATE), (NEVER, NEVER)], ids=["learned", "random", "neither"]
)
def test_reproduced_where_the_next_best_takes_much_longer(learned: Times, random: Times) -> None:
    outcome, sentence, _ = judge(table(EARLY, learned, random))
    assert outcome == REPRODUCED
    assert "after 4,800 sequences" in sentence and "5 and 5 seeds" in sentence and "not excluded" in sentence


def test_the_next_best_is_the_sooner_of_the_other_two() -> None:
    assert (
        "with a learned one, the next best, after 20,800, 4.33 times as many"
        in judge(table(EARLY, LATE, NEVER)).sentence
    )
    assert (
        "with a random one, the next best, after 20,800, 4.33 times as many"
        in judge(table(EARLY, NEVER, LATE)).sentence
    )
    assert "after more than 24,000, – times as many" in judge(table(EARLY, NEVER, NEVER)).sentence


@pytest.mark.parametrize(
    ("constant", "learned"), [(EARLY, EARLY), (EARLY, [8000] * 5), (LATE, EARLY)], ids=["alike", "a little", "slower"]
)
def test_not_reproduced_where_the_next_best_is_sooner_than_claimed(constant: Times, learned: Times) -> None:
    outcome, sentence, _ = judge(table(constant, learned, NEVER))
    assert outcome == NOT_REPRODUCED
    assert "3.5 times as many is excluded" in sentence


@pytest.mark.parametrize("short", [0, 1, 2])
def test_too_few_seeds_of_any_memory(short: int) -> None:
    arms: list[Times] = [EARLY, LATE, NEVER]
    arms[short] = arms[short][:4]
    outcome, sentence, _ = judge(table(arms[0], arms[1], arms[2]))
    assert outcome == TOO_FEW and "4 of" in sentence


def test_other_tasks_are_no_seeds_of_copy() -> None:
    assert judge(table(EARLY, LATE, NEVER, task="repeat_copy")).outcome == TOO_FEW


def test_too_few_seeds_where_nothing_can_be_told() -> None:
    """Times so wide apart that both 1 and 3.5 fit."""
    outcome, sentence, _ = judge(table([1600, 8000, 9600, None, None], [8000, 9600, 22_400, None, None], NEVER))
    assert outcome == TOO_FEW and "Neither" in sentence


def test_the_lines_below_the_figure() -> None:
    copy, recall = table(EARLY, LATE, NEVER), table(LATE, LATE, NEVER, task="associative_recall")
    lines = summarise(pd.concat([copy, recall]))
    assert lines["task"].tolist() == ["copy, small"] * 3 + ["associative recall, small"] * 3
    assert lines["below half of the wrong bits of chance"].str.split(" ").str[0].tolist() == [
        "5",
        "5",
        "0",
        "5",
        "5",
        "0",
    ]
    assert lines["times constant"].tolist() == ["", "4.33", "–", "", "1.00", "–"]
    assert lines["published"].tolist() == ["", "3.5", "", "", "1.15", ""]
    assert lines["logrank, Holm"][1] != "" == lines["logrank, Holm"][0]


@pytest.mark.parametrize("form", ["short", "full"])
def test_a_column_of_two_panels_for_every_task(form: str, tmp_path: Path) -> None:
    parts = [table(EARLY, LATE, NEVER, task, form) for task in TASKS]
    figure = draw(pd.concat(parts, ignore_index=True))
    panels = figure.get_axes()
    above, below = panels[:3], panels[3:]
    assert [panel.get_title() for panel in above] == [f"{name}\nsmall" for name in TASKS.values()]
    assert above[0].get_ylabel() == "wrong bits per sequence"
    assert below[0].get_ylabel() == "runs not below the mark yet"
    assert {panel.get_xlabel() for panel in below} == {"sequences seen"}
    bold = [line for line in above[0].get_lines() if line.get_linewidth() == 2]
    assert len(bold) == 3 and len({(line.get_color(), str(line.get_linestyle())) for line in bold}) == 3
    assert np.asarray(below[0].get_lines()[0].get_ydata())[-1] == 0  # all constant ones were there
    figure.savefig(tmp_path / "figure.png")


@pytest.mark.slow
def test_the_table_of_a_sweep(train: Callable[..., Any], tiny_ntm: list[str], tmp_path: Path) -> None:
    ended = train("-m", "experiment=report/collier2018_copy", *tiny_ntm, "seed=3", f"hydra.sweep.dir={tmp_path}")
    assert ended.status == 0, ended.err
    found = measure({"collier2018_copy": tmp_path}, full=False)
    assert found["memory"].value_counts().to_dict() == {"constant": 3, "learned": 3, "random": 3}
    assert set(found["task"]) == {"copy"} and set(found["seed"]) == {3} and set(found["form"]) == {"short"}
    assert found["sequences"].tolist() == [8, 16, 24] * 3
    assert set(found["sizes"]) == {"lengths 1 to 4, 16 slots"}
    assert found["chance"].tolist() == pytest.approx([6.0] * 9)  # lengths 2 and 4 of 4 bits: 12 bits in the mean
    assert found["mark"].tolist() == pytest.approx([3.0] * 9)
    assert set(measure({"collier2018_copy": tmp_path}, full=True)["mark"]) == {CONVERGED}
    assert judge(found).outcome == TOO_FEW


@pytest.mark.parametrize("task", TASKS)
def test_the_full_form_has_their_settings(task: str, composed: Callable[..., DictConfig]) -> None:
    config = composed(f"experiment=report/collier2018_{task}", "form=full")
    theirs = composed(f"experiment=collier2018/{task}")
    for part in ("task", "controller", "optimizer", "clip", "schedule", "penalty", "max_sequences"):
        assert config[part] == theirs[part], part
    assert (config.memory.slots, config.memory.width, config.data.batch_size) == (128, 20, 32)
    assert config.hydra.sweeper.params.seed == "range(0,20)"


def test_the_memories_differ_in_where_they_begin_only(started: Callable[..., Run]) -> None:
    """All are trained; the values are those that the files of the arms give a reason for."""
    spread = {}
    for memory in ("constant", "learned", "random"):
        arm = f"experiment/report/collier2018={memory}"
        run = started("experiment=report/collier2018_copy", arm, "memory.slots=128")
        weights = dict(run.learner.model.named_parameters())
        contents = weights["access.contents.value"]
        assert contents.requires_grad and contents.shape == (128, 20)
        assert float(weights["access.weightings.logits"].detach().std()) == pytest.approx(0.125, rel=0.2)
        spread[memory] = float(contents.detach().std())
    assert spread == pytest.approx({"constant": 0.0, "learned": 0.028, "random": 0.5}, rel=0.1, abs=1e-9)


def test_every_sweep_is_there() -> None:
    conf = Path(__file__).parents[3] / "conf" / "experiment" / "report"
    for sweep in STUDY.sweeps:
        assert (conf / f"{sweep}.yaml").is_file()
