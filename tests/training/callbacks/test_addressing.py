"""The statistics of addressing, of weightings whose entropy is known."""

import math

import pytest
import torch
from torch import Tensor

from ntm_lab.nn import DNC, MANN, NTM
from ntm_lab.training.callbacks.addressing import SUMMARISED, addressing_statistics
from ntm_lab.types import Batch, Kind, SequenceModel

SLOTS = 8
KINDS = {"read_weighting": Kind.WEIGHTING, "write_weighting": Kind.WEIGHTING, "sharpness": Kind.SCALAR}


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
    values = addressing_statistics(signals, KINDS, batch)
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
    signals = {"read_weighting": weighting, "write_weighting": weighting, "sharpness": sharpness}
    values = addressing_statistics(signals, KINDS, batch)
    for head in ("read_0", "write_0"):
        assert values[f"addressing/{head}/entropy_storing"] == pytest.approx(1, abs=1e-5)
        assert values[f"addressing/{head}/entropy_recalling"] == pytest.approx(2, abs=1e-5)
        assert values[f"addressing/{head}/sharpness"] == pytest.approx(16 / 8)


def test_usage_is_the_number_of_slots_in_use(batch: Batch) -> None:
    """Over the eight steps that exist; what stands in the padding does not count."""
    usage = torch.full((2, 5, SLOTS), 0.25).masked_fill(~batch.exists.unsqueeze(2), 1e6)
    assert addressing_statistics({"usage": usage}, {"usage": Kind.USAGE}, batch) == {"addressing/usage": 2.0}


NTM_COLUMNS = [
    *(f"read_{head}/{name}" for head in (0, 1) for name in ("gate", "sharpness", "strength")),
    *(f"write_0/{name}" for name in ("gate", "sharpness", "strength")),
]
DNC_HEADS = ["allocation_0", "read_0", "read_1", "write_0"]
DNC_COLUMNS = [
    *("allocation_0/gate", "free_gate_0", "free_gate_1", "precedence"),
    *("read_0/strength", "read_1/strength", "usage", "write_0/gate", "write_0/strength"),
]


@pytest.mark.parametrize(
    ("model", "heads", "columns"),
    [
        (NTM(3, 2, size=4, slots=6, width=4, read_heads=2), ["read_0", "read_1", "write_0"], NTM_COLUMNS),
        (
            DNC(3, 2, size=4, slots=6, width=4, read_heads=2),
            ["allocation_0", "read_0", "read_1", "write_0"],
            DNC_COLUMNS,
        ),
        (MANN(3, 2, size=4, slots=6, width=4), ["read_0", "write_0"], ["gate_0", "strength_0", "usage"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, SequenceModel) else "",
)
def test_every_memory_has_its_own_columns(
    model: SequenceModel, heads: list[str], columns: list[str], batch: Batch
) -> None:
    kinds = {name: kind for name, kind in model.signals.items() if kind in SUMMARISED}
    with torch.no_grad():
        signals = model.trace(batch.inputs, lengths=batch.lengths, signals=[*kinds])
    values = addressing_statistics(signals, kinds, batch)
    entropies = [f"{head}/entropy_{phase}" for head in heads for phase in ("storing", "recalling")]
    assert sorted(values) == sorted(f"addressing/{name}" for name in (*entropies, *columns))
    assert all(math.isfinite(value) for value in values.values())
