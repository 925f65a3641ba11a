"""A stack: symbols are pushed, and said when they are popped."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ntm_lab.tasks.answers import Symbols
from ntm_lab.tasks.base import EvenTask, checked_integer, checked_range
from ntm_lab.types import Batch, Difficulty


class Stack(EvenTask):
    """Pushes and pops in random order, never more pops than pushes; at a pop the symbol popped is to be said.

    Difficulty: ``length`` T. A step pushes one of k symbols or, with probability ½ where something is on the stack,
    pops. Inputs (B, T, k + 1), targets (B, T, 1); scored are the pops. Pushes of a and b, and two pops (^):

        step      0  1  2  3
        input     a  b  ^  ^
        target    .  .  b  a
        scored    .  .  x  x
    """

    def __init__(self, lengths: Sequence[int] = (2, 40), symbols: int = 8) -> None:
        self.ranges = {"length": checked_range("lengths", lengths, 2)}
        self.symbols = checked_integer("symbols", symbols, 2)
        self.input_size = symbols + 1
        self.answer = Symbols(symbols)

    def draw_even(self, count: int, difficulty: Difficulty, generator: torch.Generator) -> Batch:
        length = difficulty["length"]
        if length < 2:
            raise ValueError(f"difficulty length={length}: must be at least 2")
        steps = torch.randint(self.symbols, (count, length), generator=generator)
        wishes = torch.rand(count, length, generator=generator) < 0.5
        wishes[:, -1] = True  # so that something is asked, unless it has been before
        height = torch.zeros(count, dtype=torch.int64)
        for step in range(length):
            pop = wishes[:, step] & (height > 0)
            steps[pop, step] = self.symbols
            height += torch.where(pop, -1, 1)
        return self.layout(steps)

    def layout(self, steps: Tensor) -> Batch:
        """The batch of steps (B, T): a symbol that is pushed, or k for a pop."""
        mask = steps == self.symbols
        inputs = one_hot(steps, self.input_size).float()
        return Batch(inputs, self._popped(steps)[..., None], mask, torch.full((len(steps),), steps.shape[1]))

    def solve(self, batch: Batch) -> Tensor:
        steps = torch.where(batch.exists, batch.inputs.argmax(2), 0)
        return one_hot(self._popped(steps), self.symbols) * batch.mask[..., None].float()

    def _popped(self, steps: Tensor) -> Tensor:
        popped = torch.zeros_like(steps)
        for row, symbols in enumerate(steps.tolist()):
            stack: list[int] = []
            for step, symbol in enumerate(symbols):
                if symbol == self.symbols:
                    popped[row, step] = stack.pop()
                else:
                    stack.append(symbol)
        return popped
