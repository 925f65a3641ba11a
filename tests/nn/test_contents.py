"""Initial contents: their values, what of them is trained, and that a seed brings them back."""

from functools import partial

import pytest
import torch
from torch import nn

from ntm_lab.nn.contents import Constant, Random

EACH = [
    pytest.param(Constant, id="constant"),
    pytest.param(partial(Constant, trainable=True), id="trained constant"),
    pytest.param(Random, id="random"),
    pytest.param(partial(Random, trainable=True), id="learned"),
]


@pytest.mark.parametrize("build", EACH)
def test_every_sequence_begins_with_the_same_memory(build: partial[nn.Module]) -> None:
    contents = build(slots=5, width=3)(4, 5)
    assert contents.shape == (4, 5, 3)
    assert torch.equal(contents, contents[:1].expand(4, -1, -1))


@pytest.mark.parametrize("trainable", [False, True])
def test_constant_is_its_value_everywhere(trainable: bool) -> None:
    assert (Constant(5, 3, trainable=trainable)(2, 5) == 1e-6).all()
    assert (Constant(5, 3, value=0.25, trainable=trainable)(2, 5) == 0.25).all()


@pytest.mark.parametrize("std", [0.1, 2.0])
def test_random_has_its_spread(std: float) -> None:
    torch.manual_seed(0)
    contents = Random(100, 100, std=std)(1, 100)
    assert contents.mean().item() == pytest.approx(0, abs=0.05 * std)  # five standard errors of 10,000 draws
    assert contents.std().item() == pytest.approx(std, rel=0.05)


def test_random_comes_back_with_its_seed_and_stays_what_it_is() -> None:
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        module = Random(5, 3)
        drawn.append(module(2, 5).clone())
        assert torch.equal(module(2, 5), drawn[-1])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("kind", [Constant, Random])
def test_each_slot_is_trained_if_asked_for(kind: type[nn.Module]) -> None:
    fixed, trained = kind(5, 3), kind(5, 3, trainable=True)
    assert not any(parameter.requires_grad for parameter in fixed.parameters())
    trained(4, 5)[:, 2].sum().backward()
    (parameter,) = trained.parameters()
    expected = torch.zeros(5, 3)
    expected[2] = 4  # from each of the four sequences
    assert torch.equal(parameter.grad, expected)
