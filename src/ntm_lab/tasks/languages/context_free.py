"""Deterministic context-free languages: what an automaton with a stack can answer."""

import random
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ntm_lab.tasks.base import checked_integer, source
from ntm_lab.tasks.languages.base import Language, bits, padded
from ntm_lab.tasks.languages.regular import MODULUS

SIGNS = "01234+-()x="  # of expressions and equations, by number
POP, END = 2, 2


class Reverse(Language):
    """A word, of bits or of more symbols, from its end to its beginning."""

    def __init__(self, lengths: Sequence[int] | None = None, symbols: int = 2) -> None:
        self.symbols = self.answers = checked_integer("symbols", symbols, 2)
        super().__init__(lengths)

    def words(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        return bits(count, length, generator, self.symbols)

    def respond(self, words: Tensor) -> Tensor:
        return words.flip(1)


class StackManipulation(Language):
    """What is left of a stack of bits, from its top to its bottom, and then an end, 2.

    The word is the stack from its bottom to its top, and what is done to it: symbol 2 pops (nothing, if the stack is
    empty), 3 pushes a 0, 4 a 1. The stack's height is uniform from 1 to L − 1; one symbol alone is a stack.
    """

    symbols, answers = 5, 3

    def words(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        height = torch.randint(1, max(length, 2), (count, 1), generator=generator)
        stack, actions = bits(count, length, generator), POP + bits(count, length, generator, 3)
        return torch.where(torch.arange(length) < height, stack, actions)

    def respond(self, words: Tensor) -> Tensor:
        return padded([self._left(word) for word in words.tolist()])

    def _left(self, word: Sequence[int]) -> list[int]:
        stack: list[int] = []
        for symbol in word:
            if symbol < POP:
                stack.append(symbol)
            elif symbol > POP:
                stack.append(symbol - POP - 1)
            elif stack:
                stack.pop()
        return [*reversed(stack), END]


class ModularArithmeticBrackets(Language):
    """The value modulo 5 of an expression with brackets, as ((1+3)-(-2)) = 1.

    An expression of 1, 2, 3, 4 symbols is n, -n, (n), (-n) for a number n from 0 to 4; a longer one is (a+b) or (a-b),
    with the length of a uniform. Symbols are numbered as in ``01234+-()``.
    """

    symbols, answers = SIGNS.index("x"), MODULUS

    def words(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        draws = source(generator)
        return padded([_numbers(_expression(length, draws)) for _ in range(count)])

    def respond(self, words: Tensor) -> Tensor:
        return torch.tensor([[_value(_text(word))] for word in words.tolist()])


class SolveEquation(Language):
    """The x from 0 to 4 for which an equation such as (3-(x+1))=4 holds modulo 5.

    The left side is an expression as of `ModularArithmeticBrackets` with one number, each equally likely, hidden.
    """

    symbols, answers = len(SIGNS), MODULUS
    shortest = 3

    def words(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        draws = source(generator)
        return padded([_numbers(_equation(length, draws)) for _ in range(count)])

    def respond(self, words: Tensor) -> Tensor:
        return torch.tensor([[_solution(_text(word))] for word in words.tolist()])


def _numbers(text: str) -> list[int]:
    return [SIGNS.index(sign) for sign in text]


def _text(numbers: Sequence[int]) -> str:
    return "".join(SIGNS[number] for number in numbers)


def _expression(length: int, draws: random.Random) -> str:
    """An expression of this length; from left to right, with a list of what is still to be written."""
    written: list[str] = []
    todo: list[int | str] = [length]
    while todo:
        part = todo.pop()
        if isinstance(part, str):
            written.append(part)
        elif part < 5:
            number = draws.randrange(MODULUS)
            written.append(("{}", "-{}", "({})", "(-{})")[part - 1].format(number))
        else:
            left = draws.randrange(1, part - 3)
            todo += [")", part - 3 - left, draws.choice("+-"), left, "("]
    return "".join(written)


def _equation(length: int, draws: random.Random) -> str:
    expression = _expression(length - 2, draws)
    hidden = draws.choice([place for place, sign in enumerate(expression) if sign.isdigit()])
    return f"{expression[:hidden]}x{expression[hidden + 1 :]}={_value(expression)}"


def _value(expression: str) -> int:
    """Modulo 5: the sum of its numbers, each with the sign that the brackets around it and the operators give it."""
    return sum(sign * int(number) for sign, number in _signed(expression)) % MODULUS


def _solution(equation: str) -> int:
    """The sign of x and the value of the rest decide."""
    left, right = equation.split("=")
    terms = [*_signed(left)]
    ((of_x, _),) = [term for term in terms if term[1] == "x"]
    rest = sum(sign * int(number) for sign, number in terms if number != "x")
    return of_x * (int(right) - rest) % MODULUS


def _signed(expression: str) -> Iterator[tuple[int, str]]:
    """The numbers of an expression, each with its sign, 1 or -1."""
    outside, sign = [1], 1  # of the brackets that are open, and of what comes next
    for symbol in expression:
        if symbol == "(":
            outside.append(sign)
        elif symbol == ")":
            outside.pop()
        elif symbol in "+-":
            sign = sign if symbol == "+" else -sign
            continue
        else:
            yield sign, symbol
        sign = outside[-1]
