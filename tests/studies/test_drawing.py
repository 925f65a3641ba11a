"""What is drawn of several runs, read back from the figure."""

import math

import pandas as pd
import pytest
from matplotlib.figure import Figure

from ntm_lab.studies.drawing import (
    COLOURS,
    MODELS,
    bits_scale,
    draw_curves,
    draw_dots,
    draw_survival,
    legend_above,
    model_of,
    progress_scale,
    styles,
)

CURVES = pd.DataFrame(
    {"run": ["a", "a", "a", "b", "b"], "sequences": [10, 20, 30, 10, 20], "value": [9.0, 6.0, 3.0, 7.0, 1.0]}
)
STYLE = styles(["one"])["one"]


def test_arms_differ_in_colour_and_in_kind_of_line() -> None:
    known = styles(f"arm {number}" for number in range(49))
    assert len({(style["color"], style["linestyle"]) for style in known.values()}) == 49
    first = list(known.values())[: len(COLOURS)]
    assert len({style["color"] for style in first}) == len({style["linestyle"] for style in first}) == len(COLOURS)
    assert styles(["x", "y", "x"]).keys() == {"x", "y"}


def test_a_model_has_its_own_colour_wherever_it_stands() -> None:
    two = styles(["slow", "fast"], {"slow": "lstm", "fast": model_of("ntm", "lstm")})
    many = styles(MODELS, dict(zip(MODELS, MODELS, strict=True)))
    assert (two["slow"], two["fast"]) == (many["lstm"], many["ntm"])
    assert len({style["color"] for style in many.values()}) == len(MODELS)
    assert model_of("ntm", "feedforward") == "ntm, feedforward" and model_of("dnc", "feedforward") == "dnc"


@pytest.mark.parametrize(
    "models", [{"a": "lstm", "b": "lstm"}, {"a": "lstm", "b": "mine"}, {"a": "lstm"}], ids=["twice", "unknown", "none"]
)
def test_else_colours_go_by_the_order(models: dict[str, str]) -> None:
    assert styles(["a", "b"], models) == styles(["a", "b"])


def test_a_dot_for_every_run() -> None:
    """Of five runs two learned, one learned and lost it again, two never did."""
    runs = pd.DataFrame(
        {"at": [3, 4, 5, None, None], "end": [9, 9, 9, 8, 9], "lost": [False, True, False, False, False]}
    )
    axis = Figure().subplots()
    draw_dots(axis, {"one": runs, "none": runs[3:]}, learned="at", ended="end", against="steps")
    drawn: dict[str, list[float]] = {}
    for line in axis.lines:
        if line.get_marker() in ("o", ">"):
            drawn.setdefault(str(line.get_label()), []).extend(line.get_xdata())
    assert drawn == {"learned": [3, 5], "learned, lost again": [4], "never, ended there": [8, 9, 8, 9]}
    assert [line.get_xdata()[0] for line in axis.lines if line.get_label() == "median"] == [5]
    assert [text.get_text() for text in axis.texts] == ["3/5", "0/2"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["one", "none"] and axis.yaxis_inverted()
    assert axis.get_xlabel() == "steps (updates)"


def test_every_run_thin_and_their_median_bold() -> None:
    axis = Figure().subplots()
    draw_curves(axis, CURVES, STYLE, "one", band=True)
    *thin, bold = axis.lines
    assert [line.get_ydata().tolist() for line in thin] == [[9, 6, 3], [7, 1]]
    assert (bold.get_xdata().tolist(), bold.get_ydata().tolist()) == ([10, 20, 30], [8, 3.5, 2])  # b goes on with 1
    assert bold.get_linewidth() > 2 * thin[0].get_linewidth()
    assert {line.get_color() for line in axis.lines} == {STYLE["color"]}
    assert axis.get_legend_handles_labels()[1] == ["one"]
    (band,) = axis.collections
    assert band.get_paths()[0].get_extents().intervaly.tolist() == [1.5, 8.5]  # of quartiles 1.5 to 2.5 and 7.5 to 8.5
    assert axis.get_xlabel() == "sequences seen"


def test_curves_without_runs_or_band_against_seconds() -> None:
    axis = Figure().subplots()
    draw_curves(axis, CURVES.assign(seconds=CURVES["sequences"] / 10), STYLE, against="seconds", seeds=False)
    (bold,) = axis.lines
    assert bold.get_xdata().tolist() == [1, 2, 3] and not axis.collections
    assert axis.get_xlabel() == "seconds of training"


def test_survival_steps_down_and_ticks_where_a_run_ended_unsolved() -> None:
    axis = Figure().subplots()
    draw_survival(axis, [3, None, 5, 8, math.nan], [5, 4, 20, 20, 10], STYLE, "one", against="steps", band=True)
    steps, ticks = axis.lines
    assert steps.get_drawstyle() == "steps-post"
    assert steps.get_xdata().tolist() == [0, 3, 4, 5, 8, 10]
    assert steps.get_ydata().tolist() == pytest.approx([1, 0.8, 0.8, 8 / 15, 4 / 15, 4 / 15])
    assert ticks.get_marker() == "|" and ticks.get_xdata().tolist() == [4, 10]
    assert ticks.get_ydata().tolist() == pytest.approx([0.8, 4 / 15])
    assert len(axis.collections) == 1 and axis.get_legend_handles_labels()[1] == ["one"]
    assert axis.get_xlabel() == "steps (updates)" and axis.get_ylim()[0] < 0 < 1 < axis.get_ylim()[1]


@pytest.mark.parametrize("times", [[5.0, 5.0], [None, None]], ids=["all-at-once", "none"])
def test_survival_where_all_or_none_is_solved(times: list[float | None]) -> None:
    axis = Figure().subplots()
    draw_survival(axis, times, [9, 9], STYLE)
    steps, ticks = axis.lines
    assert steps.get_ydata()[-1] == (0 if times[0] else 1) and len(ticks.get_xdata()) == (0 if times[0] else 1)


@pytest.mark.parametrize(("ended", "scale"), [([1000, 20_000], "linear"), ([1000, 20_001], "log")])
def test_runs_of_very_unlike_length_get_a_logarithmic_axis(ended: list[int], scale: str) -> None:
    axis = Figure().subplots()
    progress_scale(axis, "sequences", ended)
    assert axis.get_xscale() == scale
    assert axis.xaxis.get_major_formatter()(12_000, 0) == "12,000"


def test_bits_from_hundreds_to_none() -> None:
    axis = Figure().subplots()
    axis.plot([0, 1], [400, 0])
    bits_scale(axis)
    assert axis.get_yscale() == "symlog" and axis.get_ylim()[0] < 0 and axis.get_ylim()[1] >= 400


def test_one_legend_above_all_panels() -> None:
    figure = Figure(layout="constrained")
    for panel in figure.subplots(1, 2):
        panel.plot([0, 1], label="one")
        panel.plot([1, 0], label="other")
    legend_above(figure)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["one", "other"]
    figure.draw_without_rendering()
    below = max(panel.get_window_extent().y1 for panel in figure.axes)
    assert legend.get_window_extent().y0 >= below


def test_no_legend_where_nothing_has_a_name() -> None:
    figure = Figure(layout="constrained")
    figure.subplots().plot([0, 1])
    legend_above(figure)
    assert not figure.legends
