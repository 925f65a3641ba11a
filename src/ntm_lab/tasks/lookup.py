"""N-gram lookup: hear a string, then some of it once more, and go on."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ntm_lab.tasks.answers import Symbols
from ntm_lab.tasks.base import EvenTask, checked_integer, checked_range
from ntm_lab.types import Batch, Difficulty


class NGramLookup(EvenTask):
    """N-gram lookup (Jelassi et al. 2024, arXiv 2402.01032, section 4): a string of L symbols, a delimiter, then n of
    its symbols that stand together; said is what follows them in the string.

    Difficulty: ``length`` L, above n. The n symbols are drawn from a random place, and again where the string has them
    more than once. Inputs (B, L + 1 + n, k + 1), targets (B, L + 1 + n, 1); scored is the last step. Length 5, n = 2:

        step      0  1  2  3  4  5  6  7
        input     c  a  b  a  a  |  b  a
        target    .  .  .  .  .  .  .  a
        scored    .  .  .  .  .  .  .  x
    """

    def __init__(self, lengths: Sequence[int] = (10, 50), n: int = 3, symbols: int = 26) -> None:
        self.n = checked_integer("n", n)
        self.ranges = {"length": checked_range("lengths", lengths, n + 1)}
        self.symbols = checked_integer("symbols", symbols, 2)
        self.input_size = symbols + 1
        self.answer = Symbols(symbols)

    def draw_even(self, count: int, difficulty: Difficulty, generator: torch.Generator) -> Batch:
        length = difficulty["length"]
        if length <= self.n:
            raise ValueError(f"difficulty length={length}: must exceed task.n={self.n}")
        string = torch.empty(count, length, dtype=torch.int64)
        place = torch.empty(count, 1, dtype=torch.int64)
        bad = torch.ones(count, dtype=torch.bool)
        for _ in range(1000):
            string[bad] = torch.randint(self.symbols, (int(bad.sum()), length), generator=generator)
            place[bad] = torch.randint(length - self.n, (int(bad.sum()), 1), generator=generator)
            bad = self._found(string, self._query(string, place)).sum(1) != 1
            if not bad.any():
                return self.layout(string, place)
        raise ValueError(f"difficulty length={length}: {self.symbols} symbols repeat {self.n} of them too often")

    def _query(self, string: Tensor, place: Tensor) -> Tensor:
        return string.gather(1, place + torch.arange(self.n))

    def _found(self, string: Tensor, query: Tensor) -> Tensor:
        """Where in a string (B, L) its query (B, n) begins, and something follows it, (B, L − n) bool."""
        return (string.unfold(1, self.n, 1)[:, :-1] == query[:, None]).all(2)

    def layout(self, string: Tensor, place: Tensor) -> Batch:
        """The batch of strings (B, L), each asked for what follows the n symbols from its place (B, 1) on."""
        delimiter = torch.full_like(place, self.symbols)
        symbols = torch.cat([string, delimiter, self._query(string, place)], 1)
        mask = torch.zeros_like(symbols, dtype=torch.bool)
        mask[:, -1] = True
        targets = torch.where(mask, string.gather(1, place + self.n), 0)
        inputs = one_hot(symbols, self.input_size).float()
        return Batch(inputs, targets[..., None], mask, torch.full((len(string),), symbols.shape[1]))

    def solve(self, batch: Batch) -> Tensor:
        answers = torch.zeros(*batch.mask.shape, self.symbols)
        symbols = batch.inputs.argmax(2)
        for row, end in enumerate(batch.lengths.tolist()):
            string, query = symbols[row : row + 1, : end - self.n - 1], symbols[row : row + 1, end - self.n : end]
            place = int(self._found(string, query).int().argmax())
            answers[row, end - 1, string[0, place + self.n]] = 1
        return answers
