"""Callbacks only watch: with them or without, a run ends with the same weights."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ntm_lab.runs.run import Run


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
