"""The entropy of weightings in bits, by hand."""

import math

import pytest
import torch
from torch import Tensor

from ntm_lab.nn import DNC, MANN, NTM
from ntm_lab.training.penalties import Entropy, entropy_bits
from ntm_lab.types import Batch, Kind

UNIFORM = torch.full((4,), 1 / 4)  # 2 bits
WEIGHTINGS = ("read_weighting", "write_weighting")
ONE_HOT = torch.tensor([0.0, 1.0, 0.0, 0.0])  # 0 bits


def batch(*lengths: int) -> Batch:
    """Only the lengths matter."""
    nothing = torch.zeros(len(lengths), max(lengths), 1)
    return Batch(nothing, nothing, nothing[..., 0] == 1, torch.tensor(lengths))


@pytest.mark.parametrize("slots", [1, 2, 20, 128])
def test_a_uniform_weighting_has_log_n_bits(slots: int) -> None:
    assert entropy_bits(torch.full((slots,), 1 / slots)).item() == pytest.approx(math.log2(slots), abs=1e-5)


@pytest.mark.parametrize(
    ("weighting", "bits"), [([1.0, 0.0], 0.0), ([0.5, 0.5, 0.0], 1.0), ([0.5, 0.25, 0.25], 1.5), ([0.9, 0.1], 0.468996)]
)
def test_entropy_by_hand(weighting: list[float], bits: float) -> None:
    assert entropy_bits(torch.tensor(weighting)).item() == pytest.approx(bits, abs=1e-5)


def test_penalty_is_the_weighted_mean_over_all_heads() -> None:
    """Of three heads two are uniform, 2 bits each: a mean of 4/3."""
    signals = {
        "read_weighting": torch.stack((UNIFORM, ONE_HOT)).expand(2, 3, -1, -1),
        "write_weighting": UNIFORM.expand(2, 3, 1, -1),
    }
    assert Entropy(WEIGHTINGS, 0.3)(signals, batch(3, 3)).item() == pytest.approx(0.3 * 4 / 3)
    assert Entropy(WEIGHTINGS, 0.0)(signals, batch(3, 3)).item() == 0


def test_padding_does_not_count() -> None:
    """Of the three steps that exist one is uniform, and so are the two that do not."""
    steps = torch.stack((torch.stack((UNIFORM, UNIFORM, UNIFORM)), torch.stack((ONE_HOT, ONE_HOT, UNIFORM))))
    signals = dict.fromkeys(WEIGHTINGS, steps.unsqueeze(2))
    padded = batch(1, 2)._replace(inputs=torch.zeros(2, 3, 1))
    assert Entropy(WEIGHTINGS, 1.0)(signals, padded).item() == pytest.approx(2 / 3)


@pytest.mark.parametrize("weighting", [UNIFORM, ONE_HOT], ids=["uniform", "one-hot"])
def test_gradient_is_finite(weighting: Tensor) -> None:
    steps = weighting.expand(1, 1, 1, -1).clone().requires_grad_()
    Entropy(WEIGHTINGS)(dict.fromkeys(WEIGHTINGS, steps), batch(1)).backward()
    assert steps.grad is not None and steps.grad.isfinite().all()


def test_error_names_setting_and_value() -> None:
    with pytest.raises(ValueError, match=r"^penalty weight=-0\.1: "):
        Entropy(WEIGHTINGS, -0.1)


@pytest.mark.parametrize(
    ("model", "weightings", "distributions"),
    [
        (NTM, ["read_weighting", "write_weighting"], ["shift"]),
        (DNC, ["allocation", "write_weighting", "read_weighting"], ["read_mode"]),
    ],
)
def test_kinds_choose_the_signals_of_any_memory(
    model: type[NTM] | type[DNC], weightings: list[str], distributions: list[str]
) -> None:
    signals = model(3, 2, slots=6, width=4).signals
    assert Entropy(kinds=["weighting"]).wanted(signals) == weightings
    assert Entropy(kinds=["distribution"]).wanted(signals) == distributions
    assert Entropy(["reads"], kinds=["distribution"]).wanted(signals) == ["reads", *distributions]


def test_a_kind_that_there_is_not_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^kinds=\[distribution\]: this model has only signals of the kinds vector, "):
        Entropy(kinds=["distribution"]).wanted(MANN(3, 2, slots=6, width=4).signals)
    with pytest.raises(ValueError, match=r"^penalty kinds=gate: must be one of weighting, distribution"):
        Entropy(kinds=[Kind.GATE])
    with pytest.raises(ValueError, match=r"^penalty signals=\[\], kinds=\[\]: one of the two must name something"):
        Entropy()


@pytest.mark.parametrize(
    ("weighting", "bits"),
    [([0.0, 0.0], 0.0), ([0.5, 0.0], 0.5), ([0.25, 0.25], 1.0)],
    ids=["nowhere", "half on one", "half on two"],
)
def test_a_weighting_may_sum_to_less_than_1(weighting: list[float], bits: float) -> None:
    """s times the entropy of the shape, and −s log₂ s: for s = ½ one half of 0 or 1 bits, and half a bit."""
    assert entropy_bits(torch.tensor(weighting)).item() == pytest.approx(bits, abs=1e-5)


def test_a_weight_below_0_by_rounding_counts_as_0() -> None:
    """A slot that is written twice has a usage of 1 + 1.2e-7 then, and 1 minus that is what allocation gives it."""
    weighting = torch.tensor([1.0, 1 - (1 + 2.0**-23)], requires_grad=True)
    bits = entropy_bits(weighting)
    bits.backward()
    assert weighting.min() < 0
    assert bits.item() == pytest.approx(0, abs=1e-5)
    assert weighting.grad is not None and weighting.grad.isfinite().all()
