"""Intervals against values computed by hand."""

import math

import pytest
import torch

from ntm_lab.evaluation.intervals import normal, of_ratio, wilson


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


@pytest.mark.parametrize(
    ("right", "asked", "trials"),
    [
        # p = 0.5; squared deviations ¼ each: v = 4 · ¼ / 16 · 4 / 3, and p (1 − p) / v = 3 trials
        ([0, 1, 0, 1], [1, 1, 1, 1], 3),
        # answers of a sequence are right or wrong together: deviations 1 each, the same 3 trials though 8 are asked
        ([0, 2, 0, 2], [2, 2, 2, 2], 3),
        # one of two in each: no variance, so as many trials as sequences
        ([1, 1, 1, 1], [2, 2, 2, 2], 4),
        ([0, 1, 0, 1, 0], [1, 1, 1, 1, 0], 3),  # of the last nothing is asked
    ],
)
def test_a_ratio_over_sequences_by_hand(right: list[int], asked: list[int], trials: int) -> None:
    """With p = ½ Wilson's interval is ½ ± ½ Z / √(n + Z²)."""
    half = 0.5 * 1.96 / math.sqrt(trials + 1.96**2)
    assert of_ratio(torch.tensor(right), torch.tensor(asked)) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-3)


def test_a_ratio_covers_its_share_95_times_in_100() -> None:
    """Five answers a sequence, all with the sequence's own probability; its mean is two thirds."""
    generator = torch.Generator().manual_seed(0)
    chance = torch.rand(2000, 60, 1, generator=generator).sqrt()
    right = (torch.rand(2000, 60, 5, generator=generator) < chance).sum(2)
    ends = [of_ratio(row, torch.full((60,), 5)) for row in right]
    covered = sum(low < 2 / 3 < high for low, high in ends) / len(ends)
    assert covered == pytest.approx(0.95, abs=0.015)


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
