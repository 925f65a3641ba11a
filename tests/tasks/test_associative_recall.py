import inspect

import pytest
import torch
from torch import tensor

from ntm_lab.tasks import AssociativeRecall

ITEMS = tensor([[[[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [1.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]]])


def test_the_drawing_in_the_docstring_is_true(draw):
    batch = AssociativeRecall(rows=2, bits=2).layout(ITEMS, tensor([1]), tensor([3]))
    text = draw(batch, ["bit 0", "bit 1", "item delimiter", "query delimiter"], ["bit 0", "bit 1"])
    assert text in inspect.getdoc(AssociativeRecall)


def test_mixed_numbers_of_items_lay_out_as_alone(alone):
    task = AssociativeRecall(rows=2, bits=2)
    count, queried = tensor([2, 3, 3]), tensor([0, 1, 0])
    mixed = task.layout(ITEMS.expand(3, -1, -1, -1), queried, count)
    for row, items in enumerate(count):
        expected = task.layout(ITEMS[:, :items], queried[row : row + 1], items[None])
        assert all(torch.equal(*parts) for parts in zip(alone(mixed, row), expected, strict=True))


@pytest.mark.parametrize("items, rows, bits", [(2, 1, 1), (8, 1, 3), (16, 2, 2), (6, 3, 6)])
def test_items_of_a_sequence_are_distinct(items, rows, bits, generator):
    """Also where a sequence must use every item there is."""
    batch = AssociativeRecall(items=[2, items], rows=rows, bits=bits).sample(500, {"items": items}, generator)
    shown = batch.inputs[:, : items * (rows + 1), :bits].unflatten(1, (items, rows + 1))[:, :, 1:].flatten(2)
    for sequence in shown.tolist():
        assert len({tuple(item) for item in sequence}) == items


def test_every_item_but_the_last_is_queried_equally_often(generator):
    task = AssociativeRecall(rows=3, bits=6)
    count = tensor([3, 5] * 2000)
    batch = task.sample(len(count), {"items": count}, generator)
    for items in (3, 5):
        rows = batch.inputs[count == items][:, : (items + 1) * 4, :6].unflatten(1, (items + 1, 4)).flatten(2)
        alike = (rows[:, :-1] == rows[:, -1:]).all(-1).double()
        assert (alike.sum(1) == 1).all()
        frequency = alike.mean(0)
        assert frequency[-1] == 0
        assert (frequency[:-1] - 1 / (items - 1)).abs().max() < 0.05  # a standard deviation is at most 0.011


def test_lists_are_uniform(generator):
    """Redrawing duplicates favours no list: 2 of 4 items make 12 lists."""
    batch = AssociativeRecall(items=[2, 2], rows=1, bits=2).sample(12_000, {"items": 2}, generator)
    _, counts = batch.inputs[:, [1, 3], :2].flatten(1).unique(dim=0, return_counts=True)
    assert len(counts) == 12
    assert (counts - 1000).abs().max() < 150  # a standard deviation is 30


def test_a_single_item_has_no_successor(generator):
    with pytest.raises(ValueError, match="difficulty items=1: must be at least 2"):
        AssociativeRecall().sample(2, {"items": 1}, generator)


def test_too_many_items_beyond_the_range_are_refused(generator):
    task = AssociativeRecall(items=[2, 4], rows=1, bits=2)
    task.sample(2, {"items": 4}, generator)
    with pytest.raises(ValueError, match="must allow 5 distinct items"):
        task.sample(2, {"items": 5}, generator)
