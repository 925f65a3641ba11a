"""Every formal language, beside a slow program that answers the same words as text."""

import math
import re
from collections import Counter

import pytest
import torch

from ntm_lab.tasks import languages
from ntm_lab.tasks.languages import Language, ModularArithmetic, Reverse, SolveEquation, StackManipulation

SIGNS = {"ModularArithmetic": "01234+-*", "ModularArithmeticBrackets": "01234+-()", "SolveEquation": "01234+-()x="}


def stack(word: str) -> str:
    height = len(re.match("[01]*", word)[0])
    content = word[:height]
    for action in word[height:]:
        content = content[:-1] if action == "2" else content + {"3": "0", "4": "1"}[action]
    return content[::-1] + "2"


def equation(word: str) -> str:
    left, right = word.split("=")
    return "".join(x for x in "01234" if eval(left.replace("x", x)) % 5 == int(right))


def binary(word: str, operator: str) -> str:
    one, other = word.split("2")
    return f"{eval(f'int({one[::-1]!r}, 2) {operator} int({other[::-1]!r}, 2)'):b}"[::-1] + "2"


def missing(word: str) -> str:
    word = word.rstrip("3")
    half = len(word) // 2
    one, other = word[:half], word[half:]
    return next(b if a == "2" else a for a, b in zip(one, other, strict=True) if "2" in (a, b))


ORACLES = {
    "Parity": lambda word: str(word.count("1") % 2),
    "EvenPairs": lambda word: str((len(re.findall("(?=01)", word)) + len(re.findall("(?=10)", word))) % 2),
    "CycleNavigation": lambda word: str((word.count("2") - word.count("0")) % 5),
    "ModularArithmetic": lambda word: str(eval(word) % 5),
    "Reverse": lambda word: word[::-1],
    "StackManipulation": stack,
    "ModularArithmeticBrackets": lambda word: str(eval(word) % 5),
    "SolveEquation": equation,
    "Duplicate": lambda word: word + word,
    "MissingDuplicate": missing,
    "OddsFirst": lambda word: word[::2] + word[1::2],
    "BinaryAddition": lambda word: binary(word, "+"),
    "BinaryMultiplication": lambda word: binary(word, "*"),
    "SquareRoot": lambda word: f"{max(r for r in range(2**12) if r * r <= int(word, 2)):0{math.ceil(len(word) / 2)}b}",
    "BucketSort": lambda word: "".join(sorted(word)),
}
LONGEST = {"SquareRoot": 23}  # for its slow program

every_language = pytest.mark.parametrize("name", ORACLES)


def make(name: str) -> Language:
    return getattr(languages, name)()


def word_and_answer(task: Language, batch, row: int) -> tuple[str, str]:
    """What is read and what is to be said, as text."""
    symbols = batch.inputs[row, :, :-1]
    read = symbols[symbols.any(1)].argmax(1).tolist()
    assert symbols.sum(1).max() == 1 and torch.equal(batch.inputs[row, :, -1].bool(), batch.mask[row])
    signs = SIGNS.get(type(task).__name__, "0123456789")
    return "".join(signs[number] for number in read), "".join(
        map(str, batch.targets[row][batch.mask[row]].flatten().tolist())
    )


def test_every_language_has_a_slow_program() -> None:
    assert {*ORACLES} == {*languages.__all__} - {"Language"}


@every_language
def test_words_are_answered_as_the_slow_program_does(name, generator):
    task = make(name)
    lengths = [*range(task.shortest, 41), *range(41, 500, 57)]
    for length in [length for length in lengths if length <= LONGEST.get(name, 500)]:
        batch = task.sample(4, {"length": length}, generator)
        for row in range(4):
            word, answer = word_and_answer(task, batch, row)
            assert len(word) in (length, length - (length % 2 == 0) * (name == "ModularArithmetic"))
            assert answer == ORACLES[name](word), word
        assert torch.equal(batch.mask.sum(1) + (batch.inputs[..., :-1].sum((1, 2))), batch.lengths)


@every_language
def test_the_solution_answers_words_of_mixed_lengths(name, generator):
    task = make(name)
    length = torch.tensor([task.shortest, 20, 7, 41, 7])
    batch = task.sample(5, {"length": length}, generator)
    unseen = batch._replace(targets=torch.full_like(batch.targets, -7))  # a solution must not look at them
    assert (task.answer.solution_cost(task.solve(unseen), batch.targets, batch.mask) == 0).all()
    task.answer.check(batch.targets, batch.mask)
    assert not batch.inputs[~batch.exists].any() and not batch.mask[~batch.exists].any()


@every_language
def test_answers_are_not_all_alike(name, generator):
    task = make(name)
    batch = task.sample(2000, {"length": 9}, generator)
    said = Counter(batch.targets[batch.mask].flatten().tolist())
    least = 0.05 if name in ("StackManipulation", "BinaryAddition", "BinaryMultiplication") else 0.8 / task.answers
    assert min(said[symbol] for symbol in range(task.answers)) > least * said.total()


def test_the_drawing_in_the_docstring_is_true(draw):
    batch = Reverse().layout(torch.tensor([[0, 1, 1]]))
    shown = batch._replace(targets=Reverse().answer.image_of_targets(batch.targets) * batch.mask[..., None])
    assert draw(shown, ["symbol 0", "symbol 1", "ask"], ["symbol 0", "symbol 1"]) in "\n".join(
        line[4:] for line in Language.__doc__.splitlines()
    )


def test_the_height_of_a_stack_is_uniform(generator):
    words = StackManipulation().words(5000, 6, generator)
    actions = (words >= 2).sum(1)  # from 1 to 5
    assert (actions.bincount(minlength=6)[1:] / 5000 - 0.2).abs().max() < 0.03


def test_products_come_before_sums(generator):
    word = torch.tensor([[1, 5, 2, 7, 3], [4, 6, 2, 7, 4]])  # 1 + 2 · 3, 4 − 2 · 4
    assert ModularArithmetic().respond(word).tolist() == [[2], [1]]


def test_every_number_of_an_equation_may_be_hidden(generator):
    words = SolveEquation().words(3000, 7, generator)  # (a+b)=c and the like
    places = (words == languages.context_free.SIGNS.index("x")).float().argmax(1).bincount(minlength=7) / 3000
    assert places[1] > 0.3 and places[3] > 0.3


@pytest.mark.parametrize("name, lengths", [("SolveEquation", [2, 40]), ("MissingDuplicate", [1, 40])])
def test_words_that_are_too_short_are_refused(name, lengths):
    with pytest.raises(ValueError, match=r"task\.lengths=.*: must be at least [23]"):
        getattr(languages, name)(lengths)
