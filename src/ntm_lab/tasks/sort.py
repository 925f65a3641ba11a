"""Priority sort: read vectors with priorities, then write those of highest priority in order."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ntm_lab.tasks.answers import Bits
from ntm_lab.tasks.base import BaseTask, add_channels, checked_integer, random_bits, take
from ntm_lab.types import Batch, Phase, Scene


class Sort(BaseTask):
    """Priority sort (Graves et al. 2014, section 4.5): k vectors with priorities, then the highest in falling order.

    Difficulty: ``items`` k. Priorities are uniform in [−1, 1]. A sequence of k items is answered with
    m = round(k · outputs / items), at least 1: the 16 highest of 20 in the paper. Inputs (B, k + 1 + m, bits + 2),
    targets (B, k + 1 + m, bits), scored are the last m steps. Four vectors of two bits, answered with three:

        step                 0     1     2     3     4     5     6     7
        input  bit 0         1     .     1     .     .     .     .     .
               bit 1         .     1     1     .     .     .     .     .
               priority   0.25 -0.50  0.75 -0.75     .     .     .     .
               delimiter     .     .     .     .     1     .     .     .
        target bit 0         .     .     .     .     .     1     1     .
               bit 1         .     .     .     .     .     1     .     1
        scored               .     .     .     .     .     x     x     x
    """

    def __init__(self, items: int = 20, outputs: int = 16, min_items: int = 2, bits: int = 8) -> None:
        self.items = checked_integer("items", items)
        self.outputs = checked_integer("outputs", outputs)
        self.bits = checked_integer("bits", bits)
        checked_integer("min_items", min_items)
        if outputs > items:
            raise ValueError(f"task.outputs={outputs}: must not exceed task.items={items}")
        if min_items > items:
            raise ValueError(f"task.min_items={min_items}: must not exceed task.items={items}")
        self.ranges = {"items": (min_items, items)}
        self.input_size = bits + 2
        self.answer = Bits(bits)

    def draw(self, batch_size: int, difficulty: Mapping[str, int | Tensor], generator: torch.Generator) -> Batch:
        (count,) = self.expand(difficulty, batch_size)
        shape = batch_size, int(count.max())
        vectors = random_bits((*shape, self.bits), generator)
        return self.layout(vectors, 2 * torch.rand(shape, generator=generator) - 1, count)

    def layout(self, vectors: Tensor, priority: Tensor, count: Tensor) -> Batch:
        """The batch of given vectors (B, k, bits) and priorities (B, k), the first `count` (B,) of each sequence."""
        count = count[:, None]  # (B, 1), and the delimiter's step is `count`
        answers = (count.double() * self.outputs / self.items).round().clamp(min=1).to(torch.int64)
        end = count + 1 + answers
        steps = torch.arange(int(end.max()))  # (T,)
        items = take(torch.cat([vectors, priority[..., None]], dim=-1), steps, steps < count)  # (B, T, bits + 1)
        mask = (steps > count) & (steps < end)
        return Batch(add_channels(items, steps == count), self._answer(items, count, mask), mask, end.squeeze(1))

    def scene(self, batch: Batch) -> Scene:
        count = int(batch.inputs[0, :, self.bits + 1].argmax())
        phases = [
            Phase(0, count + 1, "listens"),
            Phase(count + 1, int(batch.lengths[0]), "answers, highest priority first"),
        ]
        return Scene(phases, ("priority", "delimiter"))

    def solve(self, batch: Batch) -> Tensor:
        items, delimiter = batch.inputs.split([self.bits + 1, 1], dim=-1)
        return self._answer(items, delimiter.argmax(1), batch.mask)

    def _answer(self, items: Tensor, count: Tensor, mask: Tensor) -> Tensor:
        """The first `count` (B, 1) of the items (B, T, bits + 1) by falling priority on the scored steps of (B, T)."""
        steps = torch.arange(items.shape[1], device=items.device)
        priority = items[..., self.bits].masked_fill(steps >= count, -torch.inf)  # (B, T)
        order = priority.argsort(dim=1, descending=True, stable=True)
        rank = torch.where(mask, steps - count - 1, 0)
        return take(items[..., : self.bits], order.gather(1, rank), mask)
