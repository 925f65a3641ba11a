"""The warning on constant contents with a uniform weighting, and that what it says is true."""

import warnings
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from ntm_lab.nn import NTM, NTMAccess
from ntm_lab.nn.contents import Constant, Random
from ntm_lab.nn.weightings import FirstSlot, Learned, Uniform

Init = Callable[..., nn.Module]
TrainedConstant = partial(Constant, trainable=True)


@pytest.mark.parametrize("init", [Constant, TrainedConstant], ids=["constant", "trained constant"])
def test_constant_with_uniform_warns(init: Init) -> None:
    with pytest.warns(UserWarning, match=r"memory.init=constant with memory.weighting=uniform: .* choose another"):
        NTMAccess(5, 3, init, Uniform)


@pytest.mark.parametrize(
    ("init", "weighting"),
    [(Constant, FirstSlot), (Constant, Learned), (Random, Uniform)],
    ids=["constant, first slot", "constant, learned", "random, uniform"],
)
def test_others_do_not_warn(init: Init, weighting: Init) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NTMAccess(5, 3, init, weighting)


def differences_of_slots(weighting: Init) -> tuple[Tensor, Tensor]:
    """How far slots differ after a sequence in a trained constant memory, and how far their gradients do."""
    torch.manual_seed(0)
    memory = {"slots": 5, "width": 3, "init": TrainedConstant, "weighting": weighting}
    model = NTM(2, 2, "feedforward", size=8, **memory, read_heads=2, write_heads=2).double()
    logits, state = model(torch.randn(4, 10, 2, dtype=torch.float64))
    logits.square().sum().backward()
    gradient = model.access.contents.value.grad
    return tuple((slots.amax(-2) - slots.amin(-2)).max() for slots in (state.memory.detach(), gradient))


@pytest.mark.filterwarnings("ignore:memory.init=constant")
def test_under_a_uniform_weighting_equal_slots_stay_equal() -> None:
    contents, gradients = differences_of_slots(Uniform)
    assert contents < 1e-12 and gradients < 1e-12


@pytest.mark.parametrize("weighting", [FirstSlot, Learned], ids=["first slot", "learned"])
def test_another_weighting_tells_equal_slots_apart(weighting: Init) -> None:
    contents, gradients = differences_of_slots(weighting)
    assert contents > 1e-3 and gradients > 1e-3
