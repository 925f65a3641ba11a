"""Skipped and doubled vectors, in outputs made by hand."""

import pytest
import torch
from torch import Tensor

from ntm_lab.evaluation.shifts import FURTHEST, find_shifts

STEPS, BITS = 20, 8


@pytest.fixture
def targets() -> Tensor:
    return bits(1, STEPS, BITS, seed=0)


def bits(*shape: int, seed: int) -> Tensor:
    return torch.randint(2, shape, generator=torch.Generator().manual_seed(seed)).float()


def found(said: Tensor, targets: Tensor) -> list[tuple[int, int]]:
    shift, start = find_shifts(10 * said - 5, targets)
    return list(zip(shift.tolist(), start.tolist(), strict=True))


def said(targets: Tensor, order: list[int]) -> Tensor:
    """The targets of these steps, one after the other."""
    return targets[:, order]


def test_what_is_right_is_not_shifted(targets: Tensor) -> None:
    assert found(targets, targets) == [(0, STEPS)]


def test_a_doubled_vector_shifts_back(targets: Tensor) -> None:
    assert found(said(targets, [*range(8), *range(7, STEPS - 1)]), targets) == [(1, 8)]


def test_a_skipped_vector_shifts_ahead(targets: Tensor) -> None:
    """After it the output is a step early, and the last step has nothing left to say."""
    assert found(said(targets, [*range(5), *range(6, STEPS), 0]), targets) == [(-1, 5)]


@pytest.mark.parametrize("by", [2, 5, FURTHEST])
def test_several_vectors_at_once(by: int, targets: Tensor) -> None:
    assert found(said(targets, [*range(8), *range(8 - by, STEPS - by)]), targets) == [(by, 8)]
    assert found(said(targets, [*range(4), *range(4 + by, STEPS), *range(by)]), targets) == [(-by, 4)]


def test_a_shift_beyond_the_furthest_is_not_looked_for() -> None:
    targets = bits(1, 60, BITS, seed=1)
    by = FURTHEST + 1
    assert found(said(targets, [*range(20), *range(20 - by, 60 - by)]), targets) == [(0, 60)]


def test_wrong_bits_in_place_are_no_shift(targets: Tensor) -> None:
    wrong = targets.clone()
    wrong[0, 3:, 1] = 1 - wrong[0, 3:, 1]
    assert found(wrong, targets) == [(0, STEPS)]


def test_a_few_wrong_bits_on_top_hide_no_shift(targets: Tensor) -> None:
    doubled = said(targets, [*range(8), *range(7, STEPS - 1)])
    doubled[0, [2, 11, 15], 0] = 1 - doubled[0, [2, 11, 15], 0]
    assert found(doubled, targets) == [(1, 8)]


def test_a_match_by_chance_does_not_count(targets: Tensor) -> None:
    """After the shift three of eight bits are wrong as well, as it is in place with four."""
    doubled = said(targets, [*range(8), *range(7, STEPS - 1)])
    doubled[0, 8:, ::3] = 1 - doubled[0, 8:, ::3]
    assert found(doubled, targets) == [(0, STEPS)]


def test_a_match_that_is_not_much_better_does_not_count() -> None:
    """Targets that are all alike match when shifted too: from step 16 on 3 wrong bits of 32, but in place only 11."""
    targets = torch.zeros(1, STEPS, BITS)
    targets[0, -1] = 1
    answer = torch.zeros(1, STEPS, BITS)
    answer[0, 10:19, 0] = 1
    assert found(answer, targets) == [(0, STEPS)]


def test_random_outputs_rarely_look_shifted() -> None:
    """At most once in 2⁷ sequences, which the search over starts and shifts does not change."""
    targets, answers = bits(2000, STEPS, BITS, seed=2), bits(2000, STEPS, BITS, seed=3)
    assert sum(by != 0 for by, _ in found(answers, targets)) <= 2000 / 2**7


@pytest.mark.parametrize(("steps", "told"), [(5, [(0, 20)]), (6, [(1, 14)])], ids=["15 bits", "18 bits"])
def test_the_evidence_counts_every_pair_that_is_tried(steps: int, told: list[tuple[int, int]]) -> None:
    """8 shifts either way from 20 starts make up log₂ 320 = 8.3 bits, so 15.3 are needed with those of `SURE`."""
    targets, start = bits(1, 20, 3, seed=0), 20 - steps
    assert found(said(targets, [*range(start), *range(start - 1, 19)]), targets) == told


def test_an_item_of_recall_is_enough() -> None:
    """Three vectors of six bits: two that match without a wrong bit are evidence, one is not."""
    targets = bits(1, 3, 6, seed=4)
    assert found(said(targets, [0, 0, 1]), targets) == [(1, 1)]
    assert found(said(targets, [0, 1, 1]), targets) == [(0, 3)]


def test_every_sequence_of_a_batch_for_itself(targets: Tensor) -> None:
    doubled = said(targets, [*range(8), *range(7, STEPS - 1)])
    skipped = said(targets, [*range(5), *range(6, STEPS), 0])
    batch = torch.cat([doubled, targets, skipped])
    assert found(batch, targets.expand(3, -1, -1)) == [(1, 8), (0, STEPS), (-1, 5)]


def test_a_single_step_has_no_room_for_a_shift() -> None:
    assert found(bits(2, 1, 4, seed=0), bits(2, 1, 4, seed=1)) == [(0, 1), (0, 1)]
