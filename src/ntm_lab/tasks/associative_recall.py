"""Associative recall: read a list of items, then one of them again, and write the item that followed it."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ntm_lab.tasks.answers import Bits
from ntm_lab.tasks.base import BaseTask, add_channels, checked_integer, checked_range, random_bits, take
from ntm_lab.types import Batch, Phase, Scene


class AssociativeRecall(BaseTask):
    """Associative recall (Graves et al. 2014, section 4.3): k items, the query for one of them, then its successor.

    Difficulty: ``items`` k, at least 2. An item is `rows` vectors of `bits` random bits; the items of a sequence are
    distinct. A delimiter opens every item; another one opens the query and the answer. All of these k + 2 segments
    have rows + 1 steps: inputs (B, (k + 2)(rows + 1), bits + 2), targets (B, (k + 2)(rows + 1), bits), and scored are
    the last `rows` steps. Three items of two vectors of two bits, the second of which is queried:

        step                    0  1  2  3  4  5  6  7  8  9 10 11 12 13 14
        input  bit 0            .  1  .  .  1  1  .  .  1  .  1  1  .  .  .
               bit 1            .  .  .  .  .  1  .  1  .  .  .  1  .  .  .
               item delimiter   1  .  .  1  .  .  1  .  .  .  .  .  .  .  .
               query delimiter  .  .  .  .  .  .  .  .  .  1  .  .  1  .  .
        target bit 0            .  .  .  .  .  .  .  .  .  .  .  .  .  .  1
               bit 1            .  .  .  .  .  .  .  .  .  .  .  .  .  1  .
        scored                  .  .  .  .  .  .  .  .  .  .  .  .  .  x  x
    """

    def __init__(self, items: Sequence[int] = (2, 6), rows: int = 3, bits: int = 6) -> None:
        self.ranges = {"items": checked_range("items", items, least=2)}
        self.rows = checked_integer("rows", rows)
        self.bits = checked_integer("bits", bits)
        self.input_size = bits + 2
        self.answer = Bits(bits)
        self._check_enough(self.ranges["items"][1])

    def draw(self, batch_size: int, difficulty: Mapping[str, int | Tensor], generator: torch.Generator) -> Batch:
        (count,) = self.expand(difficulty, batch_size, least=2)
        self._check_enough(int(count.max()))
        queried = (torch.rand(batch_size, generator=generator, dtype=torch.float64) * (count - 1)).to(torch.int64)
        return self.layout(self._draw(batch_size, int(count.max()), generator), queried, count)

    def layout(self, items: Tensor, queried: Tensor, count: Tensor) -> Batch:
        """The batch of given items (B, k, rows, bits); a sequence has the first `count` (B,) and queries one.

        The number `queried` counts from 0 and is at most count − 2.
        """
        queried, count = queried[:, None], count[:, None]  # (B, 1)
        vectors = items.flatten(1, 2)  # (B, k·rows, bits)
        period = self.rows + 1
        lengths = (count + 2) * period
        steps = torch.arange(int(lengths.max()))  # (T,)
        segment, row = steps // period, steps % period - 1  # row −1 is the segment's delimiter
        shown = torch.where(segment < count, segment, queried)  # (B, T)
        mask = (segment == count + 1) & (row >= 0)
        inputs = add_channels(
            take(vectors, shown * self.rows + row, (segment <= count) & (row >= 0)),
            (segment < count) & (row < 0),
            (segment >= count) & (segment <= count + 1) & (row < 0),
        )
        return Batch(inputs, take(vectors, (queried + 1) * self.rows + row, mask), mask, lengths.squeeze(1))

    def scene(self, batch: Batch) -> Scene:
        period, items = self.rows + 1, int(batch.inputs[0, :, self.bits].sum())
        segments = batch.inputs[0, : (items + 1) * period, : self.bits].unflatten(0, (-1, period))
        asked = int((segments[:-1] == segments[-1]).flatten(1).all(1).int().argmax())
        names = [f"item {item + 1}" for item in range(items)] + [f"query: {asked + 1}", f"answer: {asked + 2}"]
        then = {items: asked, asked: asked + 1, asked + 1: items + 1}  # query, its item, the item after it, answer
        phases = [Phase(at * period, (at + 1) * period, name, then.get(at)) for at, name in enumerate(names)]
        return Scene(phases, ("item", "query"))

    def solve(self, batch: Batch) -> Tensor:
        vectors = batch.inputs[..., : self.bits]
        period = self.rows + 1
        segments = vectors.unflatten(1, (-1, period)).flatten(2)  # (B, segments, period·bits)
        asked = batch.inputs[..., self.bits + 1].argmax(1) // period  # (B,) the segment of the query
        query = segments[torch.arange(len(asked)), asked]  # (B, period·bits)
        found = (segments == query[:, None]).all(-1).int().argmax(1, keepdim=True)  # (B, 1) the first one alike
        steps = torch.arange(vectors.shape[1], device=vectors.device)
        return take(vectors, (found + 1) * period + steps % period, batch.mask)

    def _draw(self, batch_size: int, count: int, generator: torch.Generator) -> Tensor:
        """Distinct items (B, count, rows, bits), uniform over all such lists."""
        size = self.rows * self.bits
        items = random_bits((batch_size, count, size), generator)
        while True:
            signs = 2 * items - 1
            alike = signs @ signs.mT == size  # (B, count, count)
            again = alike.tril(-1).any(-1)  # (B, count): as an earlier one, which stays
            if not again.any():
                return items.unflatten(-1, (self.rows, self.bits))
            items[again] = random_bits(items[again].shape, generator)

    def _check_enough(self, count: int) -> None:
        if count > 2 ** (self.rows * self.bits):
            raise ValueError(
                f"task.rows={self.rows}, task.bits={self.bits}: must allow {count} distinct items (task.items), "
                f"but there are {2 ** (self.rows * self.bits)}"
            )
