"""Costs and errors by hand, against float64 numpy, and under everything that must not change them."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ntm_lab.training.metrics import (
    WrongBits,
    cost_bits,
    cost_bits_of_probabilities,
    sequence_metrics,
    wrong_bits,
)

BATCH, STEPS, WIDTH = 12, 7, 3


@pytest.fixture
def example() -> tuple[Tensor, Tensor, Tensor]:
    """Logits, targets and a mask of which every sequence has at least one step."""
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(BATCH, STEPS, WIDTH, generator=generator)
    targets = torch.randint(2, (BATCH, STEPS, WIDTH), generator=generator).float()
    mask = torch.rand(BATCH, STEPS, generator=generator) < 0.6
    mask[:, -1] = True
    return logits, targets, mask


def test_a_logit_of_0_costs_one_bit_for_each_scored_output() -> None:
    """Chance on copy at length 20 and 8 bits, with 22 more steps that are not scored."""
    targets = torch.randint(2, (2, 42, 8), generator=torch.Generator().manual_seed(0)).float()
    mask = torch.arange(42).expand(2, 42) >= 22
    assert cost_bits(torch.zeros(2, 42, 8), targets, mask).tolist() == pytest.approx([160, 160])
    assert cost_bits_of_probabilities(torch.full((2, 42, 8), 0.5), targets, mask).tolist() == [160, 160]


def test_values_by_hand() -> None:
    """σ(ln 3) = 3/4: a target of 1 costs log₂ 4/3, a target of 0 costs log₂ 4 = 2 bits and is wrong."""
    logits = torch.full((1, 2, 2), math.log(3))
    targets = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    mask = torch.tensor([[True, True]])
    assert cost_bits(logits, targets, mask).item() == pytest.approx(math.log2(4 / 3) + 3 * 2)
    assert wrong_bits(logits, targets, mask).tolist() == [3]


def test_equal_to_numpy_in_float64(example: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, targets, mask = (tensor.double().numpy() for tensor in example)
    of_one = 1 / (1 + np.exp(-logits))
    bits = -np.log2(np.where(targets == 1, of_one, 1 - of_one)) * mask[..., None]
    wrong = ((of_one > 0.5) != (targets == 1)) * mask[..., None]

    np.testing.assert_allclose(cost_bits(*example).numpy(), bits.sum((1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(wrong_bits(*example).numpy(), wrong.sum((1, 2)))
    probabilities = example[0].double().sigmoid()
    np.testing.assert_allclose(cost_bits_of_probabilities(probabilities, *example[1:]), bits.sum((1, 2)), rtol=1e-9)


@pytest.mark.parametrize("garbage", [math.nan, math.inf, -math.inf, 1e4], ids=str)
def test_steps_that_are_not_scored_count_for_nothing(example: tuple[Tensor, Tensor, Tensor], garbage: float) -> None:
    logits, targets, mask = example
    spoilt = logits.masked_fill(~mask.unsqueeze(-1), garbage)
    clean, spoilt = logits.clone().requires_grad_(), spoilt.requires_grad_()
    cost_bits(clean, targets, mask).sum().backward()
    cost_bits(spoilt, targets, mask).sum().backward()
    assert torch.equal(cost_bits(spoilt, targets, mask), cost_bits(logits, targets, mask))
    assert torch.equal(wrong_bits(spoilt, targets, mask), wrong_bits(logits, targets, mask))
    assert clean.grad is not None and spoilt.grad is not None
    assert torch.equal(spoilt.grad, clean.grad)
    assert (spoilt.grad[~mask] == 0).all()


def test_the_gradient_is_that_of_the_formula(example: tuple[Tensor, Tensor, Tensor]) -> None:
    """d cost / d logit = (P(1) − target) / ln 2."""
    logits, targets, mask = example
    logits = logits.double().requires_grad_()
    cost_bits(logits, targets, mask).sum().backward()
    expected = (logits.detach().sigmoid() - targets) / math.log(2) * mask.unsqueeze(-1)
    torch.testing.assert_close(logits.grad, expected)


@pytest.mark.parametrize("logit", [1e4, -1e4], ids=["certainly 1", "certainly 0"])
def test_extreme_logits_cost_a_finite_amount(logit: float) -> None:
    logits = torch.full((2, 1, 1), logit, requires_grad=True)
    targets = torch.tensor([[[float(logit > 0)]], [[float(logit < 0)]]])  # right, wrong
    cost = cost_bits(logits, targets, torch.ones(2, 1, dtype=torch.bool))
    cost.sum().backward()
    assert cost.tolist() == pytest.approx([0, 1e4 / math.log(2)])
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_certain_probabilities_cost_nothing_or_everything() -> None:
    targets = torch.tensor([[[1.0], [0.0]], [[0.0], [0.0]]])
    probabilities = torch.tensor([[[1.0], [0.0]], [[1.0], [0.0]]])
    both, second = torch.ones(2, 2, dtype=torch.bool), torch.tensor([[False, True]] * 2)
    assert cost_bits_of_probabilities(probabilities, targets, both).tolist() == [0, math.inf]
    assert cost_bits_of_probabilities(probabilities, targets, second).tolist() == [0, 0]


def test_a_logit_of_nan_is_wrong_whatever_the_target() -> None:
    targets = torch.tensor([[[0.0, 1.0]]])
    assert wrong_bits(torch.full((1, 1, 2), math.nan), targets, torch.tensor([[True]])).tolist() == [2]


def test_metrics_are_means_per_sequence(example: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, targets, mask = example
    logits[:3] = 8 * (2 * targets[:3] - 1)  # three sequences right
    metrics = sequence_metrics()
    metrics.update(logits, targets, mask)
    values = metrics.compute()
    wrong = wrong_bits(logits, targets, mask)
    assert (wrong > 0).sum() == BATCH - 3
    assert set(values) == {"cost", "wrong_bits", "exact"}
    assert values["cost"].item() == pytest.approx(cost_bits(logits, targets, mask).mean().item(), rel=1e-6)
    assert values["wrong_bits"].item() == wrong.sum().item() / BATCH
    assert values["exact"].item() == 3 / BATCH


@pytest.mark.parametrize("sizes", [[BATCH], [1] * BATCH, [1, 4, 7]], ids=str)
def test_accumulation_in_pieces_changes_nothing(example: tuple[Tensor, Tensor, Tensor], sizes: list[int]) -> None:
    whole, pieces = sequence_metrics(), sequence_metrics()
    whole.update(*example)
    for piece in zip(*(tensor.split(sizes) for tensor in example), strict=True):
        pieces.update(*piece)
    assert pieces.compute()["cost"].item() == pytest.approx(whole.compute()["cost"].item(), rel=1e-6)
    assert pieces.compute()["wrong_bits"] == whole.compute()["wrong_bits"]
    assert pieces.compute()["exact"] == whole.compute()["exact"]


def test_metrics_that_agree_by_chance_stay_apart() -> None:
    """One of two sequences has one wrong bit: both means are 1/2. Then a sequence with two wrong bits parts them."""
    metrics, mask = sequence_metrics(), torch.ones(2, 1, dtype=torch.bool)
    targets = torch.ones(2, 1, 2)
    metrics.update(torch.tensor([[[1.0, 1.0]], [[1.0, -1.0]]]), targets, mask)
    assert metrics.compute()["wrong_bits"] == metrics.compute()["exact"] == 0.5
    metrics.update(torch.tensor([[[1.0, 1.0]], [[-1.0, -1.0]]]), targets, mask)
    assert metrics.compute()["wrong_bits"] == 0.75
    assert metrics.compute()["exact"] == 0.5


def test_sums_are_kept_in_double_precision() -> None:
    """After 2²⁴ wrong bits float32 could not count one more."""
    metric = WrongBits()
    metric.total += 2.0**24
    metric.update(torch.ones(1, 1, 1), torch.zeros(1, 1, 1), torch.tensor([[True]]))
    assert metric.compute().item() == 2**24 + 1


def test_reset_forgets(example: tuple[Tensor, Tensor, Tensor]) -> None:
    _, targets, mask = example
    metrics = sequence_metrics()
    metrics.update(*example)
    metrics.reset()
    metrics.update(8 * (2 * targets - 1), targets, mask)
    assert metrics.compute()["wrong_bits"] == 0
    assert metrics.compute()["exact"] == 1
