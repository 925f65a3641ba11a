"""Context-sensitive languages: what an automaton with a tape as long as the word can answer."""

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from ntm_lab.tasks.base import source
from ntm_lab.tasks.languages.base import Language, bits, padded

HIDDEN, NOTHING = 2, 3
OPERATOR, END = 2, 2


class Duplicate(Language):
    """A word of bits, twice."""

    symbols, answers = 2, 2

    def words(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        return bits(count, length, generator)

    def respond(self, words: Tensor) -> Tensor:
        return words.repeat(1, 2)


class OddsFirst(Duplicate):
    """The first, third, fifth, … bits of a word, then the second, fourth, …"""

    def respond(self, words: Tensor) -> Tensor:
        return torch.cat([words[:, ::2], words[:, 1::2]], 1)


class MissingDuplicate(Language):
    """The bit that is hidden, by symbol 2, in a word that is said twice; a word of odd length ends with nothing, 3."""

    symbols, answers = 4, 2
    shortest = 2

    def words(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        words = torch.full((count, length), NOTHING)
        words[:, : length // 2 * 2] = bits(count, length // 2, generator).repeat(1, 2)
        hidden = torch.randint(length // 2 * 2, (count, 1), generator=generator)
        return words.scatter(1, hidden, HIDDEN)

    def respond(self, words: Tensor) -> Tensor:
        half = words.shape[1] // 2
        hidden = (words == HIDDEN).int().argmax(1, keepdim=True)
        return words.gather(1, (hidden + half) % (2 * half))


class _Arithmetic(Language):
    """Two numbers from 1 on in binary, the lowest digit first, with an operator, 2, between them; an end, 2, follows
    the result. The place of the operator is uniform."""

    symbols, answers = 3, 3
    shortest = 3

    def words(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        draws = source(generator)
        words = []
        for _ in range(count):
            place = draws.randrange(1, length - 1)
            one, other = (draws.randrange(1, 2**digits) for digits in (place, length - 1 - place))
            words.append([*_digits(one, place), OPERATOR, *_digits(other, length - 1 - place)])
        return torch.tensor(words)

    def respond(self, words: Tensor) -> Tensor:
        results = []
        for word in words.tolist():
            place = word.index(OPERATOR)
            result = self.operate(_number(word[:place]), _number(word[place + 1 :]))
            results.append([*_digits(result, result.bit_length()), END])
        return padded(results)

    @abstractmethod
    def operate(self, one: int, other: int) -> int:
        """What the operator makes of two numbers."""


class BinaryAddition(_Arithmetic):
    """The sum of two binary numbers of any length, the lowest digit first, then an end, 2: 01201 is 2 + 2 = 001."""

    def operate(self, one: int, other: int) -> int:
        return one + other


class BinaryMultiplication(_Arithmetic):
    """The product of two binary numbers of any length, the lowest digit first, then an end, 2: 0121 is 2 · 1 = 01."""

    def operate(self, one: int, other: int) -> int:
        return one * other


class SquareRoot(Language):
    """The square root of a binary number from 1 on, rounded down, half as many digits; the highest digit first."""

    symbols, answers = 2, 2

    def words(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        draws = source(generator)
        return torch.tensor([_digits(draws.randrange(1, 2**length), length)[::-1] for _ in range(count)])

    def respond(self, words: Tensor) -> Tensor:
        half = (words.shape[1] + 1) // 2
        return torch.tensor([_digits(math.isqrt(_number(word[::-1])), half)[::-1] for word in words.tolist()])


class BucketSort(Language):
    """The symbols of a word, of 5, in order."""

    symbols, answers = 5, 5

    def words(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        return bits(count, length, generator, 5)

    def respond(self, words: Tensor) -> Tensor:
        return words.sort(1).values


def _digits(number: int, count: int) -> list[int]:
    """The lowest ``count`` binary digits, the lowest first."""
    return [number >> place & 1 for place in range(count)]


def _number(digits: Sequence[int]) -> int:
    return sum(digit << place for place, digit in enumerate(digits))
