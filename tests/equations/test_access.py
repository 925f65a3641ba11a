"""Reading and writing against the paper's equations written out as loops, and their gradients."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ntm_lab.equations import read, write

B, N, W = 2, 5, 3
each_number_of_heads = pytest.mark.parametrize("heads", [1, 2, 3])


def drawn(heads: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Memory, weightings, erase and add vectors."""
    generator = torch.Generator().manual_seed(heads)
    sizes = [(N, W), (heads, N), (heads, W), (heads, W)]
    memory, weighting, erase, add = (torch.randn(B, *size, generator=generator, dtype=torch.float64) for size in sizes)
    return memory, weighting.softmax(-1), erase.sigmoid(), add


@each_number_of_heads
def test_read_follows_equation_2(heads: int) -> None:
    memory, weighting, _, _ = drawn(heads)
    expected = np.zeros((B, heads, W))
    for b, h, i, j in np.ndindex(B, heads, N, W):
        expected[b, h, j] += float(weighting[b, h, i] * memory[b, i, j])
    np.testing.assert_allclose(read(memory, weighting).numpy(), expected, rtol=0, atol=1e-10)


@each_number_of_heads
def test_write_follows_equations_3_and_4(heads: int) -> None:
    """All heads erase, then all heads add."""
    memory, weighting, erase, add = drawn(heads)
    expected = memory.numpy().copy()
    for b, h, i, j in np.ndindex(B, heads, N, W):
        expected[b, i, j] *= 1 - float(weighting[b, h, i] * erase[b, h, j])
    for b, h, i, j in np.ndindex(B, heads, N, W):
        expected[b, i, j] += float(weighting[b, h, i] * add[b, h, j])
    np.testing.assert_allclose(write(memory, weighting, erase, add).numpy(), expected, rtol=0, atol=1e-10)


def test_no_head_erases_what_another_adds() -> None:
    """Two heads on one slot wipe it and add 1 and 2: 3 is left, not 2, and the other slot is as it was."""
    memory = torch.tensor([[[7.0], [7.0]]])
    on_the_first = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    written = write(memory, on_the_first, torch.ones(1, 2, 1), torch.tensor([[[1.0], [2.0]]]))
    assert written.flatten().tolist() == [3.0, 7.0]


@each_number_of_heads
def test_gradients(heads: int) -> None:
    parts = [part.requires_grad_() for part in drawn(heads)]
    assert torch.autograd.gradcheck(read, parts[:2])
    assert torch.autograd.gradcheck(write, parts)
