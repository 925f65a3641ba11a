"""The figure of generalisation: what is drawn, where, and what stands beside it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ntm_lab.evaluation import evaluate, parse
from ntm_lab.figures import draw_generalisation
from ntm_lab.nn import LSTM
from ntm_lab.tasks import Copy, NGrams, RepeatCopy
from ntm_lab.types import Task

COPY = Copy(lengths=(1, 4), bits=3)
REPEAT = RepeatCopy(lengths=(1, 3), repeats=(1, 4), bits=2)
NGRAMS = NGrams(length=25, context=2)


def rows_of(task: Task, *words: str, sequences: int = 10) -> list[dict[str, Any]]:
    torch.manual_seed(0)
    model = LSTM(task.input_size, task.output_size, size=4, layers=1)
    return evaluate(model, task, parse(words, task), sequences, details=True)


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def lines(panel: Axes) -> dict[str, tuple[list[float], list[float]]]:
    """x and y of every line by its label."""
    return {str(line.get_label()): (list(line.get_xdata()), list(line.get_ydata())) for line in panel.get_lines()}


def is_drawn(figure: Figure, folder: Path) -> bool:
    figure.savefig(folder / "figure.png")
    return (folder / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_one_axis_is_three_curves(tmp_path: Path) -> None:
    rows = rows_of(COPY, "length=8,2,4")
    figure = draw_generalisation(rows, COPY.ranges, title="a title")
    wrong, cost, exact = panels(figure)
    by_length = sorted(rows, key=lambda row: row["difficulty"]["length"])
    for panel, measure in ((wrong, "wrong_bits"), (cost, "cost_bits"), (exact, "exact")):
        assert lines(panel)["model"] == ([2, 4, 8], [row[measure] for row in by_length])
    assert lines(wrong)["chance"] == ([2, 4, 8], [3, 6, 12])
    assert lines(cost)["chance"] == ([2, 4, 8], [6, 12, 24])
    assert "chance" not in lines(exact)
    assert [panel.get_ylabel() for panel in (wrong, cost, exact)] == [
        "wrong bits per sequence",
        "cost, bits per sequence",
        "exact sequences",
    ]
    assert exact.get_xlabel() == "length" and figure.get_suptitle() == "a title"
    assert is_drawn(figure, tmp_path)


def renamed(rows: list[dict[str, Any]], names: dict[str, str]) -> list[dict[str, Any]]:
    """The rows of an answer of another kind; names that are not given are left out."""
    return [
        {names.get(key, key): value for key, value in row.items() if key not in BIT_NAMES or key in names}
        | {"chance": {names[key]: value for key, value in row["chance"].items() if key in names}}
        for row in rows
    ]


BIT_NAMES = ("cost_bits", "wrong_bits", "exact")


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (
            {"cost_bits": "cost_bits", "wrong_bits": "wrong_symbols", "exact": "exact"},
            ["wrong symbols per sequence", "cost, bits per sequence", "exact sequences"],
        ),
        ({"cost_bits": "squared_error"}, ["squared error per sequence"]),
    ],
    ids=["symbols", "reals"],
)
def test_answers_of_other_kinds_have_their_own_panels(names: dict[str, str], labels: list[str], tmp_path: Path) -> None:
    rows = renamed(rows_of(COPY, "length=8,2,4"), names)
    figure = draw_generalisation(rows, COPY.ranges)
    assert [panel.get_ylabel() for panel in panels(figure)] == labels
    assert lines(panels(figure)[0])["chance"] == ([2, 4, 8], [3, 6, 12] if len(labels) == 3 else [6, 12, 24])
    assert is_drawn(figure, tmp_path)
    grid = renamed(rows_of(REPEAT, "length=2,3", "repeats=2,8"), names)
    assert [panel.get_title("left") for panel in panels(draw_generalisation(grid, REPEAT.ranges))] == labels


def test_the_training_range_is_shaded_and_the_interval_a_band() -> None:
    rows = rows_of(COPY, "length=2,4,8")
    for panel, interval in zip(
        panels(draw_generalisation(rows, COPY.ranges)),
        ("wrong_interval", "cost_interval", "exact_interval"),
        strict=True,
    ):
        (shade,) = (patch for patch in panel.patches if patch.get_label() == "training")
        assert isinstance(shade, Rectangle)
        assert (shade.get_x(), shade.get_width()) == (1, 3)
        (band,) = panel.collections
        heights = np.asarray(band.get_paths()[0].vertices)[:, 1]
        assert {round(end, 9) for row in rows for end in row[interval]} == {round(float(end), 9) for end in heights}


def test_an_axis_that_does_not_vary_is_named() -> None:
    last = panels(draw_generalisation(rows_of(REPEAT, "length=2", "repeats=2,6"), REPEAT.ranges))[-1]
    assert last.get_xlabel() == "repeats (length 2)"


def test_a_single_point_is_drawn(tmp_path: Path) -> None:
    figure = draw_generalisation(rows_of(COPY, "length=4", sequences=1), COPY.ranges)
    assert lines(panels(figure)[0])["model"][0] == [4]
    assert is_drawn(figure, tmp_path)


def test_a_cost_that_is_not_finite_is_left_out(tmp_path: Path) -> None:
    rows = rows_of(COPY, "length=2,4")
    rows[0] |= {"cost_bits": float("nan"), "cost_interval": [float("nan"), float("nan")]}
    assert is_drawn(draw_generalisation(rows, COPY.ranges), tmp_path)


def test_two_axes_are_a_grid_of_cells(tmp_path: Path) -> None:
    rows = rows_of(REPEAT, "length=2,3,5", "repeats=2,8")
    for place, row in enumerate(rows):
        row |= {"wrong_bits": place / 4, "cost_bits": 20.0 + place, "exact": place / 10}
    figure = draw_generalisation(rows, REPEAT.ranges)
    wrong, cost, exact = panels(figure)
    texts = {panel: [text.get_text() for text in panel.texts] for panel in (wrong, cost, exact)}
    assert texts[wrong] == ["0.00", "0.25", "0.50", "0.75", "1.00", "1.25"]
    assert texts[cost] == ["20", "21", "22", "23", "24", "25"]
    assert texts[exact] == ["0%", "10%", "20%", "30%", "40%", "50%"]
    shares = np.asarray(wrong.get_images()[0].get_array())  # of chance; from below: lengths, to the right: repeats
    expected = [row["wrong_bits"] / row["chance"]["wrong_bits"] for row in rows]
    np.testing.assert_allclose(shares, np.array(expected).reshape(3, 2))
    assert [label.get_text() for label in wrong.get_yticklabels()] == ["2", "3", "5"]
    assert [label.get_text() for label in exact.get_xticklabels()] == ["2", "8"]
    assert exact.get_xlabel().startswith("repeats") and exact.get_ylabel() == "length"
    assert is_drawn(figure, tmp_path)


def test_the_training_range_is_framed() -> None:
    """Lengths 1 and 3 of 1, 3, 5 and repeats 4 of 4, 8 are within it: two cells, one above the other."""
    for panel in panels(draw_generalisation(rows_of(REPEAT, "length=1,3,5", "repeats=4,8"), REPEAT.ranges)):
        (frame,) = (patch for patch in panel.patches if isinstance(patch, Rectangle))
        assert (*frame.get_xy(), frame.get_width(), frame.get_height()) == (-0.5, -0.5, 1, 2)


def test_cells_beyond_training_have_no_frame() -> None:
    for panel in panels(draw_generalisation(rows_of(REPEAT, "length=5,6", "repeats=2,8"), REPEAT.ranges)):
        assert not panel.patches


def test_text_can_be_read_on_its_cell() -> None:
    rows = rows_of(REPEAT, "length=2,3", "repeats=2,8")
    for row, share in zip(rows, (0.0, 0.4, 0.6, 1.2), strict=True):
        row["wrong_bits"] = share * row["chance"]["wrong_bits"]
    wrong = panels(draw_generalisation(rows, REPEAT.ranges))[0]
    assert [text.get_color() for text in wrong.texts] == ["white", "white", "black", "black"]


def test_where_there_is_an_optimum_the_gap_is_drawn_by_position(tmp_path: Path) -> None:
    rows = rows_of(NGRAMS, "length=25,42")
    figure = draw_generalisation(rows, NGRAMS.ranges)
    (panel,) = panels(figure)
    drawn = lines(panel)
    assert drawn["length 42, context 2"] == ([5.5, 15.5, 25.5, 35.5], rows[1]["gap_by_window"]["gap_bits"])
    assert drawn["length 25, context 2"] == ([5.5, 15.5, 22.0], rows[0]["gap_by_window"]["gap_bits"])
    positions, chance = drawn["chance"]
    assert positions == [5.5, 15.5, 25.5, 35.5]
    optimum = rows[1]["solve"]["cost_bits"]
    assert 10 * sum(chance) == pytest.approx(40 - optimum, rel=1e-4)
    (shade,) = (patch for patch in panel.patches if patch.get_label() == "positions in training")
    assert isinstance(shade, Rectangle)
    assert (shade.get_x(), shade.get_width()) == (0.5, 23)
    assert "bits per prediction" in panel.get_ylabel()
    assert is_drawn(figure, tmp_path)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        draw_generalisation([], COPY.ranges)
    rows = [{"difficulty": {"a": a, "b": a, "c": a}} for a in (1, 2)]
    with pytest.raises(ValueError, match="a, b, c vary"):
        draw_generalisation(rows, {"a": (1, 2), "b": (1, 2), "c": (1, 2)})
