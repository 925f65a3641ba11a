"""Delays: what has been heard is said later, or counts at the end; bits that wait, numbers that are held or added."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ntm_lab.tasks.answers import Bits, Reals
from ntm_lab.tasks.base import EvenTask, add_channels, checked_integer, checked_range, random_bits
from ntm_lab.types import Batch, Difficulty


class StoreWaitRecall(EvenTask):
    """Vectors of bits, then nothing for W steps, then the vectors again.

    Difficulty: ``length`` L and ``wait`` W. Inputs (B, 2L + W, bits + 1), on the last channel a 1 at the L steps that
    are scored; targets (B, 2L + W, bits). How long a memory holds what it has stored, with noise-free inputs.
    """

    def __init__(self, lengths: Sequence[int] = (1, 4), waits: Sequence[int] = (1, 40), bits: int = 4) -> None:
        self.ranges = {"length": checked_range("lengths", lengths), "wait": checked_range("waits", waits)}
        self.bits = checked_integer("bits", bits)
        self.input_size = bits + 1
        self.answer = Bits(bits)

    def draw_even(self, count: int, difficulty: Difficulty, generator: torch.Generator) -> Batch:
        return self.layout(random_bits((count, difficulty["length"], self.bits), generator), difficulty["wait"])

    def layout(self, vectors: Tensor, wait: int) -> Batch:
        """The batch of vectors (B, L, bits)."""
        count, length, _ = vectors.shape
        silence = vectors.new_zeros(count, length + wait, self.bits)
        mask = torch.arange(2 * length + wait).expand(count, -1) >= length + wait
        inputs = add_channels(torch.cat([vectors, silence], 1), mask)
        return Batch(inputs, torch.cat([silence, vectors], 1), mask, torch.full((count,), 2 * length + wait))

    def solve(self, batch: Batch) -> Tensor:
        answers = torch.zeros_like(batch.targets, dtype=batch.inputs.dtype)
        for row, (end, length) in enumerate(zip(batch.lengths.tolist(), batch.mask.sum(1).tolist(), strict=True)):
            answers[row, end - length : end] = batch.inputs[row, :length, : self.bits]
        return answers


class DelayLine(EvenTask):
    """Say at every step the number that came D steps before; numbers are uniform in [−1, 1].

    Difficulty: ``length`` T and ``delay`` D, below T. Inputs and targets (B, T, 1); scored are the steps from D on. The
    delay is not shown: a batch of different delays cannot be told apart, so there is one in training.
    """

    def __init__(self, lengths: Sequence[int] = (40, 40), delay: int = 10) -> None:
        self.ranges = {
            "length": checked_range("lengths", lengths, 2),
            "delay": (checked_integer("delay", delay), delay),
        }
        self._check({"length": self.ranges["length"][0], "delay": delay})
        self.input_size = 1
        self.answer = Reals(1)

    def _check(self, difficulty: Difficulty) -> None:
        if difficulty["delay"] >= difficulty["length"]:
            raise ValueError(f"task.delay={difficulty['delay']}: must be below length={difficulty['length']}")

    def draw_even(self, count: int, difficulty: Difficulty, generator: torch.Generator) -> Batch:
        self._check(difficulty)
        return self.layout(2 * torch.rand(count, difficulty["length"], generator=generator) - 1, difficulty["delay"])

    def layout(self, numbers: Tensor, delay: int) -> Batch:
        """The batch of numbers (B, T)."""
        count, length = numbers.shape
        mask = torch.arange(length).expand(count, -1) >= delay
        targets = torch.where(mask, numbers.roll(delay, 1), 0)
        return Batch(numbers[..., None], targets[..., None], mask, torch.full((count,), length))

    def solve(self, batch: Batch) -> Tensor:
        answers = torch.zeros_like(batch.inputs)
        for row, (end, scored) in enumerate(zip(batch.lengths.tolist(), batch.mask.sum(1).tolist(), strict=True)):
            answers[row, end - scored : end] = batch.inputs[row, :scored]
        return answers


class Adding(EvenTask):
    """The adding problem (Hochreiter, Schmidhuber 1997, section 5.4): numbers uniform in [0, 1], two of which are
    marked, one in the first half of the sequence and one in the second; at the last step their sum is to be said.

    Difficulty: ``length`` T, at least 2. Inputs (B, T, 2), number and mark; targets (B, T, 1). To say always 1 costs a
    squared error of 1/6.
    """

    def __init__(self, lengths: Sequence[int] = (10, 50)) -> None:
        self.ranges = {"length": checked_range("lengths", lengths, 2)}
        self.input_size = 2
        self.answer = Reals(1, guess=1.0)

    def draw_even(self, count: int, difficulty: Difficulty, generator: torch.Generator) -> Batch:
        length = difficulty["length"]
        if length < 2:
            raise ValueError(f"difficulty length={length}: must be at least 2")
        half = length // 2
        first = torch.randint(half, (count, 1), generator=generator)
        second = half + torch.randint(length - half, (count, 1), generator=generator)
        return self.layout(torch.rand(count, length, generator=generator), torch.cat([first, second], 1))

    def layout(self, numbers: Tensor, marked: Tensor) -> Batch:
        """The batch of numbers (B, T) and the two steps that are marked (B, 2)."""
        count, length = numbers.shape
        marks = torch.zeros_like(numbers).scatter_(1, marked, 1)
        mask = torch.arange(length).expand(count, -1) == length - 1
        targets = torch.where(mask, (numbers * marks).sum(1, keepdim=True), 0)
        return Batch(torch.stack([numbers, marks], 2), targets[..., None], mask, torch.full((count,), length))

    def solve(self, batch: Batch) -> Tensor:
        return batch.inputs.prod(2).sum(1)[:, None, None] * batch.mask[..., None]
