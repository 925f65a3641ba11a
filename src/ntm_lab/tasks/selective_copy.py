"""Selective copy: hear symbols among noise, then say them in order."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ntm_lab.tasks.answers import Symbols
from ntm_lab.tasks.base import EvenTask, checked_integer, checked_range
from ntm_lab.types import Batch, Difficulty


class SelectiveCopy(EvenTask):
    """Selective copy (Gu, Dao 2023, arXiv 2312.00752, section 4.1.1): n symbols at random steps among L, else noise;
    then they are asked for, one by one.

    Difficulty: ``items`` n and ``length`` L, at least n. Inputs (B, L + n, k + 2): one of k symbols, noise, or that one
    is asked for; targets (B, L + n, 1). Two items, length 4, of the symbols a, b:

        step      0  1  2  3  4  5
        input     .  b  .  a  ?  ?
        target    .  .  .  .  b  a
        scored    .  .  .  .  x  x
    """

    def __init__(self, items: Sequence[int] = (1, 16), length: Sequence[int] = (64, 64), symbols: int = 14) -> None:
        self.ranges = {"items": checked_range("items", items), "length": checked_range("length", length)}
        self.symbols = checked_integer("symbols", symbols, 2)
        self._check({"items": self.ranges["items"][1], "length": self.ranges["length"][0]})
        self.input_size = symbols + 2
        self.answer = Symbols(symbols)

    def _check(self, difficulty: Difficulty) -> None:
        if difficulty["length"] < difficulty["items"]:
            raise ValueError(f"task.length={difficulty['length']}: must be at least items={difficulty['items']}")

    def draw_even(self, count: int, difficulty: Difficulty, generator: torch.Generator) -> Batch:
        self._check(difficulty)
        items, length = difficulty["items"], difficulty["length"]
        places = torch.rand(count, length, generator=generator).argsort(1)[:, :items].sort(1).values
        return self.layout(torch.randint(self.symbols, (count, items), generator=generator), places, length)

    def layout(self, items: Tensor, places: Tensor, length: int) -> Batch:
        """The batch of items and the steps at which they stand, each (B, n), in ``length`` steps."""
        count, number = items.shape
        heard = torch.full((count, length), self.symbols).scatter_(1, places, items)
        symbols = torch.cat([heard, torch.full_like(items, self.symbols + 1)], 1)
        mask = symbols == self.symbols + 1
        targets = torch.cat([torch.zeros_like(heard), items], 1)
        inputs = one_hot(symbols, self.input_size).float()
        return Batch(inputs, targets[..., None], mask, torch.full((count,), length + number))

    def solve(self, batch: Batch) -> Tensor:
        """The n-th question is answered by the n-th symbol."""
        symbols = batch.inputs[..., : self.symbols]
        number = symbols.sum(2).cumsum(1)  # (B, T), of the symbol that stands at a step
        asked = batch.mask.cumsum(1)
        answers = (asked[..., None] == number[:, None]).float() * symbols.any(2)[:, None]  # (B, T, T)
        return answers @ symbols * batch.mask[..., None]
