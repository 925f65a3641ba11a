"""Callbacks only watch: with them or without, a run ends with the same weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from ntm_lab.runs.run import Run
from ntm_lab.training.callbacks import ProgressBar


@pytest.mark.parametrize("model", ["ntm", "lstm"])
def test_callbacks_decide_nothing(
    model: str, started: Callable[..., Run], tiny_ntm: list[str], tiny_lstm: list[str]
) -> None:
    weights = []
    for callbacks in ("default", "none"):
        run = started(*(tiny_ntm if model == "ntm" else tiny_lstm), f"callbacks={callbacks}")
        run.fit()
        weights.append(run.learner.model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_picture_comes_every_so_many_validations(started: Callable[..., Run], tiny_ntm: list[str]) -> None:
    """Validations at 4, 8, …, 24 sequences, pictures after every second; the last is also the end of training."""
    run = started(*tiny_ntm, "data.validate_every=4", "callbacks=pictures", "callbacks.pictures.every=2")
    (pictures,) = [callback for callback in run.trainer.callbacks if hasattr(callback, "draw")]  # type: ignore[attr-defined]
    draw, titles = pictures.draw, []

    def noting(*parts: object, title: str) -> object:
        titles.append(title)
        return draw(*parts, title=title)

    pictures.draw = noting
    run.fit()
    assert [title.split(" after ")[1].split()[0] for title in titles] == ["8", "16", "24"]
    assert Path(run.folder / "episode.png").stat().st_size > 10_000


def test_the_bar_shows_sequences_cost_and_wrong_bits(
    started: Callable[..., Run], tiny_ntm: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    started(*tiny_ntm, "callbacks=progress", "callbacks.progress.every=1", "log_every=1").fit()
    last = capfd.readouterr().err.split("\r")[-1]
    assert "24/24" in last
    for shown in ("cost=", "wrong bits=", "val cost=", "val wrong bits="):
        assert shown in last


DESCENT = ["schedule=until_solved", "schedule.below=1e9", "schedule.sequences=12", "schedule.solved=1e9"]


class Ends(pl.Callback):
    """Notes where the bar ends, at every validation."""

    def __init__(self, progress: Any) -> None:
        self.progress = progress
        self.seen: list[int] = []

    def on_validation_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        self.seen.append(self.progress.bar.total)


@pytest.mark.parametrize(("stop", "ends"), [("1e9", [20, 20, 24]), ("null", [40] * 5)], ids=["may stop", "budget"])
def test_the_bar_ends_where_the_run_will(
    stop: str, ends: list[int], started: Callable[..., Run], tiny_ntm: list[str]
) -> None:
    """Learned at the first validation, after 8 sequences, so that the descent ends after 20, and the run after 24."""
    overrides = [part for part in tiny_ntm if not part.startswith("max_sequences")]
    run = started(*overrides, "callbacks=progress", *DESCENT, "max_sequences=40", f"stop_at_cost={stop}")
    watch = Ends(next(one for one in run.trainer.callbacks if isinstance(one, ProgressBar)))
    run.trainer.callbacks.append(watch)
    run.fit()
    assert watch.seen == ends
