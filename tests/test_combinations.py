"""Choices of all groups combined: every two that fit together train, those that do not are refused in one line."""

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from ntm_lab.runs.run import Run

CONF = Path(__file__).parents[1] / "conf"
OWN = "own"  # what comes by itself, with nothing said
GROUPS = ("model", "task", "controller", "memory", "memory.init", "memory.weighting", "optimizer", "schedule", "clip",
          "penalty", "curriculum", "budget")  # fmt: skip
BY_RECIPE = ("controller", "memory", "memory.init", "memory.weighting", "schedule", "penalty", "budget")
CHOICES = {
    group: [OWN] * (group in BY_RECIPE) + sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    for group in GROUPS
} | {"recipe": [OWN, "general"]}
for brother in ("rnn", "tape_rnn_oracle"):  # of a GRU, of a tape
    CHOICES["model"].remove(brother)
MEMORY = ("controller", "memory", "memory.init", "memory.weighting")
NO_MEMORY = dict.fromkeys(MEMORY, ()) | {"penalty": ("shift_entropy", "weighting_entropy", "entropy")}
NO_WEIGHTING = {"memory.weighting": (), "penalty": ("weighting_entropy", "entropy")}

LACKS = {  # what a model does not have: groups, and penalties of signals that it does not emit
    "ntm": {},
    "dnc": {"memory.weighting": ()},
    "mann": {"memory.weighting": (), "penalty": ("shift_entropy", "entropy")},
    **dict.fromkeys(("lstm", "gru", "transformer", "linear_memory", "mamba2", "xlstm"), NO_MEMORY),
    **dict.fromkeys(("stack_rnn", "tape_rnn"), NO_WEIGHTING),
}
TINY = {
    "copy": ["task.lengths=[1,3]"],
    "repeat_copy": ["task.lengths=[1,2]", "task.repeats=[1,2]"],
    "associative_recall": ["task.items=[2,2]", "task.rows=1"],
    "sort": ["task.items=3", "task.outputs=2"],
    "ngrams": ["task.length=6", "task.context=2"],
    "one_shot": ["task.ways=[2,2]", "task.shots=[2,2]"],
    "babi": ["task.tasks=[1,4]", "task.partial=true"],
    "parity": ["task.lengths=[1,3]"],
    "adding": ["task.lengths=[2,4]"],
}
CHOICES["task"] = [*TINY]  # the others are of the kinds of these
TWO_STEPS = ["data.batch_size=2", "max_sequences=4", "data.validate_every=4", "data.validation_sequences=2",
             "data.validation_rungs=1", "test.difficulties=null", "logger=none", "callbacks=none"]  # fmt: skip

Row = Mapping[str, str]


def lacking(model: str) -> Iterator[tuple[str, str]]:
    """Every group and choice that a model does not take."""
    for group, refused in LACKS[model].items():
        yield from ((group, choice) for choice in refused or CHOICES[group] if choice != OWN)


def fits(row: Row) -> bool:
    """Whether the model has all that is chosen, as far as anything is."""
    return not any(row.get(group) == choice for group, choice in lacking(row.get("model", "ntm")))


def covering(seed: int = 0, tries: int = 30) -> list[Row]:
    """Rows of choices in which every two that fit together occur: greedily, of some random rows the one with most."""
    draw = random.Random(seed)
    pairs = {
        frozenset({(one, first), (other, second)})
        for one, other in combinations(CHOICES, 2)
        for first in CHOICES[one]
        for second in CHOICES[other]
        if fits({one: first, other: second})
    }
    # of a model and what it does not have neither alone says so: a pair of the other two groups may need another model
    rows: list[Row] = []
    while pairs:
        best: tuple[set[frozenset[tuple[str, str]]], Row] = (set(), {})
        for _ in range(tries):
            row = dict(draw.choice(sorted(sorted(pair) for pair in pairs)))
            for group in draw.sample(sorted(CHOICES), len(CHOICES)):
                if group not in row:
                    allowed = [choice for choice in CHOICES[group] if fits({**row, group: choice})]
                    gain = {c: sum(frozenset({(group, c), item}) in pairs for item in row.items()) for c in allowed}
                    row[group] = max(allowed, key=lambda choice: (gain[choice], draw.random()))
            found = {frozenset(pair) for pair in combinations(row.items(), 2)} & pairs
            best = max(best, (found, row), key=lambda one: len(one[0]))
        rows.append(best[1])
        pairs -= best[0]
    return rows


def overrides(row: Row) -> list[str]:
    chosen = [f"{group}={choice}" for group, choice in row.items() if choice != OWN and group != "recipe"]
    if row["recipe"] == "general":
        chosen.append(f"recipe={row['model']}/general")
    plain = LACKS[row["model"]] is NO_MEMORY
    small = ["model.size=8", "model.layers=1"] if plain else ["controller.size=4", "memory.slots=6"]
    return [*chosen, *small, *TINY[row["task"]], *TWO_STEPS]


@pytest.mark.filterwarnings("ignore:memory.init=constant with memory.weighting=uniform")
def test_every_two_choices_train_together(started: Callable[..., Run], babi: Path) -> None:
    failed = {}
    for row in covering():
        try:
            run = started(*overrides(row), *([f"task.root={babi}"] if row["task"] == "babi" else []))
            run.fit()
            assert run.trainer.global_step == 2
        except Exception as error:
            failed[" ".join(overrides(row))] = f"{type(error).__name__}: {error}"
    assert failed == {}


@pytest.mark.parametrize(
    ("model", "group", "choice"),
    [(model, *pair) for model in LACKS for pair in lacking(model)],
)
def test_what_a_model_does_not_have_is_refused_in_one_line(
    model: str, group: str, choice: str, train: Callable[..., Any], tmp_path: Path
) -> None:
    ended = train(f"model={model}", f"{group}={choice}", *TINY["copy"], *TWO_STEPS, f"hydra.run.dir={tmp_path / 'run'}")
    (said,) = [line for line in ended.err.splitlines() if not line.startswith("Error executing job with overrides")]
    assert ended.status != 0 and not (tmp_path / "run").exists()
    assert group in said and f"model={model}" in said
