"""Multi-query associative recall: hear pairs of keys and values, then say the value of each key that comes again."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ntm_lab.tasks.answers import Symbols
from ntm_lab.tasks.base import EvenTask, checked_integer, checked_range
from ntm_lab.types import Batch, Difficulty


class MQAR(EvenTask):
    """Multi-query associative recall (Arora et al. 2023, arXiv 2312.04927): P pairs of a key and a value, a step each,
    then every key once more among fillers, in random order and at random places; scored is the value of that key.

    Difficulty: ``pairs`` P and ``length`` T, at least 3 P, of the whole sequence. A step is one-hot over the keys, the
    values and the fillers, three vocabularies that share no symbol: inputs (B, T, keys + values + fillers), targets
    (B, T, 1), the number of the value. Keys of a sequence are distinct, values need not be. Two pairs, length 7, of
    three keys a, b, c, two values and one filler:

        step      0  1  2  3  4  5  6
        input     b  1  a  0  .  a  b
        target    .  .  .  .  .  0  1
        scored    .  .  .  .  .  x  x
    """

    def __init__(
        self,
        pairs: Sequence[int] = (1, 16),
        length: Sequence[int] = (64, 64),
        keys: int = 64,
        values: int = 64,
        fillers: int = 1,
    ) -> None:
        self.ranges = {"pairs": checked_range("pairs", pairs), "length": checked_range("length", length)}
        self.keys = checked_integer("keys", keys)
        self.values = checked_integer("values", values, 2)
        self.fillers = checked_integer("fillers", fillers)
        self._check({"pairs": self.ranges["pairs"][1], "length": self.ranges["length"][0]})
        self.input_size = keys + values + fillers
        self.answer = Symbols(values)

    def _check(self, difficulty: Difficulty) -> None:
        pairs, length = difficulty["pairs"], difficulty["length"]
        if pairs > self.keys:
            raise ValueError(f"task.pairs={pairs}: must not exceed task.keys={self.keys}")
        if length < 3 * pairs:
            raise ValueError(f"task.length={length}: must be at least 3 × pairs={pairs}")

    def draw_even(self, count: int, difficulty: Difficulty, generator: torch.Generator) -> Batch:
        self._check(difficulty)
        pairs, length = difficulty["pairs"], difficulty["length"]
        keys = torch.rand(count, self.keys, generator=generator).argsort(1)[:, :pairs]
        values = torch.randint(self.values, (count, pairs), generator=generator)
        queries = torch.rand(count, length - 2 * pairs, generator=generator).argsort(1)[:, :pairs]
        fillers = torch.randint(self.fillers, (count, length), generator=generator)
        return self.layout(keys, values, queries, fillers)

    def layout(self, keys: Tensor, values: Tensor, queries: Tensor, fillers: Tensor) -> Batch:
        """The batch of keys and their values (B, P), the step after the pairs at which each is asked for (B, P), and
        the fillers (B, T), of which those count that nothing else takes the place of."""
        count, pairs = keys.shape
        symbols = self.keys + self.values + fillers
        symbols[:, : 2 * pairs : 2] = keys
        symbols[:, 1 : 2 * pairs : 2] = self.keys + values
        asked = 2 * pairs + queries
        symbols.scatter_(1, asked, keys)
        mask = torch.zeros_like(symbols, dtype=torch.bool).scatter_(1, asked, True)
        targets = torch.zeros_like(symbols).scatter_(1, asked, values)
        return Batch(
            one_hot(symbols, self.input_size).float(), targets[..., None], mask, torch.full((count,), symbols.shape[1])
        )

    def solve(self, batch: Batch) -> Tensor:
        """A query's value is what followed the first showing of its key."""
        keys = batch.inputs[..., : self.keys]
        values = batch.inputs[..., self.keys : self.keys + self.values]
        first = keys * (keys.cumsum(1) == 1)  # (B, T, keys)
        stored = first[:, :-1].transpose(1, 2) @ values[:, 1:]  # (B, keys, values)
        return keys @ stored * batch.mask[..., None]
