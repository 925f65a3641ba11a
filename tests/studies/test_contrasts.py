"""Contrasts of two groups: their p-values by hand."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from ntm_lab.studies.contrasts import behind, contrasts, contrasts_of_times, mann_whitney

LOW, HIGH = np.arange(5.0), np.arange(5.0) + 10


def test_five_against_five_that_do_not_overlap() -> None:
    """Of 252 ways to choose five of ten 2 are as extreme; Holm takes the smallest of three p-values three times."""
    found = contrasts({"apart": (LOW, HIGH), "turned": (HIGH, LOW), "alike": (LOW, LOW)})
    apart, turned, alike = found["apart"], found["turned"], found["alike"]
    assert apart.p == pytest.approx(3 * 2 / 252) and turned.p == pytest.approx(3 * 2 / 252) and alike.p == 1
    assert (apart.first_lower, apart.second_lower) == (True, False)
    assert (turned.first_lower, turned.second_lower) == (False, True)
    assert (alike.first_lower, alike.second_lower) == (False, False)
    assert str(apart) == "2.00 against 12.00" and str(alike) == "2.00 against 2.00 (p = 1)"


def test_ties_within_a_group_are_borne() -> None:
    """Five runs without an error against five with some: as far apart as can be."""
    assert mann_whitney(np.zeros(5), LOW + 1) == pytest.approx(2 / 252)


def test_ties_across_the_groups_count_half() -> None:
    """Against all 252 orders, one by one."""
    first, second = np.array([0.0, 0, 1, 2, 2]), np.array([2.0, 3, 3, 3, 4])
    together = np.concatenate([first, second])

    def excess(chosen: tuple[int, ...]) -> float:
        one, other = together[[*chosen]], np.delete(together, chosen)
        return abs(float(np.sign(one[:, None] - other).sum()))

    orders = [excess(chosen) for chosen in itertools.combinations(range(10), 5)]
    assert mann_whitney(first, second) == pytest.approx(np.mean(np.array(orders) >= excess((0, 1, 2, 3, 4))))


def test_groups_that_may_differ_by_chance_are_not_told_apart() -> None:
    (contrast,) = contrasts({"": (LOW + 0.5, LOW)}).values()
    assert contrast.order > 0 and contrast.p > 0.05
    assert not contrast.first_lower and not contrast.second_lower
    (turned,) = contrasts({"": (LOW, LOW + 0.5)}).values()
    assert turned.order < 0 and not turned.first_lower and not turned.second_lower


def test_groups_that_are_all_alike() -> None:
    assert mann_whitney(np.zeros(5), np.zeros(6)) == 1


@pytest.mark.parametrize("many", [np.zeros(5), np.arange(5.0)], ids=["ties", "none"])
def test_a_single_run_shows_nothing(many: np.ndarray) -> None:
    """As of a study that ended early: a verdict says so, and needs no p-value that does not exist."""
    assert mann_whitney(np.full(1, 9.0), many) == mann_whitney(many, np.full(1, 9.0)) == 1


def test_twenty_against_twenty_exactly() -> None:
    """2 of C(40, 20) orders: beyond any sample of orders."""
    assert mann_whitney(np.arange(20.0), np.arange(20.0) + 20) == pytest.approx(2 / math.comb(40, 20))


def times(*known: float | None) -> tuple[pd.Series, pd.Series]:
    """Of runs that ended after 100."""
    return pd.Series(known, dtype=float), pd.Series([100.0] * len(known))


def test_times_with_runs_that_never_had_the_event() -> None:
    """None of five against five of five; and of one group alone, which is no later than itself."""
    early, never = times(1, 2, 3, 4, 5), times(*[None] * 5)
    found = contrasts_of_times({"sooner": (early, never), "later": (never, early), "alike": (early, early)})
    sooner, later, alike = found.values()
    assert (sooner.first, sooner.second) == (3, math.inf) and sooner.first_lower and not sooner.second_lower
    assert later.second_lower and not later.first_lower and later.p == sooner.p
    assert alike.p == 1 and alike.order == 0


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1, 2], [3, 4], -4),
        ([3, None], [1, 2], 4),
        ([1, None], [2, None], -1),
        ([None], [None], 0),
        ([1, 5], [2, 3, 4], 0),
    ],
)
def test_behind_counts_pairs_and_never_is_last(
    one: list[float | None], other: list[float | None], expected: int
) -> None:
    assert behind(pd.Series(one, dtype=float), pd.Series(other, dtype=float)) == expected
