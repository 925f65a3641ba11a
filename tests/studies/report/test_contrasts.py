"""Contrasts of two groups: their p-values by hand."""

import numpy as np
import pytest

from ntm_lab.studies.report.contrasts import contrasts

LOW, HIGH = np.arange(5.0), np.arange(5.0) + 10


def test_five_against_five_that_do_not_overlap() -> None:
    """Of 252 ways to choose five of ten 2 are as extreme; Holm takes the smallest of three p-values three times."""
    apart, turned, alike = contrasts({"apart": (LOW, HIGH), "turned": (HIGH, LOW), "alike": (LOW, LOW)})
    assert apart.p == pytest.approx(3 * 2 / 252) and turned.p == pytest.approx(3 * 2 / 252) and alike.p == 1
    assert (apart.first_lower, apart.second_lower) == (True, False)
    assert (turned.first_lower, turned.second_lower) == (False, True)
    assert (alike.first_lower, alike.second_lower) == (False, False)
    assert str(apart) == "apart 2.00 against 12.00" and str(alike) == "alike 2.00 against 2.00 (p = 1)"


def test_ties_within_a_group_are_borne() -> None:
    """Five runs without an error against five with some: as far apart as can be."""
    (contrast,) = contrasts({"": (np.zeros(5), LOW + 1)})
    assert contrast.p == pytest.approx(2 / 252)


def test_groups_that_are_all_alike() -> None:
    (contrast,) = contrasts({"": (np.zeros(5), np.zeros(6))})
    assert contrast.p == 1
