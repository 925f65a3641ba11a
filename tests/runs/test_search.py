"""A search for settings: what each trial costs is known to the study, which outlives the search."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from ntm_lab.runs.folder import RESULTS

pytestmark = pytest.mark.slow


def test_a_search_that_was_killed_goes_on(
    train: Callable[..., Any], tiny_lstm: list[str], tmp_path: Path, digest: Callable[[Path], str]
) -> None:
    folder = tmp_path / "search"
    command = ["-m", "search=optuna", *tiny_lstm, f"hydra.sweep.dir={folder}", "hydra.sweeper.n_trials=2"]
    begun = train(*command)
    assert begun.status == 0, begun.err
    study = optuna.load_study(study_name="lstm-copy", storage=f"sqlite:///{folder}/study.db")
    study.ask()  # what a kill leaves: a trial whose cost is never told
    before = {path.parent: digest(path.parent) for path in folder.rglob(RESULTS)}

    again = train(*command)
    assert again.status == 0, again.err
    states = [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.RUNNING, TrialState.COMPLETE, TrialState.COMPLETE]
    assert [trial.state for trial in study.get_trials()] == states
    assert (
        len(before) == 2
        and before.items() <= {path.parent: digest(path.parent) for path in folder.rglob(RESULTS)}.items()
    )
    costs = {
        float(path.parent.name.split("optimizer.lr=")[1].split(",")[0]): json.loads(path.read_text())["test"][0][
            "cost_bits"
        ]
        for path in folder.rglob(RESULTS)
    }
    told = {trial.params["optimizer.lr"]: trial.value for trial in study.get_trials(states=[TrialState.COMPLETE])}
    assert told == costs and len(costs) == 4
    assert study.best_value == min(costs.values())
