"""Regular languages: what a finite automaton can answer."""

import torch
from torch import Tensor

from ntm_lab.tasks.languages.base import Language, bits

MODULUS = 5


class Parity(Language):
    """Whether the number of 1s in a word of bits is odd."""

    symbols, answers = 2, 2

    def words(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        return bits(count, length, generator)

    def respond(self, words: Tensor) -> Tensor:
        return words.sum(1, keepdim=True) % 2


class EvenPairs(Parity):
    """Whether the number of pairs 01 and 10 in a word of bits is odd, which is so if its ends differ."""

    def respond(self, words: Tensor) -> Tensor:
        return (words[:, :1] != words[:, -1:]).long()


class CycleNavigation(Language):
    """Where one ends on a circle of 5 places after steps from place 0: symbol 0 is one back, 1 none, 2 one forth."""

    symbols, answers = 3, MODULUS

    def words(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        return bits(count, length, generator, 3)

    def respond(self, words: Tensor) -> Tensor:
        return (words - 1).sum(1, keepdim=True) % MODULUS


class ModularArithmetic(Language):
    """The value modulo 5 of numbers joined by +, −, ·, as 1 + 2 · 3 = 2; products first.

    Symbols 0 to 4 are the numbers, 5, 6, 7 the operators. A word has an odd number of symbols, so one of an even
    length is one shorter.
    """

    symbols, answers = MODULUS + 3, MODULUS

    def words(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        words = bits(count, length - (length % 2 == 0), generator, MODULUS)
        words[:, 1::2] = MODULUS + torch.randint(3, words[:, 1::2].shape, generator=generator)
        return words

    def respond(self, words: Tensor) -> Tensor:
        total, term = torch.zeros_like(words[:, 0]), words[:, 0]
        for operator, number in zip(words[:, 1::2].T - MODULUS, words[:, 2::2].T, strict=True):
            product = operator == 2
            total = torch.where(product, total, total + term)
            term = torch.where(product, term * number, torch.where(operator == 1, -number, number)) % MODULUS
        return ((total + term) % MODULUS).unsqueeze(1)
