import inspect

import pytest
import torch
from torch import tensor

from ntm_lab.tasks import Sort

VECTORS = tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]]])
PRIORITY = tensor([[0.25, -0.5, 0.75, -0.75]])


def test_the_drawing_in_the_docstring_is_true(draw):
    batch = Sort(items=4, outputs=3, bits=2).layout(VECTORS, PRIORITY, tensor([4]))
    assert draw(batch, ["bit 0", "bit 1", "priority", "delimiter"], ["bit 0", "bit 1"]) in inspect.getdoc(Sort)


def test_mixed_numbers_of_items_lay_out_as_alone(alone):
    task = Sort(items=4, outputs=3, bits=2)
    count = tensor([2, 4, 1, 3])
    mixed = task.layout(VECTORS.expand(4, -1, -1), PRIORITY.expand(4, -1), count)
    for row, items in enumerate(count):
        expected = task.layout(VECTORS[:, :items], PRIORITY[:, :items], items[None])
        assert all(torch.equal(*parts) for parts in zip(alone(mixed, row), expected, strict=True))


@pytest.mark.parametrize("items, outputs", [(20, 16), (7, 7), (10, 1)])
def test_targets_are_what_sorting_gives(items, outputs, generator):
    count = torch.randint(1, 2 * items, (50,), generator=generator)
    batch = Sort(items, outputs).sample(50, {"items": count}, generator)
    for row, k in enumerate(count.tolist()):
        shown = batch.inputs[row, :k].tolist()
        answers = max(1, round(k * outputs / items))
        expected = [item[:8] for item in sorted(shown, key=lambda item: -item[8])[:answers]]
        assert batch.targets[row, k + 1 : k + 1 + answers].tolist() == expected
        assert batch.lengths[row] == k + 1 + answers
        assert batch.mask[row].sum() == answers


def test_items_of_the_same_priority_stay_in_order() -> None:
    """Of more items than an unstable sort leaves in order by chance."""
    vectors, priority = torch.arange(40.0).reshape(1, 40, 1), torch.arange(40).remainder(2).float()[None]
    batch = Sort(items=40, outputs=40, bits=1).layout(vectors, priority, tensor([40]))
    assert batch.targets[0, 41:, 0].tolist() == [*range(1, 40, 2), *range(0, 40, 2)]


def test_priorities_are_uniform_between_minus_one_and_one(generator):
    priority = Sort().sample(2000, {"items": 20}, generator).inputs[:, :20, 8]
    assert priority.abs().max() <= 1
    assert priority.min() < -0.99
    assert priority.max() > 0.99
    assert priority.mean().item() == pytest.approx(0, abs=0.02)
    assert priority.var().item() == pytest.approx(1 / 3, abs=0.01)
