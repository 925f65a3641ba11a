"""Dynamic n-grams: guess the next bit of a random source while learning what that source does."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from ntm_lab.tasks.answers import Bits
from ntm_lab.tasks.base import BaseTask, checked_integer
from ntm_lab.types import Batch, Phase, Scene


class NGrams(BaseTask):
    """Dynamic n-grams (Graves et al. 2014, section 4.4): every sequence comes from a new random n-gram source.

    For each of the 2^context possible contexts a probability of a 1 is drawn from Beta(½, ½). The first `context` bits
    are fair coins; every other bit is drawn with the probability that belongs to the bits just before it. The input of
    a step is a bit, its target the next: inputs and targets (B, length − 1, 1). Scored are the length − context
    predictions that have a full context. Eight bits 1 0 1 1 0 1 1 1 with a context of two:

        step        0  1  2  3  4  5  6
        input  bit  1  .  1  1  .  1  1
        target bit  .  1  1  .  1  1  1
        scored      .  x  x  x  x  x  x

    Difficulty: ``length`` and ``context``, one value each, shared by the batch. The optimum is about 128.3 bits per
    sequence for 200 bits and a context of 5, where chance is 195.
    """

    mixable = False
    title = "n-grams"

    def __init__(self, length: int = 200, context: int = 5) -> None:
        self.ranges = {
            "length": (checked_integer("length", length), length),
            "context": (checked_integer("context", context), context),
        }
        _check_longer(length, context)
        self.input_size = 1
        self.answer = Bits(1)

    def draw(self, batch_size: int, difficulty: Mapping[str, int | Tensor], generator: torch.Generator) -> Batch:
        axes = self.expand(difficulty, batch_size)
        if any(axis.min() != axis.max() for axis in axes):
            raise ValueError("data.mixed_lengths=true: must be false for n-grams, whose batches share one difficulty")
        length, context = (int(axis[0]) for axis in axes)
        _check_longer(length, context)
        uniform = torch.rand(batch_size, 2**context, generator=generator)
        table = torch.sin(uniform * math.pi / 2) ** 2  # Beta(½, ½) is the arcsine law, and this its inverse
        return self.layout(_emit(table, torch.rand(batch_size, length, generator=generator)), context)

    def layout(self, bits: Tensor, context: int) -> Batch:
        """The batch of given bits (B, length)."""
        inputs, targets = bits[:, :-1, None], bits[:, 1:, None]
        steps = torch.arange(inputs.shape[1])
        mask = (steps >= context - 1).repeat(len(bits), 1)
        return Batch(inputs, targets, mask, torch.full((len(bits),), len(steps)))

    def scene(self, batch: Batch) -> Scene:
        return Scene([Phase(0, batch.mask.shape[1], "guesses every next bit")])

    def solve(self, batch: Batch) -> Tensor:
        """Equation 10: P(1) = (N₁ + ½) / (N₁ + N₀ + 1), if N₁ ones and N₀ zeros have followed this context so far."""
        first = int(batch.mask[0].int().argmax())  # P predictions, from this step on
        bits = batch.inputs.squeeze(-1)  # (B, T)
        context = _number(bits.unfold(1, first + 1, 1))  # (B, P)
        here = one_hot(context, 2 ** (first + 1)).to(bits.dtype)  # (B, P, contexts)
        followed = pad(bits[:, first + 1 :], (0, 1))  # (B, P) the next bit; the last one is neither known nor used
        counted = torch.stack([here, here * followed[..., None]])  # (2, B, P, contexts)
        before = counted.cumsum(2) - counted
        total, ones = (before * here).sum(-1)  # (B, P) each
        probability = torch.full_like(bits, 0.5)
        probability[:, first:] = (ones + 0.5) / (total + 1)
        return probability[..., None]


def _emit(table: Tensor, uniform: Tensor) -> Tensor:
    """Bits (B, length) of the sources with these probabilities (B, contexts), from uniform numbers (B, length)."""
    context = table.shape[1].bit_length() - 1
    bits = (uniform < 0.5).to(table.dtype)
    for step in range(context, uniform.shape[1]):
        number = _number(bits[:, step - context : step])
        bits[:, step] = uniform[:, step] < table.gather(1, number[:, None]).squeeze(1)
    return bits


def _number(bits: Tensor) -> Tensor:
    """Contexts (..., context) read as binary numbers (...), int64."""
    places = 2 ** torch.arange(bits.shape[-1], device=bits.device)
    return (bits.to(torch.int64) * places).sum(-1)


def _check_longer(length: int, context: int) -> None:
    if length <= context:
        raise ValueError(f"task.length={length}: must exceed task.context={context}")
