import inspect

import pytest
import torch
from torch import tensor

from ntm_lab.tasks import RepeatCopy

VECTORS = tensor([[[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]]])


def test_the_drawing_in_the_docstring_is_true(draw):
    batch = RepeatCopy(repeats=[1, 3], bits=2).layout(VECTORS, tensor([2]), tensor([3]))
    text = draw(batch, ["bit 0", "bit 1", "delimiter", "count"], ["bit 0", "bit 1", "end"])
    assert text in inspect.getdoc(RepeatCopy)


def test_mixed_difficulties_lay_out_as_alone(alone):
    task = RepeatCopy(bits=2)
    length, repeats = tensor([2, 3, 1]), tensor([4, 1, 7])
    mixed = task.layout(VECTORS.expand(3, -1, -1), length, repeats)
    for row, count in enumerate(length):
        expected = task.layout(VECTORS[:, :count], count[None], repeats[row : row + 1])
        assert all(torch.equal(*parts) for parts in zip(alone(mixed, row), expected, strict=True))


@pytest.mark.parametrize("low, high", [(1, 10), (3, 4), (10, 20)])
def test_count_has_mean_zero_and_variance_one_over_its_range(low, high, generator):
    task = RepeatCopy(repeats=[low, high])
    repeats = torch.arange(low, high + 1)
    batch = task.sample(len(repeats), {"length": 2, "repeats": repeats}, generator)
    count = batch.inputs[:, 2, -1].double()
    assert count.mean() == pytest.approx(0, abs=1e-6)
    assert count.var(correction=0) == pytest.approx(1, abs=1e-6)
    assert not batch.inputs[:, [0, 1, 3], -1].any()  # it comes with the delimiter only


def test_count_of_a_single_value_is_zero(generator):
    batch = RepeatCopy(repeats=[4, 4]).sample(1, {"length": 1, "repeats": 4}, generator)
    assert batch.inputs[0, :, -1].tolist() == [0] * 7


def test_everything_after_the_delimiter_is_scored(generator):
    batch = RepeatCopy(bits=3).sample(2, {"length": 4, "repeats": 5}, generator)
    assert batch.mask.tolist() == [[False] * 5 + [True] * 21] * 2
    assert batch.targets[:, :, -1].tolist() == [[0] * 25 + [1]] * 2
