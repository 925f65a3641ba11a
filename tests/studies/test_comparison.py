"""Runs side by side: every line of the table, and what the figure shows."""

import math

import pandas as pd
import pytest

from ntm_lab.studies.comparison import draw_comparison, per_run, tabulate
from ntm_lab.studies.drawing import MODELS, styles
from ntm_lab.studies.statistics import time_to_event


def runs_of(arms: dict[str, list[float | None]], test: list[list[dict]] | None = None) -> pd.DataFrame:
    """Made-up runs: of every arm, the sequences each run took until it was solved; all ended after 1,000."""
    rows = [
        {
            "run": f"{arm}/{seed}",
            "data.batch_size": 4,
            "seed": seed,
            "parameters": 1234,
            "state_bits": 5678.0,
            "sequences": 1000,
            "steps": 250,
            "seconds": 2.0,
            "sequences_to_solve": time,
            "seconds_to_solve": time and time / 500,
            "largest_gradient_norm": 10.0 * (seed + 1),
            "stopped_by": "max_sequences",
            "overlap": {},
            "arm": arm,
            "test": [{"difficulty": {"length": 20}, "cost_bits": 0.5, "wrong_bits": 0.0, "exact": 1.0}],
        }
        for arm, times in arms.items()
        for seed, time in enumerate(times)
    ]
    runs = pd.DataFrame(rows).astype({"sequences_to_solve": float, "seconds_to_solve": float})
    if test is not None:
        runs["test"] = test
    return runs.assign(arm=pd.Categorical(runs["arm"], [*arms], ordered=True))


def lines_of(table: str) -> dict[str, list[str]]:
    """The cells by line; the first two lines are a head of Markdown."""
    head, rule, *lines = table.split("\n")
    assert rule == "|" + " --- |" * (head.count("|") - 1)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (head, *lines)]
    return {first: others for first, *others in cells}


def row(wrong: float, cost: float, **more: float) -> dict:
    return {"difficulty": {"length": 20}, "wrong_bits": wrong, "cost_bits": cost, "exact": 0.5, **more}


def test_every_line_of_one_arm() -> None:
    test = [[row(0.0, 1.0)], [row(0.01, 2.0)], [row(0.02, 3.0)], [row(4.0, 8.0)]]
    lines = lines_of(tabulate(runs_of({"copy": [400, 600, 800, None]}, test), solved=0.01))
    assert lines == {
        "": ["copy"],
        "seeds": ["0, 1, 2, 3"],
        "parameters": ["1,234"],
        "bits of state": ["5,678"],
        "length 20: runs within 0.01 wrong bits": ["2 of 4"],
        "length 20: 95 % interval of that share": ["15% to 85%"],
        "length 20: wrong bits": ["0.015 (0.007 to 1.015; 4.000)"],
        "length 20: cost, bits": ["2.500 (1.750 to 4.250; 8.000)"],
        "sequences until solved": ["700 (500 to 800; –), 3 of 4 runs"],
        "seconds until solved": ["1.4 (1.0 to 1.6; –), 3 of 4 runs"],
        "sequences in all": ["1,000 (1,000 to 1,000; 1,000)"],
        "seconds of training in all": ["2.0 (2.0 to 2.0; 2.0)"],
        "largest gradient norm": ["25 (18 to 32; 40)"],
    }


def test_a_single_run_has_values_and_no_statistics() -> None:
    lines = lines_of(tabulate(runs_of({"copy": [400]}, [[row(0.25, 1.0)]]), solved=0.01))
    assert lines["length 20: wrong bits"] == ["0.250"] and lines["sequences until solved"] == ["400"]
    assert lines["largest gradient norm"] == ["10"]
    assert not any("interval" in line for line in lines)

    beside = runs_of({"one": [None], "many": [400, 600], "more": [700, 900]})
    lines = lines_of(tabulate(beside, solved=0.01))
    assert lines["sequences until solved"] == ["–", "500 (450 to 550; 600)", "800 (750 to 850; 900)"]
    assert lines["length 20: 95 % interval of that share"] == ["–", "34% to 100%", "34% to 100%"]
    assert not any("logrank" in line for line in lines)  # there is no spread in the first
    turned = beside.assign(arm=beside["arm"].cat.reorder_categories(["many", "one", "more"]))
    found = lines_of(tabulate(turned, solved=0.01))["sequences until solved: logrank test against many"]
    assert found[:2] == ["–", "–"] and found[2].startswith("p = ")


def test_the_mark_of_solved_is_the_readers() -> None:
    lines = lines_of(tabulate(runs_of({"copy": [1, 1]}, [[row(3.0, 1.0)], [row(7.0, 1.0)]]), solved=5))
    assert lines["length 20: runs within 5 wrong bits"] == ["1 of 2"]


def test_an_optimum_that_has_a_cost() -> None:
    test = [[row(60.0, 130.0, optimum_bits=128.0)], [row(61.0, 132.0, optimum_bits=128.5)]]
    lines = lines_of(tabulate(runs_of({"ngrams": [None, None]}, test), solved=0.01))
    assert lines["length 20: bits above the optimum"] == ["2.75 (2.38 to 3.12; 3.50)"]
    assert not any("wrong bits" in line for line in lines)
    assert lines["sequences until solved"] == ["–, 0 of 2 runs"]


def test_symbols_and_groups() -> None:
    def of(wrong: float, groups: dict[str, float]) -> list[dict]:
        return [{"difficulty": {"questions": 5}, "cost_bits": 1.0, "wrong_symbols": wrong, "by_group": groups}]

    test = [of(0.1, {"babi_01": 0.98, "babi_06": 1.0}), of(0.3, {"babi_01": 0.94})]
    lines = lines_of(tabulate(runs_of({"babi": [None, None]}, test), solved=0.1))
    assert lines["questions 5: runs within 0.1 wrong symbols"] == ["1 of 2"]
    assert lines["questions 5: wrong symbols"] == ["0.200 (0.150 to 0.250; 0.300)"]
    assert lines["questions 5: babi_01: wrong answers, %"] == ["4.0 (3.0 to 5.0; 6.0)"]
    assert lines["questions 5: babi_06: wrong answers, %"] == ["0.0"]


def test_arms_of_different_tests() -> None:
    items = {**row(1.0, 2.0), "difficulty": {"items": 6}}
    lines = lines_of(tabulate(runs_of({"copy": [1], "recall": [1]}, [[row(0.0, 1.0)], [items]]), solved=0.01))
    assert lines["length 20: wrong bits"] == ["0.000", "–"]
    assert lines["items 6: wrong bits"] == ["–", "1.000"]
    names = [*lines]
    assert names.index("items 6: cost, bits") < names.index("sequences until solved")


def test_logrank_against_the_first_arm() -> None:
    fast, slow = [100.0, 110, 120, 130, 140, 150], [700.0, 710, 720, 730, None, None]
    lines = lines_of(tabulate(runs_of({"fast": fast, "slow": slow}), solved=0.01))
    assert lines["sequences until solved: logrank test against fast"] == ["–", "p < 0.001"]
    alike = lines_of(tabulate(runs_of({"one": fast, "same": fast, "slow": slow}), solved=0.01))
    line = "sequences until solved: logrank test against one (Holm)"
    assert alike[line] == ["–", "p = 1", "p = 0.001"]  # the last is twice 0.0005


def curves_of(runs: pd.DataFrame, optimum: float = 0.0) -> pd.DataFrame:
    """Every run logs a cost of 100 and of 50 bits, with a tenth as many wrong bits."""
    logged = {"val/cost": [100.0, 50.0], "val/wrong_bits": [10.0, 5.0], "val/optimum": [optimum] * 2}
    rows = [
        {"run": run, "sequences": at, "step": at, "seconds": 0.1, "name": name, "value": value}
        for run in runs["run"]
        for name, values in logged.items()
        for at, value in zip((500, 1000), values, strict=True)
    ]
    return pd.DataFrame(rows)


def test_the_figure_of_two_arms() -> None:
    runs = runs_of({"one": [400, None], "other": [600, 700]})
    cost, wrong, unsolved = draw_comparison(runs, curves_of(runs)).axes
    for panel in (cost, wrong, unsolved):
        assert panel.get_legend_handles_labels()[1] == ["one", "other"]
        assert panel.get_xlabel() == "sequences seen"
    assert (cost.get_ylabel(), wrong.get_ylabel()) == ("cost, bits per sequence", "wrong bits per sequence")
    bold = next(line for line in cost.lines if line.get_label() == "one")
    assert bold.get_ydata().tolist() == [100, 50]
    steps = {line.get_label(): line.get_ydata().tolist() for line in unsolved.lines}
    assert steps["one"] == [1, 0.5, 0.5] and steps["other"] == [1, 0.5, 0]


def test_the_figure_shows_what_is_above_the_optimum() -> None:
    runs = runs_of({"ngrams": [None, None]})
    (cost,) = draw_comparison(runs, curves_of(runs, optimum=40.0)).axes  # nothing is solved, and wrong bits say nothing
    assert cost.lines[-1].get_ydata().tolist() == [60, 10]
    assert cost.get_ylabel() == "cost above the optimum, bits per sequence"


@pytest.mark.parametrize("reason", ["by the clock", "other sequences", "neither"])
def test_a_budget_in_seconds_is_drawn_on_seconds(reason: str) -> None:
    runs = runs_of({"one": [400, None], "other": [600, 700]}).assign(max_sequences=1000)
    if reason == "by the clock":
        runs["stopped_by"] = "max_minutes"
    elif reason == "other sequences":
        runs.loc[runs["arm"] == "other", "max_sequences"] = 4000
    axes = draw_comparison(runs, curves_of(runs)).axes
    label = "sequences seen" if reason == "neither" else "seconds of training"
    assert {panel.get_xlabel() for panel in axes} == {label}
    steps = next(line for line in axes[-1].lines if line.get_label() == "one").get_xdata()
    assert max(steps) == (1000 if reason == "neither" else 2)


def test_a_model_has_the_colour_of_its_name() -> None:
    runs = runs_of({"one": [400, None], "other": [600, 700]})
    runs["choices.model"] = runs["arm"].map({"one": "lstm", "other": "ntm"}).astype(str)
    own = styles(MODELS, dict(zip(MODELS, MODELS, strict=True)))
    lines = {line.get_label(): line.get_color() for line in draw_comparison(runs, curves_of(runs)).axes[0].lines}
    assert (lines["one"], lines["other"]) == (own["lstm"]["color"], own["ntm"]["color"])


def test_the_figure_of_symbols() -> None:
    runs = runs_of({"babi": [None, None]})
    curves = curves_of(runs).replace({"name": {"val/wrong_bits": "val/wrong_symbols"}})
    _, wrong = draw_comparison(runs, curves).axes
    assert wrong.get_ylabel() == "wrong symbols per sequence" and wrong.lines[-1].get_ydata().tolist() == [10, 5]


def test_the_figure_without_curves() -> None:
    (unsolved,) = draw_comparison(runs_of({"one": [400, 500]}), None).axes
    assert unsolved.get_ylabel().startswith("runs whose validation is not solved")


def test_a_row_for_every_run() -> None:
    table = per_run(runs_of({"one": [400, None]}), ["data.batch_size"])
    assert table.columns[:4].tolist() == ["arm", "run", "data.batch_size", "seed"]
    assert table["wrong_bits at length 20"].tolist() == [0.0, 0.0]
    assert table["sequences_to_solve"].tolist()[0] == 400 and math.isnan(table["sequences_to_solve"][1])
    assert not {"test", "overlap"} & {*table.columns} and not table.columns.duplicated().any()
    back = time_to_event(table["sequences_to_solve"], table["sequences"])
    assert back.num_censored() == 1


def test_a_list_is_written_as_in_a_config() -> None:
    runs = runs_of({"one": [400, None]})
    runs.insert(0, "test.parts", [["a", None], [True]])
    assert per_run(runs, ["test.parts"])["test.parts"].tolist() == ['["a", null]', "[true]"]


@pytest.mark.parametrize("count", [1, 2, 12])
def test_a_figure_of_many_arms_cuts_nothing_off(count: int) -> None:
    runs = runs_of({f"controller=feedforward, batch_size={2**place}": [400, 500] for place in range(count)})
    figure = draw_comparison(runs, curves_of(runs))
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box, page = legend.get_window_extent(), figure.bbox
    assert page.x0 <= box.x0 and box.x1 <= page.x1 and box.y1 <= page.y1
    assert all(panel.get_window_extent().height > 100 for panel in figure.axes)
