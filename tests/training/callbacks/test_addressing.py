"""The statistics of addressing, of weightings whose entropy is known."""

import math

import pytest
import torch
from torch import Tensor

from ntm_lab.training.callbacks.addressing import addressing_statistics
from ntm_lab.types import Batch

SLOTS = 8


@pytest.fixture
def batch() -> Batch:
    """Two sequences of five steps and of three, of which the last two are scored."""
    mask = torch.tensor([[0, 0, 0, 1, 1], [0, 1, 1, 0, 0]], dtype=torch.bool)
    return Batch(torch.zeros(2, 5, 3), torch.zeros(2, 5, 2), mask, torch.tensor([5, 3]))


def uniform_over(slots: Tensor) -> Tensor:
    """Weightings (…, SLOTS) uniform over the first `slots` (…), whose entropy is log₂ `slots`."""
    return (torch.arange(SLOTS) < slots[..., None]) / slots[..., None].float()


def test_uniform_is_log2_of_the_slots_and_one_slot_is_0(batch: Batch) -> None:
    slots = torch.tensor([1, SLOTS]).expand(2, 5, 2)  # of two read heads
    signals = {
        "read_weighting": uniform_over(slots),
        "write_weighting": uniform_over(slots[..., :1]),
        "sharpness": torch.tensor([1.0, 2.0, 3.0]).expand(2, 5, 3),
    }
    expected = {("read_0", 0.0, 1.0), ("read_1", math.log2(SLOTS), 2.0), ("write_0", 0.0, 3.0)}
    values = addressing_statistics(signals, batch)
    assert len(values) == 9
    for name, entropy, sharpness in expected:
        assert values[f"addressing/{name}/entropy_storing"] == pytest.approx(entropy, abs=1e-5)
        assert values[f"addressing/{name}/entropy_recalling"] == pytest.approx(entropy, abs=1e-5)
        assert values[f"addressing/{name}/sharpness"] == sharpness


def test_the_scored_steps_are_recalling_and_padding_is_neither(batch: Batch) -> None:
    """Storing over 2 slots, recalling over 4, padding over all 8; sharpness counts every step that exists."""
    slots = torch.tensor([[2, 2, 2, 4, 4], [2, 4, 4, 8, 8]])[..., None]
    sharpness = torch.tensor([[1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 9.0, 100.0, 100.0]])[..., None].expand(2, 5, 2)
    weighting = uniform_over(slots)
    values = addressing_statistics(
        {"read_weighting": weighting, "write_weighting": weighting, "sharpness": sharpness}, batch
    )
    for head in ("read_0", "write_0"):
        assert values[f"addressing/{head}/entropy_storing"] == pytest.approx(1, abs=1e-5)
        assert values[f"addressing/{head}/entropy_recalling"] == pytest.approx(2, abs=1e-5)
        assert values[f"addressing/{head}/sharpness"] == pytest.approx(16 / 8)
