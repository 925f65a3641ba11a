"""The picture of one sequence: which panels it has, and what their axes and colours say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ntm_lab.figures import draw_episode, draw_trace, episode
from ntm_lab.nn import DNC, LSTM, MANN, NTM
from ntm_lab.tasks import Bits, Copy, NGrams, Reals, Symbols
from ntm_lab.types import Answer, Batch, Kind, SequenceModel

TASK = Copy(lengths=(1, 4), bits=3)
OF_TASK = ["input", "target", "output where it is scored"]


@pytest.fixture
def batch() -> Batch:
    return TASK.sample(2, {"length": 4}, torch.Generator().manual_seed(0))


@pytest.fixture
def ntm() -> NTM:
    return NTM(TASK.input_size, TASK.output_size, "feedforward", size=8, slots=12, width=5, read_heads=2)


@torch.no_grad()
def trace(model: SequenceModel, batch: Batch) -> dict[str, Tensor]:
    return model.trace(batch.inputs[:1])


def drawn(figure: Figure) -> dict[str, Axes]:
    """Every panel by its title; colour bars are none."""
    return {axes.get_title("left"): axes for axes in figure.axes if axes.get_label() != "<colorbar>"}


def panels(figure: Figure) -> dict[str, tuple[np.ndarray, tuple[float, float], str, str]]:
    """Of every panel by its title: values, colour limits, and the labels of its axes."""
    images = {title: (axes, axes.get_images()[0]) for title, axes in drawn(figure).items()}
    return {
        title: (np.asarray(image.get_array()), image.get_clim(), axes.get_xlabel(), axes.get_ylabel())
        for title, (axes, image) in images.items()
    }


def test_an_ntm_has_a_panel_for_every_head_and_its_memory(ntm: NTM, batch: Batch, tmp_path: Path) -> None:
    figure, signals = draw_episode(ntm, TASK, batch, title="a title"), trace(ntm, batch)
    found = panels(figure)
    assert list(found) == [
        *OF_TASK,
        "vectors written (add)",
        "vectors read",
        "write weighting",
        "read weighting, head 0",
        "read weighting, head 1",
        "shift",
        "gates: gate",
        "memory at the end",
    ]
    assert len(figure.axes) == 2 * len(found)  # a colour bar each
    for title, (values, limits, _, ylabel) in found.items():
        if "weighting" in title:
            assert ylabel == "slot"
        elif title in OF_TASK:
            assert ylabel == "channel"
        assert values.shape[1] == (12 if title == "memory at the end" else 9)
        if "weighting" in title or title.startswith(("target", "output", "shift", "gates")):
            assert limits == (0, 1)
    assert found["gates: gate"][2] == "time step" and found["read weighting, head 1"][2] == ""
    assert found["memory at the end"][2:] == ("slot", "width")
    np.testing.assert_allclose(found["read weighting, head 1"][0], signals["read_weighting"][0, :, 1].T)
    np.testing.assert_allclose(found["memory at the end"][0], signals["memory"][0, -1].T)
    np.testing.assert_allclose(found["shift"][0], signals["shift"][0].flatten(1).T)
    np.testing.assert_allclose(found["gates: gate"][0], signals["gate"][0].T)
    np.testing.assert_array_equal(found["input"][0], batch.inputs[0].T)

    assert figure.get_suptitle() == "a title"
    figure.savefig(tmp_path / "episode.png")
    assert (tmp_path / "episode.png").read_bytes().startswith(b"\x89PNG")


def test_what_a_dnc_declares_is_drawn(batch: Batch, tmp_path: Path) -> None:
    model = DNC(TASK.input_size, TASK.output_size, "feedforward", size=8, slots=6, width=5, read_heads=2)
    figure, signals = draw_episode(model, TASK, batch), trace(model, batch)
    found = panels(figure)
    assert list(found)[3:] == [
        "vectors written (add)",
        "vectors read",
        *("allocation", "write weighting", "read weighting, head 0", "read weighting, head 1"),
        *("usage", "precedence", "read mode", "gates: free gate, allocation gate, write gate"),
        *("link at the end", "memory at the end"),
    ]
    np.testing.assert_allclose(found["usage"][0], signals["usage"][0].T)
    np.testing.assert_allclose(found["link at the end"][0], signals["link"][0, -1].T)
    np.testing.assert_allclose(found["read mode"][0], signals["read_mode"][0].flatten(1).T)
    assert found["link at the end"][2:] == ("slot", "slot")
    assert found["gates: free gate, allocation gate, write gate"][0].shape == (4, 9)
    figure.savefig(tmp_path / "episode.png")


def test_what_a_mann_declares_is_drawn(batch: Batch) -> None:
    model = MANN(TASK.input_size, TASK.output_size, "feedforward", size=8, slots=6, width=5)
    assert {"write weighting", "read weighting", "usage", "gates: gate"} <= panels(
        draw_episode(model, TASK, batch)
    ).keys()


def test_matrices_that_would_take_too_much_are_left_out(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine steps of six by six slots are 324 cells."""
    model = DNC(TASK.input_size, TASK.output_size, "feedforward", size=8, slots=6, width=5)
    for cells, shown in ((324, True), (323, False)):
        monkeypatch.setattr(episode, "CELLS", cells)
        assert ("link at the end" in panels(draw_episode(model, TASK, batch))) is shown


def test_of_many_heads_the_first_are_drawn_and_their_number_told(batch: Batch) -> None:
    signals = {"logits": torch.zeros(1, 9, 3), "read_weighting": torch.rand(1, 9, 20, 4)}
    found = panels(draw_trace(batch, signals, {"read_weighting": Kind.WEIGHTING}, Bits(3)))
    assert list(found)[3:] == [f"read weighting, head {head} of 20" for head in range(8)]


def test_an_lstm_has_three_panels(batch: Batch, tmp_path: Path) -> None:
    figure = draw_episode(LSTM(TASK.input_size, TASK.output_size, size=6, layers=1), TASK, batch)
    found = panels(figure)
    assert list(found) == OF_TASK
    assert [labels[2:] for labels in found.values()][-1] == ("time step", "channel")
    figure.savefig(tmp_path / "episode.png")


def test_the_optimum_is_drawn_where_it_costs(batch: Batch) -> None:
    task = NGrams(length=12, context=2)
    example = task.sample(1, {"length": 12, "context": 2}, torch.Generator().manual_seed(0))
    found = panels(draw_episode(LSTM(1, 1, size=6, layers=1), task, example))
    assert list(found) == ["input", "target", "optimum where it is scored", "output where it is scored"]
    np.testing.assert_allclose(found["optimum where it is scored"][0][0, 1:], task.solve(example)[0, 1:, 0])


def example_of(answer: Answer, targets: list[list[float]], outputs: list[list[float]]) -> tuple[Batch, dict[str, Any]]:
    """One sequence, of which the first step is not scored."""
    of = torch.tensor([targets])
    mask = torch.arange(len(targets)).unsqueeze(0) > 0
    batch = Batch(torch.zeros(1, len(targets), 2), of, mask, torch.tensor([len(targets)]))
    return batch, {"logits": torch.tensor([outputs])}


def test_symbols_are_rows_of_classes_and_wrong_ones_are_marked(tmp_path: Path) -> None:
    """Said are 0, 1, 2 where 2, 1, 0 are asked for; the first step is not scored, so that only the last is marked."""
    answer = Symbols(3)
    batch, signals = example_of(answer, [[2], [1], [0]], [[9.0, 0, 0], [0, 9, 0], [0, 0, 9]])
    figure = draw_trace(batch, signals, {}, answer)
    found = panels(figure)
    np.testing.assert_array_equal(found["target"][0], np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]))
    expected = signals["logits"][0].softmax(1).T.clone()
    expected[:, 0] = 0
    np.testing.assert_allclose(found["output where it is scored"][0], expected)
    (marks,) = drawn(figure)["output where it is scored"].get_lines()
    assert (list(marks.get_xdata()), list(marks.get_ydata())) == ([2], [2])
    assert not drawn(figure)["target"].get_lines()
    figure.savefig(tmp_path / "episode.png")


def test_two_symbols_a_step_stand_one_above_the_other() -> None:
    answer = Symbols(2, count=2)
    batch, signals = example_of(answer, [[0, 0], [0, 1]], [[0.0, 0, 0, 0], [9, 0, 9, 0]])
    figure = draw_trace(batch, signals, {}, answer)
    np.testing.assert_array_equal(panels(figure)["target"][0][:, 1], [1, 0, 0, 1])
    (marks,) = drawn(figure)["output where it is scored"].get_lines()
    assert (list(marks.get_xdata()), list(marks.get_ydata())) == ([1], [2])  # of the second symbol, 0 was said


def test_numbers_are_drawn_about_0() -> None:
    answer = Reals(1)
    batch, signals = example_of(answer, [[np.nan], [-3.0]], [[5.0], [2.0]])
    found = panels(draw_trace(batch, signals, {}, answer))
    assert found["target"][1] == (-3, 3) and found["output where it is scored"][1] == (-2, 2)
    np.testing.assert_array_equal(found["output where it is scored"][0], [[0, 2]])


def test_the_output_is_shown_where_it_is_scored(ntm: NTM, batch: Batch) -> None:
    shown = panels(draw_episode(ntm, TASK, batch))["output where it is scored"][0]
    np.testing.assert_allclose(shown[:, 5:], trace(ntm, batch)["logits"][0, 5:].sigmoid().T)
    assert (shown[:, :5] == 0).all()


def test_time_is_the_same_for_all_panels_but_the_memory(ntm: NTM, batch: Batch) -> None:
    spans = [axes.get_xlim() for axes in drawn(draw_episode(ntm, TASK, batch)).values()]
    assert set(spans[:-1]) == {(-0.5, 8.5)}
    assert spans[-1] == (-0.5, 11.5)


def test_a_scale_grows_with_what_was_written_and_stays_about_0(ntm: NTM, batch: Batch) -> None:
    signals = trace(ntm, batch)
    signals["add"] = signals["add"] * 0 - 7.0
    figure = draw_trace(batch, signals, ntm.signals, TASK.answer)
    assert panels(figure)["vectors written (add)"][1] == (-7, 7)


def test_a_notebook_shows_it(batch: Batch) -> None:
    """By the method that IPython asks for where pyplot has not told it how to show figures."""
    figure: Any = draw_episode(LSTM(TASK.input_size, TASK.output_size, size=5), TASK, batch)
    assert figure._repr_png_().startswith(b"\x89PNG")
