"""Copy: read a sequence of random bits, then write it again."""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor

from ntm_lab.tasks.answers import Bits
from ntm_lab.tasks.base import BaseTask, add_channels, checked_integer, checked_range, random_bits, take
from ntm_lab.types import Batch, Difficulty, Scene, phases_of

PRIME = 2**31 - 1
MULTIPLIER = 742_938_285  # the best one for this prime in the search of Fishman, Moore 1986


class Copy(BaseTask):
    """Copy (Graves et al. 2014, section 4.1): L vectors of random bits, a delimiter, then the vectors again.

    Difficulty: ``length`` L. Inputs (B, 2L + 1, bits + 1), targets (B, 2L + 1, bits); scored are the last L steps,
    during which the input is silent. Three vectors of two bits:

        step              0  1  2  3  4  5  6
        input  bit 0      1  .  1  .  .  .  .
               bit 1      .  1  1  .  .  .  .
               delimiter  .  .  .  1  .  .  .
        target bit 0      .  .  .  .  1  .  1
               bit 1      .  .  .  .  .  1  1
        scored            .  .  .  .  x  x  x

    With `start_code` one more step opens the sequence, on one more channel of its own (Collier, Beel 2018: 6 bits,
    8 channels). With `held_out` > 0 this fraction of all sequences, chosen by a hash of their bits, is kept for
    testing: ``split("training")`` never draws them, the other parts draw nothing else.
    """

    def __init__(
        self, lengths: Sequence[int] = (1, 20), bits: int = 8, start_code: bool = False, held_out: float = 0.0
    ) -> None:
        self.ranges = {"length": checked_range("lengths", lengths)}
        self.bits = checked_integer("bits", bits)
        if not isinstance(start_code, bool):
            raise ValueError(f"task.start_code={start_code}: must be true or false")
        if isinstance(held_out, bool) or not isinstance(held_out, int | float) or not 0 <= held_out < 1:
            raise ValueError(f"task.held_out={held_out}: must be a number of at least 0 and below 1")
        self.start_code = start_code
        self.held_out = held_out
        self.part: str | None = None  # None draws everything
        self.input_size = bits + 1 + start_code
        self.answer = Bits(bits)

    def grow(self, value: int) -> int:
        return 2 * value

    def split(self, part: str) -> Self:
        super().split(part)
        if not self.held_out:
            return self
        task = copy.copy(self)
        task.part = part
        return task

    def draw(self, batch_size: int, difficulty: Mapping[str, int | Tensor], generator: torch.Generator) -> Batch:
        (length,) = self.expand(difficulty, batch_size)
        return self.layout(self._draw(length, generator), length)

    def layout(self, vectors: Tensor, length: Tensor) -> Batch:
        """The batch of given vectors (B, N, bits), the first `length` (B,) of each sequence."""
        length = length[:, None]  # (B, 1)
        delimiter = length + int(self.start_code)
        end = delimiter + 1 + length
        steps = torch.arange(int(end.max()))  # (T,)
        presented = (steps >= int(self.start_code)) & (steps < delimiter)  # (B, T)
        mask = (steps > delimiter) & (steps < end)  # (B, T)
        inputs = add_channels(take(vectors, steps - int(self.start_code), presented), steps == delimiter)
        if self.start_code:
            inputs = add_channels(inputs, (steps == 0).expand_as(mask))
        return Batch(inputs, take(vectors, steps - delimiter - 1, mask), mask, end.squeeze(1))

    def scene(self, batch: Batch) -> Scene:
        channels = ("delimiter", "start") if self.start_code else ("delimiter",)
        return Scene(phases_of(batch.mask[0, : int(batch.lengths[0])]), channels)

    def solve(self, batch: Batch) -> Tensor:
        steps = torch.arange(batch.mask.shape[1], device=batch.mask.device)
        ago = batch.mask.sum(1, keepdim=True) + 1  # (B, 1): the recall trails the presentation by L + 1 steps
        return take(batch.inputs[..., : self.bits], steps - ago, batch.mask)

    def strings(self, length: int) -> int:
        """How many sequences of this length there are."""
        return 2 ** (self.bits * length)

    def overlap(self, difficulty: Difficulty, drawn: int) -> float:
        """The expected fraction of test sequences that are among `drawn` training sequences of the same length.

        That is 1 − (1 − 1/S)^drawn for S strings, and 0 by construction if some are held out.
        """
        if self.held_out:
            return 0.0
        return -math.expm1(drawn * math.log1p(-(2.0 ** (-self.bits * difficulty["length"]))))

    def is_held_out(self, vectors: Tensor, length: Tensor) -> Tensor:
        """Whether sequences are kept for testing: (B,) bool from (B, N, bits), zero past their `length` (B,).

        The hash is Σ dᵢ aⁱ⁺¹ mod 2³¹ − 1 over the digits d = length, bit, bit, …: exact in integers, hence the same
        on every machine, and the same whatever the padding.
        """
        digits = torch.cat([length[:, None], vectors.flatten(1).to(torch.int64)], dim=1)  # (B, 1 + N·bits)
        hashed = (digits @ _powers(digits.shape[1])) % PRIME
        return hashed < self.held_out * PRIME

    def _draw(self, length: Tensor, generator: torch.Generator) -> Tensor:
        """Vectors (B, longest, bits) of this part, zero past their length (B,)."""
        exists = (torch.arange(int(length.max())) < length[:, None])[..., None]  # (B, longest, 1)
        vectors = random_bits((*exists.shape[:2], self.bits), generator) * exists
        if self.part is None:
            return vectors
        testing = self.part != "training"
        fraction = self.held_out if testing else 1 - self.held_out
        for _ in range(math.ceil(100 / fraction)):  # all of these draws fail with probability e⁻¹⁰⁰
            wrong = self.is_held_out(vectors, length) != testing  # (B,)
            if not wrong.any():
                return vectors
            vectors[wrong] = random_bits(vectors[wrong].shape, generator) * exists[wrong]
        raise ValueError(
            f"task.held_out={self.held_out}: found no sequence of length {int(length[wrong][0])} for {self.part}"
        )


def _powers(count: int) -> Tensor:
    """The powers a¹ … aᶜᵒᵘⁿᵗ modulo the prime, (count,) int64: a Lehmer generator, here the weights of a hash."""
    powers = torch.tensor([MULTIPLIER])
    while len(powers) < count:
        powers = torch.cat([powers, powers * powers[-1] % PRIME])
    return powers[:count]
