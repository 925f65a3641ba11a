"""A few of each of what `python tools/hostile` tries: nothing hostile is accepted, runs code or ends in a traceback."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TOOLS = str(Path(__file__).parents[1] / "tools" / "hostile")


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """``hostile("files")``: that module of the tool."""
    before = {*sys.modules}
    monkeypatch.syspath_prepend(TOOLS)

    def module(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield module
    for name in {*sys.modules} - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(TOOLS):
            del sys.modules[name]


def test_hostile_overrides_are_refused_or_train(hostile: Any) -> None:
    overrides = hostile("overrides")
    outcomes = overrides.run(16)
    assert len(outcomes) == 16 and [one for one in outcomes if one.fault] == []
    assert sum(bool(one.said) for one in outcomes) > 8


def test_a_damaged_checkpoint_is_never_accepted_with_other_values(hostile: Any, finished: Path) -> None:
    outcomes = hostile("checkpoints").run(finished, 40)
    assert len(outcomes) == 48 and [one for one in outcomes if one.fault] == []
    assert sum(bool(one.said) for one in outcomes) > 30


def test_hostile_files_run_no_code_and_are_one_line(hostile: Any, finished: Path) -> None:
    outcomes = hostile("files").run(finished, 8)
    assert len(outcomes) == 8 and [one for one in outcomes if one.fault] == []


@pytest.mark.slow
def test_a_run_that_gets_signals_ends_the_same(hostile: Any, tmp_path: Path) -> None:
    (outcome,) = hostile("kills").run(["lstm"], 2, tmp_path)
    assert len(outcome.kills) == 2 and not outcome.fault
