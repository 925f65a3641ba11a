import inspect
import math
from collections import Counter

import pytest
import torch
from torch import tensor
from torch.nn.functional import binary_cross_entropy

from ntm_lab.tasks import NGrams


def test_the_drawing_in_the_docstring_is_true(draw):
    batch = NGrams(length=8, context=2).layout(tensor([[1.0, 0, 1, 1, 0, 1, 1, 1]]), context=2)
    assert draw(batch, ["bit"], ["bit"]) in inspect.getdoc(NGrams)


def test_a_sequence_of_the_paper_has_195_predictions(generator):
    batch = NGrams().sample(3, {"length": 200, "context": 5}, generator)
    assert batch.inputs.shape == (3, 199, 1)
    assert batch.mask.sum(1).tolist() == [195] * 3
    assert batch.mask[:, :4].sum() == 0


@pytest.mark.parametrize("length, context", [(200, 5), (40, 1), (9, 3), (4, 3)])
def test_solution_is_what_counting_gives(length, context, generator):
    task = NGrams(length, context)
    batch = task.sample(20, {"length": length, "context": context}, generator)
    answer = task.solve(batch._replace(targets=torch.full_like(batch.targets, torch.nan)))
    for row in range(20):
        bits = [*batch.inputs[row, :, 0].tolist(), batch.targets[row, -1, 0].item()]
        counts = Counter()
        for place in range(context, length):
            before = tuple(bits[place - context : place])
            expected = (counts[before, 1] + 0.5) / (counts[before, 0] + counts[before, 1] + 1)
            assert answer[row, place - 1, 0].item() == pytest.approx(expected)
            counts[before, bits[place]] += 1
    assert (answer[~batch.mask] == 0.5).all()


def test_optimal_cost_on_the_setup_of_the_paper(generator):
    """128.29 ± 0.04 bits, by 400,000 sequences of this task and as many of an independent program in numpy."""
    task = NGrams()
    batch = task.sample(4000, {"length": 200, "context": 5}, generator)
    cost = binary_cross_entropy(task.solve(batch), batch.targets, reduction="none").squeeze(-1)
    cost = (cost * batch.mask).sum(1) / math.log(2)  # bits per sequence
    assert cost.mean().item() == pytest.approx(128.29, abs=4 * cost.std().item() / math.sqrt(len(cost)))


def test_a_source_has_arcsine_probabilities(generator):
    """Where one context comes twice, both draws agree with probability E[p²] / E[p] = ¾ (⅔, were p uniform)."""
    batch = NGrams(length=3, context=1).sample(40_000, {"length": 3, "context": 1}, generator)
    (first, second), third = batch.inputs.unbind(1), batch.targets[:, 1]
    assert first.mean().item() == pytest.approx(0.5, abs=0.01)  # four standard deviations, here and below
    assert second.mean().item() == pytest.approx(0.5, abs=0.01)
    again = first == second
    assert (third == second)[again].double().mean().item() == pytest.approx(0.75, abs=0.012)


@pytest.mark.parametrize(
    "difficulty, message",
    [
        pytest.param(
            {"length": tensor([200, 100]), "context": 5}, "data.mixed_lengths=true: must be false", id="mixed_length"
        ),
        pytest.param({"length": 200, "context": tensor([5, 4])}, "data.mixed_lengths", id="mixed_context"),
        pytest.param({"length": 5, "context": 5}, "task.length=5: must exceed task.context=5", id="too_short"),
    ],
)
def test_bad_difficulties(difficulty, message, generator):
    with pytest.raises(ValueError, match=message):
        NGrams().sample(2, difficulty, generator)
