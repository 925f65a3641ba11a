"""Statistics of several runs, held to values computed by hand and to examples of textbooks."""

import math

import numpy as np
import pandas as pd
import pytest

from ntm_lab.evaluation.intervals import wilson
from ntm_lab.studies.statistics import (
    Rate,
    holm,
    logrank,
    median_time,
    on_grid,
    p_value,
    paired,
    quartile_curve,
    quartiles,
    solving,
    spread,
    spread_of_times,
    success_rate,
    survival,
    time_to_event,
    time_until,
)

# Freireich et al. 1963: weeks to relapse under 6-MP and placebo, the example of Cox 1972 and most textbooks since.
TREATED = time_to_event(
    [6, 6, 6, 7, 10, 13, 16, 22, 23] + [None] * 12, [99] * 9 + [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
)
PLACEBO = time_to_event([1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23], [99] * 21)
FIVE = time_to_event([3, None, 5, 8, None], [20, 4, 20, 20, 10])


def test_success_rate() -> None:
    assert success_rate([True, False, True, True]) == Rate(3, 4, *wilson(3, 4))
    assert str(success_rate([True] * 10)) == "10 of 10 (72% to 100%)"
    with pytest.raises(ValueError, match="at least one run"):
        success_rate([])


def test_quartiles_and_spread() -> None:
    assert quartiles([4, 1, 3, 2, 5]) == (2, 3, 4)
    assert spread([1000, 2000, 3000, 4000], 0) == "2,500 (1,750 to 3,250; 4,000)"
    assert spread([0.5, 1.0, None, math.nan], 2, extreme="smallest") == "0.75 (0.62 to 0.88; 0.50), 2 of 4 runs"
    assert spread([0.5], 2) == "0.50" and spread([None, 1000], 0) == "1,000, 1 of 2 runs"
    assert spread([None, math.nan], 1) == "–"
    for values in ([], [1.0, math.nan]):
        with pytest.raises(ValueError, match="at least one value, and no NaN"):
            quartiles(values)


def test_kaplan_meier_by_hand() -> None:
    """Of five at risk one is solved at 3, one ends at 4; of three one at 5; of two one at 8; one ends at 10."""
    curve = survival(FIVE)
    assert curve["time"].tolist() == [0, 3, 4, 5, 8, 10]
    shares = [1, 4 / 5, 4 / 5, 4 / 5 * 2 / 3, 4 / 5 * 2 / 3 * 1 / 2, 4 / 5 * 2 / 3 * 1 / 2]
    assert curve["share"].tolist() == pytest.approx(shares)
    # Greenwood at 5: variance of log(-log S) = (1/(5 4) + 1/(3 2)) / log(S)^2
    share = 8 / 15
    half = 1.959964 * math.sqrt(1 / 20 + 1 / 6) / abs(math.log(share))
    ends = [share ** math.exp(half), share ** math.exp(-half)]
    assert curve.loc[3, ["low", "high"]].tolist() == pytest.approx(ends, rel=1e-5)


def test_a_textbook_curve() -> None:
    curve = survival(TREATED).set_index("time")["share"]
    printed = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}
    assert {time: round(curve[time], 3) for time in printed} == printed
    assert (median_time(TREATED), median_time(PLACEBO)) == (23, 8)


def test_a_textbook_logrank() -> None:
    """Its chi-squared is 16.79 with one degree of freedom, as printed in the textbooks."""
    expected = math.erfc(math.sqrt(16.793 / 2))
    assert logrank(TREATED, PLACEBO) == pytest.approx(expected, rel=2e-3)
    assert logrank(PLACEBO, TREATED) == pytest.approx(expected, rel=2e-3)


def test_median_of_uncensored_times_is_the_usual_one() -> None:
    for times in ([4, 1, 3], [4, 1, 3, 2], [5, 5, 7, 9, 11, 30]):
        assert median_time(time_to_event(times, [99] * len(times))) == np.median(times)


def test_times_that_were_not_reached() -> None:
    data = time_to_event([10, None, None, None, None], [50] * 5)
    assert median_time(data) is None and time_until(0.2, data) == 10 and time_until(0.25, data) is None
    assert median_time(time_to_event([10, 20, None, None], [50] * 4)) == 20  # flat from there to the end
    assert time_until(0.25, FIVE) == 5 and time_until(0.75, FIVE) is None


@pytest.mark.parametrize(
    ("times", "shares", "half"),
    [([None] * 4, [1.0, 1.0], None), ([7] * 4, [1.0, 0.0], 7), ([7, None], [1.0, 0.5, 0.5], 7)],
    ids=["none", "all-at-once", "one-of-two"],
)
def test_all_or_none_solved(
    times: list[float | None], shares: list[float], half: float | None, recwarn: pytest.WarningsRecorder
) -> None:
    data = time_to_event(times, [9] * len(times))
    curve = survival(data)
    assert curve["share"].tolist() == shares and median_time(data) == half
    assert not curve.isna().any().any()
    assert (curve["low"] <= curve["share"]).all() and (curve["share"] <= curve["high"]).all()
    assert logrank(data, data) == 1.0
    assert not recwarn.list


def test_solving_none_is_unlike_solving_all() -> None:
    assert logrank(time_to_event([None] * 6, [90] * 6), time_to_event([3, 4, 5, 6, 7, 8], [9] * 6)) < 0.01


def test_time_to_solve_of_runs_in_each_unit() -> None:
    runs = pd.DataFrame(
        {
            "sequences_to_solve": [400.0, math.nan],
            "sequences": [900, 800],
            "seconds_to_solve": [1.5, math.nan],
            "seconds": [3.0, 2.5],
        }
    )
    for unit, times in {"sequences": [0, 400, 800], "seconds": [0, 1.5, 2.5]}.items():
        data = solving(runs, unit)
        assert survival(data)["time"].tolist() == times and data.num_censored() == 1


@pytest.mark.parametrize(
    ("times", "ended", "told"),
    [([], [], "needs runs"), ([1.0], [1, 2], "1 times, 2 ends"), ([None], [math.nan], "neither the event nor an end")],
)
def test_what_is_no_time_to_an_event(times: list[float | None], ended: list[float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        time_to_event(times, ended)


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ([1000, 2000, 3000, 4000], "2,500 (1,750 to 3,250; 4,000)"),
        ([1000, 2000, 3000, None], "2,500 (1,500 to 3,000; –), 3 of 4 runs"),
        ([1000, None, None, None], "– (1,000 to –; –), 1 of 4 runs"),
        ([None] * 4, "–, 0 of 4 runs"),
    ],
)
def test_spread_of_times(times: list[float | None], told: str) -> None:
    assert spread_of_times(times, [10_000] * 4, 0) == told


CURVES = pd.DataFrame(
    {
        "run": ["a"] * 3 + ["b"] * 2 + ["c"] * 3,
        "sequences": [10, 20, 30, 10, 20, 15, 25, 35],
        "value": [9.0, 6.0, 3.0, 8.0, 1.0, 7.0, 5.0, 4.0],
    }
)


def test_the_last_value_up_to_a_place_is_carried_on() -> None:
    values = on_grid(CURVES, [5, 10, 19, 20, 40])
    assert values["a"].tolist()[1:] == [9, 9, 6, 3]
    assert values["b"].tolist()[1:] == [8, 8, 1, 1]  # it ended at 20
    assert values["c"].tolist()[2:] == [7, 7, 4]
    assert values.isna().to_numpy()[:2].tolist() == [[True] * 3, [False, False, True]]


def test_quartile_curve_begins_where_all_have_a_value() -> None:
    middle = quartile_curve(CURVES)
    assert middle.index.tolist() == [15, 20, 25, 30, 35]
    assert middle["median"].tolist() == [8, 6, 5, 3, 3]
    assert middle.loc[20, ["low", "high"]].tolist() == [3.5, 6.5]
    by_seconds = quartile_curve(CURVES.assign(seconds=CURVES["sequences"] / 10), [1, 2, 3], against="seconds")
    assert by_seconds["median"].tolist() == [6, 3] and by_seconds.index.name == "seconds"


def test_paired_by_seed() -> None:
    """Five of six pairs lower, one tied: the sign test is 2 / 2^5. Without the tie the signed ranks too."""
    first = pd.Series([1.0, 2, 3, 4, 5, 6, 70], index=[0, 1, 2, 3, 4, 5, 9])
    second = pd.Series([9.0, 6, 8, 7, 5, 7, 70], index=[3, 5, 4, 0, 1, 2, 8])
    result = paired(first, second)  # seeds 0 to 5: 1-7, 2-5, 3-7, 4-9, 5-8, 6-6
    assert (result.pairs, result.lower, result.higher) == (6, 5, 0)
    assert result.difference == -3.5 and result.sign == pytest.approx(2 / 2**5)
    assert str(result) == "lower in 5 of 6 pairs, tied in 1 (sign test p = 0.062)"
    without = paired(first.drop(5), second)
    assert without.wilcoxon == pytest.approx(2 / 2**5) and str(without).startswith("lower in 5 of 5 pairs (sign")


def test_paired_with_runs_that_were_never_solved() -> None:
    first, second = pd.Series([1.0, 2, math.inf, math.inf]), pd.Series([math.inf, 3, 4, math.inf])
    result = paired(first, second)
    assert (result.pairs, result.lower, result.higher) == (4, 2, 1)
    assert math.isnan(result.difference) and math.isnan(result.wilcoxon) and result.sign == 1.0


def test_paired_without_any_difference() -> None:
    assert paired(pd.Series([1.0, 2]), pd.Series([1.0, 2])) == (2, 0, 0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (pd.Series([1.0], index=[0]), pd.Series([1.0], index=[1]), "seeds that both arms have"),
        (pd.Series([math.nan]), pd.Series([1.0]), "no NaN"),
        (pd.Series([1.0, 2.0], index=[0, 0]), pd.Series([1.0]), "every seed once"),
    ],
)
def test_what_cannot_be_paired(first: pd.Series, second: pd.Series, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        paired(first, second)


def test_holm_by_hand() -> None:
    """0.005 × 4, 0.01 × 3, 0.03 × 2, and 0.04 × 1 not below the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0] and holm([0.3]) == [0.3] and holm([]) == []


def test_p_values_in_words() -> None:
    assert [p_value(p) for p in (0.00042, 0.00123, 0.5)] == ["p < 0.001", "p = 0.0012", "p = 0.5"]
