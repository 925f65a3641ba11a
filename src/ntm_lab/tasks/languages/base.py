"""What the formal languages share: a word is read, then an answer is said, symbol by symbol."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ntm_lab.tasks.answers import Symbols
from ntm_lab.tasks.base import EvenTask, add_channels, checked_range, take
from ntm_lab.types import Batch, Difficulty


class Language(EvenTask):
    """A task of Delétang et al. 2022 (arXiv 2207.02098, appendix A.1): read a word, then say what is asked of it.

    Difficulty: ``length`` L of the word. Each of its symbols is one-hot on one of K channels; on one more channel a 1
    asks for each symbol of the answer. Inputs are (B, T, K + 1), targets (B, T, 1), the numbers of the symbols to be
    said; only those steps are scored. The word 0 1 1, to be said in reverse:

        step             0  1  2  3  4  5
        input  symbol 0  1  .  .  .  .  .
               symbol 1  .  1  1  .  .  .
               ask       .  .  .  1  1  1
        target symbol 0  .  .  .  .  .  1
               symbol 1  .  .  .  1  1  .
        scored           .  .  .  x  x  x

    A subclass says how words are drawn and what is answered. The paper trains on lengths 1 to 40 and tests on 41 to
    500; every length of a range is drawn equally often.
    """

    symbols: int  # K, of words
    answers: int  # of the answer
    shortest = 1  # a word

    def __init__(self, lengths: Sequence[int] | None = None) -> None:
        given = (self.shortest, 40) if lengths is None else lengths
        self.ranges = {"length": checked_range("lengths", given, self.shortest)}
        self.input_size = self.symbols + 1
        self.answer = Symbols(self.answers)

    @abstractmethod
    def words(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        """Words, (count, length) int64; one symbol shorter where there are none of this length."""

    @abstractmethod
    def respond(self, words: Tensor) -> Tensor:
        """The answers to words of one length (count, length): (count, A) int64, -1 past an answer's end."""

    def expand(self, difficulty: Mapping[str, int | Tensor], batch_size: int, least: int = 1) -> list[Tensor]:
        return super().expand(difficulty, batch_size, max(least, self.shortest))

    def draw_even(self, count: int, difficulty: Difficulty, generator: torch.Generator) -> Batch:
        return self.layout(self.words(count, difficulty["length"], generator))

    def layout(self, words: Tensor) -> Batch:
        """The batch of given words (B, L) int64, -1 past the end of each."""
        answers = self._answers(words)
        start = (words >= 0).sum(1, keepdim=True)  # (B, 1)
        end = start + (answers >= 0).sum(1, keepdim=True)
        steps = torch.arange(int(end.max()))  # (T,)
        mask = (steps >= start) & (steps < end)  # (B, T)
        symbols = one_hot(words.clamp(min=0), self.symbols).float()
        inputs = add_channels(take(symbols, steps, steps < start), mask)
        return Batch(inputs, take(answers[..., None], steps - start, mask), mask, end.squeeze(1))

    def solve(self, batch: Batch) -> Tensor:
        symbols = batch.inputs[..., : self.symbols]
        words = torch.where(symbols.any(-1), symbols.argmax(-1), -1)
        steps = torch.arange(batch.mask.shape[1], device=words.device)
        start = (words >= 0).sum(1, keepdim=True)
        chosen = one_hot(self._answers(words).clamp(min=0), self.answers).float()
        return take(chosen, steps - start, batch.mask)

    def _answers(self, words: Tensor) -> Tensor:
        """The answers (B, A) to words (B, L) of different lengths; both are -1 past the end of each."""
        length = (words >= 0).sum(1)
        parts = {value: self.respond(words[length == value, :value]) for value in length.unique().tolist()}
        answers = words.new_full((len(words), max(part.shape[1] for part in parts.values())), -1)
        for value, part in parts.items():
            answers[length == value, : part.shape[1]] = part
        return answers


def bits(count: int, length: int, generator: torch.Generator, symbols: int = 2) -> Tensor:
    """Words of equally likely symbols, (count, length) int64."""
    return torch.randint(symbols, (count, length), generator=generator)


def padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Rows of different lengths as one tensor, (count, longest) int64, -1 past the end of each."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[-1] * (longest - len(row))] for row in rows]).view(len(rows), longest)
