"""The picture of one sequence: which panels it has, and what their axes and colours say."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from ntm_lab.figures import draw_episode
from ntm_lab.nn import LSTM, NTM
from ntm_lab.tasks import Copy
from ntm_lab.types import Batch

TASK = Copy(lengths=(1, 4), bits=3)


@pytest.fixture
def batch() -> Batch:
    return TASK.sample(2, {"length": 4}, torch.Generator().manual_seed(0))


@pytest.fixture
def ntm() -> NTM:
    return NTM(TASK.input_size, TASK.output_size, "feedforward", size=8, slots=12, width=5, read_heads=2)


def panels(figure: Figure) -> dict[str, tuple[np.ndarray, tuple[float, float], str, str]]:
    """Of every panel by its title: values, colour limits, and the labels of its axes; colour bars are none."""
    drawn = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    images = [(axes, axes.get_images()[0]) for axes in drawn]
    return {
        axes.get_title("left"): (np.asarray(image.get_array()), image.get_clim(), axes.get_xlabel(), axes.get_ylabel())
        for axes, image in images
    }


def test_an_ntm_has_a_panel_for_every_head_and_its_memory(ntm: NTM, batch: Batch, tmp_path: Path) -> None:
    with torch.no_grad():
        signals = ntm.trace(batch.inputs)
    figure = draw_episode(batch, signals, title="a title")
    found = panels(figure)
    assert list(found) == [
        "input",
        "target",
        "output where it is scored",
        "vectors written (add)",
        "vectors read",
        "write weighting",
        "read weighting, head 0",
        "read weighting, head 1",
        "memory at the end",
    ]
    assert len(figure.axes) == 2 * len(found)  # a colour bar each
    for title, (values, limits, _, ylabel) in found.items():
        assert ylabel == (
            "slot" if "weighting" in title else "channel" if "put" in title or title == "target" else "width"
        )
        assert values.shape[1] == (12 if title == "memory at the end" else 9)
        if "weighting" in title or title.startswith(("target", "output")):
            assert limits == (0, 1)
    assert found["read weighting, head 1"][2] == "time step"
    assert found["memory at the end"][2] == "slot"
    np.testing.assert_allclose(found["read weighting, head 1"][0], signals["read_weighting"][0, :, 1].T)
    np.testing.assert_allclose(found["memory at the end"][0], signals["memory"][0, -1].T)
    np.testing.assert_array_equal(found["input"][0], batch.inputs[0].T)

    assert figure.get_suptitle() == "a title"
    figure.savefig(tmp_path / "episode.png")
    assert (tmp_path / "episode.png").read_bytes().startswith(b"\x89PNG")


def test_an_lstm_has_three_panels(batch: Batch, tmp_path: Path) -> None:
    model = LSTM(TASK.input_size, TASK.output_size, size=6, layers=1)
    with torch.no_grad():
        figure = draw_episode(batch, model.trace(batch.inputs))
    found = panels(figure)
    assert list(found) == ["input", "target", "output where it is scored"]
    assert [labels[2:] for labels in found.values()][-1] == ("time step", "channel")
    figure.savefig(tmp_path / "episode.png")


def test_the_output_is_shown_where_it_is_scored(ntm: NTM, batch: Batch) -> None:
    with torch.no_grad():
        signals = ntm.trace(batch.inputs)
    shown = panels(draw_episode(batch, signals))["output where it is scored"][0]
    np.testing.assert_allclose(shown[:, 5:], signals["logits"][0, 5:].sigmoid().T)
    assert (shown[:, :5] == 0).all()


def test_time_is_the_same_for_all_panels_but_the_memory(ntm: NTM, batch: Batch) -> None:
    with torch.no_grad():
        figure = draw_episode(batch, ntm.trace(batch.inputs))
    spans = [axes.get_xlim() for axes in figure.axes if axes.get_images() and axes.get_label() != "<colorbar>"]
    assert set(spans[:-1]) == {(-0.5, 8.5)}
    assert spans[-1] == (-0.5, 11.5)


def test_a_scale_grows_with_what_was_written_and_stays_about_0(ntm: NTM, batch: Batch) -> None:
    with torch.no_grad():
        signals = ntm.trace(batch.inputs)
    signals["add"] = signals["add"] * 0 - 7.0
    assert panels(draw_episode(batch, signals))["vectors written (add)"][1] == (-7, 7)
