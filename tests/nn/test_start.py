"""How the layer that sets the heads begins: a scale that decides whether copy is learned, in every group of heads."""

import math

import pytest
import torch

from ntm_lab.nn import DNC, MANN, NTM, MemoryNetwork

SIZE = 100  # of the controller


@pytest.mark.parametrize(("machine", "gain"), [(NTM, 1.4), (DNC, 1.4), (MANN, 4.0)])
def test_every_group_has_xavier_weights_of_its_gain(machine: type[MemoryNetwork], gain: float) -> None:
    """Uniform within ±gain √(6 / (P + size)), P being the rows of the group, and not of the whole layer."""
    torch.manual_seed(0)
    model = machine(9, 8, size=SIZE, matched_keys=False)
    groups = model.access.layout.groups
    for rows in model.heads.weight.detach().split([group.size for group in groups]):
        bound = gain * math.sqrt(6 / (len(rows) + SIZE))
        assert 0.99 * bound < rows.abs().max() <= bound
        assert rows.std() == pytest.approx(bound / math.sqrt(3), rel=0.05)
