"""What the tests of the tasks share: cutting one sequence out of a batch, and drawing it as the docstrings do."""

from collections.abc import Callable

import pytest
import torch

from ntm_lab.types import Batch


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.fixture
def alone() -> Callable[[Batch, int], Batch]:
    """One sequence of a batch as a batch of its own, without its padding."""

    def cut(batch: Batch, row: int) -> Batch:
        end = int(batch.lengths[row])
        return Batch(*(part[row : row + 1, :end] for part in batch[:3]), batch.lengths[row : row + 1])

    return cut


@pytest.fixture
def draw() -> Callable[[Batch, list[str], list[str]], str]:
    """The first sequence of a batch as text: channels as rows, steps as columns, zeros as dots."""

    def number(value: float) -> str:
        return "." if value == 0 else "1" if value == 1 else f"{value:.2f}"

    def text(batch: Batch, inputs: list[str], targets: list[str]) -> str:
        lines = [("step", [str(step) for step in range(batch.inputs.shape[1])])]
        for word, names, values in (("input  ", inputs, batch.inputs), ("target ", targets, batch.targets)):
            assert len(names) == values.shape[2]
            rows = [[number(value) for value in channel] for channel in values[0].T.tolist()]
            heads = [(word if index == 0 else " " * len(word)) + name for index, name in enumerate(names)]
            lines += zip(heads, rows, strict=True)
        lines.append(("scored", ["x" if scored else "." for scored in batch.mask[0].tolist()]))
        label = max(len(head) for head, _ in lines)
        width = max(2, *(len(cell) for _, cells in lines for cell in cells))
        return "\n".join(
            f"    {head:{label}} {' '.join(f'{cell:>{width}}' for cell in cells)}" for head, cells in lines
        )

    return text
