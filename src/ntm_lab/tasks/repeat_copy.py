"""Repeat copy: read a sequence and a number, write the sequence that number of times, then an end marker."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ntm_lab.tasks.answers import Bits
from ntm_lab.tasks.base import BaseTask, add_channels, checked_integer, checked_range, random_bits, take
from ntm_lab.types import Batch, Phase, Scene


class RepeatCopy(BaseTask):
    """Repeat copy (Graves et al. 2014, section 4.2): L vectors, the number of repeats R, then L·R vectors and an end.

    Difficulty: ``length`` L and ``repeats`` R. Inputs (B, T, bits + 2) and targets (B, T, bits + 1) with
    T = L + 1 + L·R + 1; scored are the last L·R + 1 steps on every channel, so that an end marker costs when it comes
    too early. The count arrives with the delimiter, normalised to mean 0 and variance 1 over the range of training.
    Two vectors of two bits, three times, where 1 to 3 repeats in training make that a count of 1.22:

        step                0    1    2    3    4    5    6    7    8    9
        input  bit 0        1    .    .    .    .    .    .    .    .    .
               bit 1        1    1    .    .    .    .    .    .    .    .
               delimiter    .    .    1    .    .    .    .    .    .    .
               count        .    . 1.22    .    .    .    .    .    .    .
        target bit 0        .    .    .    1    .    1    .    1    .    .
               bit 1        .    .    .    1    1    1    1    1    1    .
               end          .    .    .    .    .    .    .    .    .    1
        scored              .    .    .    x    x    x    x    x    x    x
    """

    def __init__(self, lengths: Sequence[int] = (1, 10), repeats: Sequence[int] = (1, 10), bits: int = 8) -> None:
        self.ranges = {"length": checked_range("lengths", lengths), "repeats": checked_range("repeats", repeats)}
        self.bits = checked_integer("bits", bits)
        self.input_size = bits + 2
        self.answer = Bits(bits + 1)
        low, high = self.ranges["repeats"]
        self.mean = (low + high) / 2
        self.std = math.sqrt(((high - low + 1) ** 2 - 1) / 12) or 1.0  # uniform on the integers; a single one has none

    def draw(self, batch_size: int, difficulty: Mapping[str, int | Tensor], generator: torch.Generator) -> Batch:
        length, repeats = self.expand(difficulty, batch_size)
        vectors = random_bits((batch_size, int(length.max()), self.bits), generator)
        return self.layout(vectors, length, repeats)

    def layout(self, vectors: Tensor, length: Tensor, repeats: Tensor) -> Batch:
        """The batch of given vectors (B, N, bits); the first `length` (B,) are repeated `repeats` (B,) times."""
        length, repeats = length[:, None], repeats[:, None]  # (B, 1), and the delimiter's step is `length`
        end = length + 1 + length * repeats + 1
        steps = torch.arange(int(end.max()))  # (T,)
        count = (steps == length) * (repeats - self.mean) / self.std  # (B, T)
        inputs = add_channels(take(vectors, steps, steps < length), steps == length, count)
        mask = (steps > length) & (steps < end)
        return Batch(inputs, self._answer(vectors, length, repeats, steps), mask, end.squeeze(1))

    def scene(self, batch: Batch) -> Scene:
        length = int(batch.inputs[0, :, self.bits].argmax())
        starts = range(length + 1, int(batch.lengths[0]) - 1, length)
        answers = [Phase(start, start + length, f"answer {number}") for number, start in enumerate(starts, 1)]
        return Scene([Phase(0, length + 1, f"listens, {len(answers)} ×"), *answers], ("delimiter", "count"))

    def solve(self, batch: Batch) -> Tensor:
        steps = torch.arange(batch.inputs.shape[1], device=batch.inputs.device)
        vectors, delimiter, count = batch.inputs.split([self.bits, 1, 1], dim=-1)
        length = delimiter.argmax(1)  # (B, 1)
        repeats = (count.sum(1) * self.std + self.mean).round().to(torch.int64)  # (B, 1)
        return self._answer(vectors, length, repeats, steps)

    def _answer(self, vectors: Tensor, length: Tensor, repeats: Tensor, steps: Tensor) -> Tensor:
        """Targets (B, T, bits + 1) from vectors (B, N, bits), length and repeats (B, 1) and steps (T,)."""
        since = steps - length - 1  # (B, T), 0 on the first step after the delimiter
        total = length * repeats
        return add_channels(take(vectors, since % length, (since >= 0) & (since < total)), since == total)
