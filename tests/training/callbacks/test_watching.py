"""Callbacks only watch: with them or without, a run ends with the same weights."""

import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ntm_lab.runs.run import Run
from ntm_lab.training.callbacks import ProgressBar
from ntm_lab.training.callbacks.pictures import CARD, Picture, Pictures, as_shown, drawn


@pytest.mark.parametrize("model", ["ntm", "lstm"])
def test_callbacks_decide_nothing(
    model: str, started: Callable[..., Run], tiny_ntm: list[str], tiny_lstm: list[str]
) -> None:
    weights = []
    for callbacks in ("default", "moments", "none"):
        run = started(*(tiny_ntm if model == "ntm" else tiny_lstm), f"callbacks={callbacks}")
        run.fit()
        weights.append(run.learner.model.state_dict())
    *watched, alone = weights
    assert all(torch.equal(each[name], alone[name]) for each in watched for name in alone)


@pytest.fixture
def run(started: Callable[..., Run], tiny_ntm: list[str]) -> Run:
    """Validations at 4, 8, …, 24 sequences, pictures after every third; the last is also the end of training."""
    pictures = ("callbacks=pictures", "callbacks.pictures.every=3")
    return started(*tiny_ntm, "data.validate_every=4", "logger=tensorboard", *pictures)


def pictures_of(run: Run) -> Pictures:
    (pictures,) = [callback for callback in run.trainer.callbacks if isinstance(callback, Pictures)]  # type: ignore[attr-defined]
    return pictures


def test_a_picture_comes_every_so_many_validations(run: Run) -> None:
    """From another process, into the folder and, as large as is shown, to TensorBoard, where each stays."""
    pictures = pictures_of(run)
    draw, titles = pictures.draw, []

    def noting(*parts: object, title: str) -> Picture:
        titles.append(title)
        return draw(*parts, title=title)

    pictures.draw = noting
    run.complete()
    assert [title.split(" after ")[1].split()[0] for title in titles] == ["12", "24"]
    shown = EventAccumulator(str(run.folder)).Reload().Images("episode")
    assert [image.step for image in shown] == [12, 24]
    first, last = (np.asarray(Image.open(BytesIO(image.encoded_image_string))) for image in shown)
    with Image.open(run.folder / "episode.png") as newest:
        assert newest.width == 1600 and last.shape[1] == CARD[0]
        whole = np.asarray(as_shown(newest.convert("RGB")))
    assert np.array_equal(last, whole) and not np.array_equal(first, whole)


class Broken:
    """A picture that comes to grief where it is drawn."""

    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise OSError('no ink')",)

    def savefig(self, file: object) -> None:
        """Is never reached."""


def test_a_picture_that_cannot_be_drawn_costs_a_line_not_the_run(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    pictures_of(run).draw = lambda *parts, title: Broken()
    assert run.complete()["sequences"] == 24
    lines = [record.message for record in caplog.records]
    assert lines == [f"no episode.png after {sequences} sequences: OSError: no ink" for sequences in (12, 24)]
    assert not (run.folder / "episode.png").exists()


def test_a_figure_is_a_picture_too(tmp_path: Path) -> None:
    image = drawn(pickle.dumps(Figure((1, 1))), tmp_path / "figure.png")
    assert image.startswith(b"\x89PNG") and image == (tmp_path / "figure.png").read_bytes()


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
