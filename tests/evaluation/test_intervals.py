"""Intervals against values computed by hand."""

import pytest
import torch

from ntm_lab.evaluation.intervals import normal, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "interval"),
    [
        # Z² = 3.8415: (0.8 + 0.1921 ± 1.96 √(0.016 + 0.0096)) / 1.3841
        (8, 10, (0.4902, 0.9433)),
        (0, 10, (0.0, 3.8415 / 13.8415)),
        (10, 10, (10 / 13.8415, 1.0)),
        (500, 1000, (0.4691, 0.5309)),
    ],
)
def test_wilson_by_hand(successes: int, trials: int, interval: tuple[float, float]) -> None:
    assert wilson(successes, trials) == pytest.approx(interval, abs=1e-4)


def test_certainty_is_exact_and_never_without_width() -> None:
    assert wilson(0, 7)[0] == 0.0 < wilson(0, 7)[1]
    assert wilson(7, 7)[0] < 1.0 == wilson(7, 7)[1]


def test_normal_by_hand() -> None:
    """Mean 2, standard deviation 2: half the width is 1.96 · 2 / √3."""
    assert normal(torch.tensor([0.0, 2.0, 4.0])) == pytest.approx((2 - 2.2632, 2 + 2.2632), abs=1e-4)
    assert normal(torch.tensor([3, 3])) == (3, 3)


def test_one_value_has_no_interval() -> None:
    assert normal(torch.tensor([1.0])) is None


def test_normal_covers_the_mean_95_times_in_100() -> None:
    values = torch.rand(2000, 50, generator=torch.Generator().manual_seed(0))
    ends = [normal(row) for row in values]
    covered = sum(pair is not None and pair[0] <= 0.5 <= pair[1] for pair in ends)
    assert 0.92 < covered / 2000 < 0.97
