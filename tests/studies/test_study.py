"""The rules by which claims are judged."""

import pytest

from ntm_lab.studies.statistics import success_rate
from ntm_lab.studies.study import (
    DEPENDS,
    IN_PART,
    NOT_REPRODUCED,
    REPRODUCED,
    TOO_FEW,
    outcome_of_every,
    outcome_of_most,
    outcome_under,
    verdict_of_most,
    verdict_of_parts,
)


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
    assert outcome_of_most(rate) == outcome
    assert verdict_of_most(rate, "said") == (outcome, "said", {})


@pytest.mark.parametrize(
    ("cases", "outcome"),
    [
        ([REPRODUCED, REPRODUCED], REPRODUCED),
        ([REPRODUCED, TOO_FEW], TOO_FEW),
        ([REPRODUCED, TOO_FEW, NOT_REPRODUCED], NOT_REPRODUCED),
    ],
    ids=["in all", "in one not known", "in one not"],
)
def test_every_case_has_to_be_reproduced(cases: list[str], outcome: str) -> None:
    assert outcome_of_every(iter(cases)) == outcome


@pytest.mark.parametrize(
    ("held", "outcome"), [([True, True], REPRODUCED), ([True, False], DEPENDS), ([False, False], NOT_REPRODUCED)]
)
def test_what_holds_under_some_conditions_depends_on_them(held: list[bool], outcome: str) -> None:
    assert outcome_under(iter(held)) == outcome


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        (REPRODUCED, REPRODUCED, REPRODUCED),
        (REPRODUCED, NOT_REPRODUCED, IN_PART),
        (TOO_FEW, REPRODUCED, IN_PART),
        (NOT_REPRODUCED, DEPENDS, DEPENDS),
        (NOT_REPRODUCED, TOO_FEW, NOT_REPRODUCED),
        (TOO_FEW, TOO_FEW, TOO_FEW),
    ],
)
def test_two_halves_are_judged_one_by_one(first: str, second: str, outcome: str) -> None:
    halves = {"one": first, "the other": second}
    assert verdict_of_parts(halves, "said") == (outcome, "said", halves)
