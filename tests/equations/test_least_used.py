"""The slots a MANN writes to, where usage ties and where two heads take one slot."""

import torch

from ntm_lab.equations.least_used import erase_slots, least_used


def test_of_slots_with_the_same_usage_the_first_come_first() -> None:
    """Of more slots than an unstable sort leaves in order by chance: unused are all, then all but the even ones."""
    none = torch.zeros(1, 40)
    assert least_used(none, 3).argmax(-1).tolist() == [[0, 1, 2]]
    even = (torch.arange(40) % 2 == 0).float()[None]
    assert least_used(even, 3).argmax(-1).tolist() == [[1, 3, 5]]
    assert least_used(even, 22).argmax(-1).tolist() == [[*range(1, 40, 2), 0, 2]]


def test_a_slot_that_two_heads_take_is_erased_once() -> None:
    memory = torch.arange(1.0, 9.0).reshape(1, 4, 2)
    slots = torch.eye(4)[[2, 2]][None]
    expected = memory.clone()
    expected[0, 2] = 0
    assert torch.equal(erase_slots(memory, slots), expected)
