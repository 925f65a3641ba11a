"""Initial weightings: where they look and what of them is trained."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from ntm_lab.nn.weightings import FirstSlot, Learned, Uniform

EACH = [
    pytest.param(FirstSlot, id="first slot"),
    pytest.param(Uniform, id="uniform"),
    pytest.param(Learned, id="learned"),
    pytest.param(partial(Learned, focus=0, std=3.0), id="learned, unfocused"),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("build", EACH)
def test_they_are_weightings_of_the_modules_dtype(build: partial[nn.Module], dtype: torch.dtype) -> None:
    weighting = build(heads=2, slots=5).to(dtype)(3, 5)
    assert weighting.shape == (3, 2, 5) and weighting.dtype == dtype
    assert (weighting >= 0).all()
    torch.testing.assert_close(weighting.sum(-1), torch.ones(3, 2, dtype=dtype))


@pytest.mark.parametrize("slots", [5, 9])
def test_first_slot_and_uniform_for_any_number_of_slots(slots: int) -> None:
    assert FirstSlot(2, 5)(1, slots)[0].tolist() == [[1.0] + [0.0] * (slots - 1)] * 2
    assert Uniform(2, 5)(1, slots)[0].flatten().tolist() == pytest.approx([1 / slots] * (2 * slots))


def test_learned_begins_on_the_first_slot() -> None:
    """With focus f the odds of slot 0 against any other are e^f."""
    weighting = Learned(2, 5, focus=3.0)(1, 5)[0]
    others = torch.full((2, 4), 1 / (math.exp(3) + 4))
    torch.testing.assert_close(weighting[:, 1:], others)
    assert (Learned(2, 128)(1, 128)[..., 0] > 0.99).all()


def test_learned_noise_has_its_spread_and_tells_heads_apart() -> None:
    torch.manual_seed(0)
    odds = Learned(100, 100, focus=0, std=0.5)(1, 100)[0].log()
    assert (odds - odds.mean(-1, keepdim=True)).std().item() == pytest.approx(0.5, rel=0.05)
    assert not torch.allclose(odds[0], odds[1])
    torch.manual_seed(0)
    assert torch.equal(Learned(100, 100, focus=0, std=0.5)(1, 100)[0].log(), odds)


def test_only_the_learned_one_is_trained() -> None:
    for kind in (FirstSlot, Uniform):
        module = kind(2, 5)
        assert not list(module.parameters()) and not module.state_dict()
    learned = Learned(2, 5)
    learned(3, 5)[:, 1, 4].sum().backward()
    (logits,) = learned.parameters()
    assert logits.grad is not None
    assert not logits.grad[0].any() and logits.grad[1].all()  # head 1 alone is held to account
