"""The one rule for claims about most seeds."""

import pytest

from ntm_lab.studies.statistics import success_rate
from ntm_lab.studies.study import NOT_REPRODUCED, REPRODUCED, TOO_FEW, verdict_of_most


@pytest.mark.parametrize(
    ("successes", "trials", "outcome"),
    [
        (5, 5, REPRODUCED),  # 57 % to 100 %
        (4, 5, TOO_FEW),  # 38 % to 96 %
        (3, 5, TOO_FEW),  # 23 % to 88 %
        (0, 5, NOT_REPRODUCED),  # 0 % to 43 %
        (8, 10, TOO_FEW),  # 49 % to 94 %
        (9, 10, REPRODUCED),  # 60 % to 98 %
        (1, 10, NOT_REPRODUCED),  # 2 % to 40 %
        (2, 10, TOO_FEW),  # 6 % to 51 %
        (4, 4, TOO_FEW),  # 51 % to 100 %, but of four
        (0, 4, TOO_FEW),
        (60, 100, REPRODUCED),  # 50.2 % to 69 %
        (59, 100, TOO_FEW),  # 49.2 % to 68 %
    ],
)
def test_most_is_judged_by_the_interval(successes: int, trials: int, outcome: str) -> None:
    rate = success_rate([True] * successes + [False] * (trials - successes))
    assert verdict_of_most(rate, "said") == (outcome, "said")
