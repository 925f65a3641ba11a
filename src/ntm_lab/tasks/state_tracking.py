"""State tracking: hear one permutation after the other, and say at every step what all of them together do."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ntm_lab.checks import one_of
from ntm_lab.tasks.answers import Symbols
from ntm_lab.tasks.base import EvenTask, checked_range
from ntm_lab.types import Batch, Difficulty

Permutation = tuple[int, ...]


def _even(permutation: Permutation) -> bool:
    pairs = itertools.combinations(permutation, 2)
    return sum(one > other for one, other in pairs) % 2 == 0


GROUPS: dict[str, list[Permutation]] = {
    "Z2": [*itertools.permutations(range(2))],  # parity
    "S3": [*itertools.permutations(range(3))],
    "A5": [each for each in itertools.permutations(range(5)) if _even(each)],
    "S5": [*itertools.permutations(range(5))],
}
"""The elements of each group, the identity first, then in lexicographic order."""


class StateTracking(EvenTask):
    """The word problem of a group (Merrill et al. 2024, arXiv 2404.08819): elements g₁, g₂, … come one a step, and each
    step is to say the product so far, g₁ first, then g₂ and so on.

    Difficulty: ``length`` T. Inputs (B, T, |G|) one-hot, all elements equally likely; targets (B, T, 1), the number of
    the product; all steps are scored. A5 and S5 cannot be solved by a fixed number of parallel layers; Z2 is parity.
    """

    def __init__(self, lengths: Sequence[int] = (1, 40), group: str = "S5") -> None:
        self.ranges = {"length": checked_range("lengths", lengths)}
        self.group = one_of("task.group", group, [*GROUPS])
        elements = GROUPS[group]
        number = {element: index for index, element in enumerate(elements)}
        self.products = torch.tensor(  # [first, second], the number of what both do
            [[number[tuple(second[place] for place in first)] for second in elements] for first in elements]
        )
        self.input_size = len(elements)
        self.answer = Symbols(len(elements))

    def draw_even(self, count: int, difficulty: Difficulty, generator: torch.Generator) -> Batch:
        shape = (count, difficulty["length"])
        return self.layout(torch.randint(self.input_size, shape, generator=generator))

    def layout(self, elements: Tensor) -> Batch:
        """The batch of given elements (B, T)."""
        inputs = one_hot(elements, self.input_size).float()
        mask = torch.ones_like(elements, dtype=torch.bool)
        return Batch(inputs, self._so_far(elements)[..., None], mask, torch.full((len(elements),), elements.shape[1]))

    def solve(self, batch: Batch) -> Tensor:
        return one_hot(self._so_far(batch.inputs.argmax(2)), self.input_size) * batch.mask[..., None].float()

    def _so_far(self, elements: Tensor) -> Tensor:
        state, states = torch.zeros_like(elements[:, 0]), []
        for element in elements.unbind(1):
            state = self.products[state, element]
            states.append(state)
        return torch.stack(states, 1)
