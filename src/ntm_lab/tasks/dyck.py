"""Dyck languages: brackets of several kinds that open and close in the right order."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ntm_lab.checks import one_of
from ntm_lab.tasks.answers import Bits
from ntm_lab.tasks.base import EvenTask, checked_integer, checked_range, source
from ntm_lab.types import Batch, Difficulty

ASKED = ("prediction", "recognition")


class Dyck(EvenTask):
    """Dyck-k: words of k kinds of brackets, nested at most ``depth`` deep.

    Difficulty: ``length``, of the word; an odd one is one shorter. Inputs (B, T, 2k), the k opening brackets, then the
    k closing ones, one-hot. ``asked``:

    - ``prediction`` (Suzgun et al. 2019, arXiv 1911.03329): after every symbol, which symbols may come next, 2k bits,
      and whether the word may end, one bit more. A bracket may open where fewer than `depth` are open.
    - ``recognition``: after every symbol, whether what has been read is a whole word, one bit. Half of the words have
      one bracket, at a random place, exchanged for another.

    All steps are scored.
    """

    def __init__(
        self, lengths: Sequence[int] = (2, 40), kinds: int = 2, depth: int = 8, asked: str = "prediction"
    ) -> None:
        self.ranges = {"length": checked_range("lengths", lengths, 2)}
        self.kinds = checked_integer("kinds", kinds)
        self.depth = checked_integer("depth", depth)
        self.asked = one_of("task.asked", asked, ASKED)
        self.input_size = 2 * kinds
        self.answer = Bits(2 * kinds + 1 if asked == "prediction" else 1)

    def draw_even(self, count: int, difficulty: Difficulty, generator: torch.Generator) -> Batch:
        length = difficulty["length"] // 2 * 2
        if not length:
            raise ValueError("difficulty length=1: must be at least 2")
        draws = source(generator)
        words = []
        for _ in range(count):
            word: list[int] = []
            opened: list[int] = []
            while len(word) < length:
                left = length - len(word)
                may_open = len(opened) < min(self.depth, left - 1)
                if may_open and (not opened or draws.random() < 0.5):
                    opened.append(draws.randrange(self.kinds))
                    word.append(opened[-1])
                else:
                    word.append(self.kinds + opened.pop())
            if self.asked == "recognition" and draws.random() < 0.5:
                place = draws.randrange(length)
                word[place] = (word[place] + draws.randrange(1, self.input_size)) % self.input_size
            words.append(word)
        return self.layout(torch.tensor(words))

    def layout(self, words: Tensor) -> Batch:
        """The batch of words (B, T) of one length."""
        mask = torch.ones_like(words, dtype=torch.bool)
        inputs = one_hot(words, self.input_size).float()
        return Batch(inputs, self._answers(words.tolist()), mask, torch.full((len(words),), words.shape[1]))

    def solve(self, batch: Batch) -> Tensor:
        rows = zip(batch.inputs.argmax(2).tolist(), batch.lengths.tolist(), strict=True)
        answers = torch.zeros(*batch.mask.shape, self.answer.size)
        for row, (word, end) in enumerate(rows):
            answers[row, :end] = self._answers([word[:end]])[0]
        return answers

    def _answers(self, words: Sequence[Sequence[int]]) -> Tensor:
        answers = torch.zeros(len(words), len(words[0]), self.answer.size)
        for row, word in enumerate(words):
            opened: list[int] | None = []  # None: the word cannot be completed any more
            for step, symbol in enumerate(word):
                if opened is not None and symbol < self.kinds:
                    opened = [*opened, symbol] if len(opened) < self.depth else None
                elif opened is not None:
                    opened = opened[:-1] if opened[-1:] == [symbol - self.kinds] else None
                answers[row, step] = self._answer(opened)
        return answers

    def _answer(self, opened: list[int] | None) -> Tensor:
        whole = opened == []
        if self.asked == "recognition":
            return torch.tensor([float(whole)])
        allowed = torch.zeros(self.answer.size)
        if opened is not None:
            allowed[: self.kinds] = float(len(opened) < self.depth)
            allowed[-1] = float(whole)
            if opened:
                allowed[self.kinds + opened[-1]] = 1
        return allowed
