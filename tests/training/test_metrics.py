"""Means over the sequences of a validation, however they come in batches."""

import pytest
import torch
from torch import Tensor

from ntm_lab.tasks import Bits, Reals, Symbols
from ntm_lab.tasks.answers import cost_bits, wrong_bits
from ntm_lab.training.metrics import SequenceMeans

BATCH, STEPS, WIDTH = 12, 7, 3
ANSWER = Bits(WIDTH)


@pytest.fixture
def example() -> tuple[Tensor, Tensor, Tensor]:
    """Logits, targets and a mask of which every sequence has at least one step."""
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(BATCH, STEPS, WIDTH, generator=generator)
    targets = torch.randint(2, (BATCH, STEPS, WIDTH), generator=generator).float()
    mask = torch.rand(BATCH, STEPS, generator=generator) < 0.6
    mask[:, -1] = True
    return logits, targets, mask


def test_metrics_are_means_per_sequence(example: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, targets, mask = example
    logits[:3] = 8 * (2 * targets[:3] - 1)  # three sequences right
    metrics = SequenceMeans(ANSWER)
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
    whole, pieces = SequenceMeans(ANSWER), SequenceMeans(ANSWER)
    whole.update(*example)
    for piece in zip(*(tensor.split(sizes) for tensor in example), strict=True):
        pieces.update(*piece)
    assert pieces.compute()["cost"].item() == pytest.approx(whole.compute()["cost"].item(), rel=1e-6)
    assert pieces.compute()["wrong_bits"] == whole.compute()["wrong_bits"]
    assert pieces.compute()["exact"] == whole.compute()["exact"]


def test_means_that_agree_by_chance_stay_apart() -> None:
    """One of two sequences has one wrong bit: both means are 1/2. Then a sequence with two wrong bits parts them."""
    metrics, mask = SequenceMeans(Bits(2)), torch.ones(2, 1, dtype=torch.bool)
    targets = torch.ones(2, 1, 2)
    metrics.update(torch.tensor([[[1.0, 1.0]], [[1.0, -1.0]]]), targets, mask)
    assert metrics.compute()["wrong_bits"] == metrics.compute()["exact"] == 0.5
    metrics.update(torch.tensor([[[1.0, 1.0]], [[-1.0, -1.0]]]), targets, mask)
    assert metrics.compute()["wrong_bits"] == 0.75
    assert metrics.compute()["exact"] == 0.5


def test_sums_are_kept_in_double_precision() -> None:
    """After 2²⁴ wrong bits float32 could not count one more."""
    metric = SequenceMeans(Bits(1))
    metric.totals[1] += 2.0**24
    metric.update(torch.ones(1, 1, 1), torch.zeros(1, 1, 1), torch.tensor([[True]]))
    assert metric.compute()["wrong_bits"].item() == 2**24 + 1


@pytest.mark.parametrize(
    ("answer", "targets", "names"),
    [
        (Bits(2), torch.zeros(3, 1, 2), ["cost", "wrong_bits", "exact"]),
        (Symbols(2), torch.zeros(3, 1, 1, dtype=torch.int64), ["cost", "wrong_symbols", "exact"]),
        (Reals(2), torch.zeros(3, 1, 2), ["cost"]),
    ],
    ids=str,
)
def test_names_are_those_of_the_answer(answer: Bits | Symbols | Reals, targets: Tensor, names: list[str]) -> None:
    metric = SequenceMeans(answer)
    metric.update(torch.ones(3, 1, 2), targets, torch.ones(3, 1, dtype=torch.bool))
    assert [*metric.compute()] == names


def test_reset_forgets(example: tuple[Tensor, Tensor, Tensor]) -> None:
    _, targets, mask = example
    metrics = SequenceMeans(ANSWER)
    metrics.update(*example)
    metrics.reset()
    metrics.update(8 * (2 * targets - 1), targets, mask)
    assert metrics.compute()["wrong_bits"] == 0
    assert metrics.compute()["exact"] == 1
