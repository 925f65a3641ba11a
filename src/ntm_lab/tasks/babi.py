"""bAbI: questions about short stories, from a user's own copy of the publishers' files."""

import copy
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from ntm_lab.checks import at_least, number, one_of, switch
from ntm_lab.tasks.answers import Symbols
from ntm_lab.tasks.base import BaseTask
from ntm_lab.tasks.stories import ASKED, LONGEST, QUESTIONS, TASKS, WORDS, Stories, Story, laid_out, read
from ntm_lab.types import Batch, Difficulty, Phase, Scene

STEPS = ("words", "sentences")
MOST = {4: 1, 15: 4, 16: 1, 17: 8, 18: 9, 19: 1, 20: 12}  # questions of a story; 5 in all other tasks


class Babi(BaseTask):
    """bAbI (Weston et al. 2015, arXiv 1502.05698): 20 tasks of questions about stories, answered in one or more words.

    Difficulty: ``questions`` Q; a story ends after its first Q questions. A step is a word or a sign, one-hot of 159
    (B, T, 159); after a question comes a ``-`` for every word of its answer, the step at which that word is asked for.
    Targets (B, T, 1) are the numbers of those words:

        step    0     1     2   3    4        5  6      7   8     9  10
        input   mary  went  to  the  kitchen  .  where  is  mary  ?  -
        target                                                       kitchen
        scored  .     .     .   .    .        .  .      .   .     .  x

    With ``steps=sentences`` a step is a sentence, (B, T, 13 · 159): one word at each place, and a question
    together with its first ``-``. A model without an encoder for places sees them as one long vector.

    A ``pause`` of P gives a model P more steps between a question and its answer, with a ``?`` in each of them, to look
    up one thing after the other: at a step a sentence it must otherwise answer with what a single read brings.

    A training batch has stories of all tasks, with equal probability, and of similar length: ``pool`` batches are drawn
    together and sorted by length, and one of the resulting batches is kept at random. Validation uses other stories of
    the same file, none of which equals one of training word by word. A test has every story of the test file once.

    Targets at steps that are not scored hold the index of the story's task in ``tasks``, for `groups`.

    Args:
        root: the folder ``tasks_1-20_v1-2``, or one that holds it. It is read when sequences are first needed.
        version: ``en-10k`` or ``en``, which has a tenth of the training stories.
        tasks: their numbers, 1 to 20, in one model.
        steps: ``words`` or ``sentences``.
        pause: further steps before an answer, 0 as published.
        validation: the share of the different training stories that is for validation, by the lowest SHA-256.
        pool: batches drawn to make one.
        partial: read files that have fewer questions than the publishers'.
    """

    title = "bAbI"

    def __init__(
        self,
        root: str | Path | None,
        version: str = "en-10k",
        tasks: Sequence[int] = TASKS,
        steps: str = "words",
        pause: int = 0,
        validation: float = 0.1,
        pool: int = 8,
        partial: bool = False,
    ) -> None:
        self.root = root
        self.version = one_of("task.version", version, QUESTIONS)
        self.tasks = _checked_tasks(tasks)
        self.by_sentence = one_of("task.steps", steps, STEPS) == "sentences"
        self.pause = at_least("task.pause", pause, 0)
        self.validation = number("task.validation", validation, lambda share: 0 < share < 1, "between 0 and 1")
        self.pool = at_least("task.pool", pool, 1)
        self.partial = switch("task.partial", partial)
        self.part: str | None = None  # None draws from the whole training file
        self.answer = Symbols(len(WORDS))
        self.input_size = (LONGEST if self.by_sentence else 1) * len(WORDS)
        self.ranges = {"questions": (1, max(MOST.get(task, 5) for task in self.tasks))}

    def grow(self, value: int) -> int:
        return 2 * value

    def rungs(self, count: int) -> list[Difficulty]:
        """1, 2, 4, … questions, the steps of a curriculum, up to all of them; the last ``count`` of these."""
        points: list[Difficulty] = [{"questions": 1}]
        while points[-1] != self.harder(points[-1]):
            points.append(self.harder(points[-1]))
        return points[-count:]

    def split(self, part: str) -> Self:
        super().split(part)
        task = copy.copy(self)
        task.part = part
        return task

    @property
    def _stories(self) -> "Part":
        settings = self.by_sentence, self.pause, self.validation, self.partial
        return _part(self.root, self.version, self.tasks, *settings, self.part)

    def draw(self, batch_size: int, difficulty: Mapping[str, int | Tensor], generator: torch.Generator) -> Batch:
        (questions,) = self.expand(difficulty, batch_size)
        part = self._stories
        if self.part in ("validation", "testing"):
            return self._batch(part.spread(batch_size, generator), questions)
        alike = bool((questions == questions[0]).all())  # only then can stories change places
        pool = self.pool if alike and self.part == "training" else 1
        numbers = part.choose(pool * batch_size, generator)
        if pool > 1:
            in_order = numbers[part.lengths(numbers, questions[0]).argsort(stable=True)]
            numbers = in_order.view(pool, batch_size)[int(torch.randint(pool, (), generator=generator))]
        return self._batch(numbers, questions)

    def stored(self, difficulty: Difficulty) -> Tensor:
        (questions,) = self.expand(difficulty, 1)
        part = self._stories
        return part.lengths(torch.arange(len(part.stories.starts)), questions)

    def take(self, numbers: Tensor, difficulty: Difficulty) -> Batch:
        (questions,) = self.expand(difficulty, len(numbers))
        return self._batch(numbers, questions)

    def _batch(self, numbers: Tensor, questions: Tensor) -> Batch:
        """The stories of these numbers (B,), each to the end of its first questions (B,)."""
        part = self._stories
        lengths = part.lengths(numbers, questions)
        steps = torch.arange(int(lengths.max()))
        exists = steps < lengths[:, None]  # (B, T)
        at = torch.where(exists, part.stories.starts[numbers][:, None] + steps, 0)
        words = part.stories.words[at] * exists[..., None]  # (B, T, P)
        answers = part.stories.answers[at] * exists
        return self.layout(words.long(), answers.long(), part.task_of(numbers), lengths)

    def layout(self, words: Tensor, answers: Tensor, tasks: Tensor, lengths: Tensor) -> Batch:
        """The batch of given words (B, T, P), answers (B, T), 0 for none, and indices of their tasks (B,)."""
        places = torch.zeros(*words.shape, len(WORDS))  # (B, T, P, 159)
        places.scatter_(-1, (words - 1).clamp(min=0)[..., None], (words > 0).float()[..., None])
        mask = answers > 0  # (B, T)
        unscored = tasks[:, None] * (torch.arange(words.shape[1]) < lengths[:, None])
        return Batch(places.flatten(-2), torch.where(mask, answers - 1, unscored)[..., None], mask, lengths)

    def scene(self, batch: Batch) -> Scene:
        """A phase is a sentence; a step of several words has them all."""
        length = int(batch.lengths[0])
        places = batch.inputs[0, :length].unflatten(-1, (-1, len(WORDS)))  # (T, P, 159)
        words = [" ".join(WORDS[word] for _, word in step.nonzero().tolist()) for step in places]
        ends = [
            step + 1
            for step, word in enumerate(words)
            if word.endswith((".", ASKED)) and not (step + 1 < length and words[step + 1] == ASKED)
        ]
        starts = [0, *ends]
        phases = [
            Phase(start, end, str(number)) for number, (start, end) in enumerate(zip(starts, ends, strict=False), 1)
        ]
        return Scene(phases, words=words, symbols=WORDS)

    def solve(self, batch: Batch) -> Tensor:
        """The answers (B, T, 159) with certainty, taken from the targets."""
        return one_hot(batch.targets.squeeze(-1), len(WORDS)).float()

    def groups(self, batch: Batch) -> dict[str, Tensor]:
        """By task, ``babi_01``, …, and by the number of the question in its story, ``question_01``, …"""
        mask = batch.mask
        goes_on = mask & pad(mask, (1, -1)) & (batch.inputs[..., WORDS.index(ASKED)] > 0)  # a further word of an answer
        ends = mask & ~pad(goes_on, (-1, 1))
        task = batch.targets.squeeze(-1).masked_fill(mask, -1).max(1, keepdim=True).values  # (B, 1)
        question = (mask & ~goes_on).cumsum(1)  # (B, T)
        by_task = {f"babi_{number:02d}": ends & (task == place) for place, number in enumerate(self.tasks)}
        most = int(question.max()) if question.numel() else 0
        return by_task | {f"question_{count:02d}": ends & (question == count) for count in range(1, most + 1)}

    def overlap(self, difficulty: Difficulty, drawn: int) -> float:
        """The fraction of the test stories that occur word by word among the training stories, drawn or not.

        It is large for task 4: 741 of its 1,000 test stories occur in its training file.
        """
        training = {*self.split("training")._texts(difficulty)}
        tested = self.split("testing")._texts(difficulty)
        return sum(text in training for text in tested) / len(tested)

    def _texts(self, difficulty: Difficulty) -> list[bytes]:
        """The words and answers of every story."""
        stories, lengths = self._stories.stories, self.stored(difficulty).tolist()
        steps = torch.cat((stories.words, stories.answers[:, None]), 1).numpy()
        starts = stories.starts.tolist()
        return [steps[start : start + length].tobytes() for start, length in zip(starts, lengths, strict=True)]


class Part(NamedTuple):
    """The stories of training, validation or testing, task by task."""

    stories: Stories
    firsts: Tensor  # (tasks,) int64, the number of each task's first story
    counts: Tensor  # (tasks,) int64, of its stories

    def choose(self, count: int, generator: torch.Generator) -> Tensor:
        """Numbers of stories (count,): a task at random, then one of its stories."""
        task = torch.randint(len(self.counts), (count,), generator=generator)
        return self.firsts[task] + (torch.rand(count, generator=generator) * self.counts[task]).long()

    def spread(self, count: int, generator: torch.Generator) -> Tensor:
        """Numbers of stories (count,): one of each task in turn, in random order, none twice before all have come."""
        orders = [torch.randperm(size, generator=generator) for size in self.counts.tolist()]
        turns = torch.arange(count)
        tasks, turns = turns % len(orders), turns // len(orders)
        return torch.tensor(
            [
                int(self.firsts[task] + orders[task][turn % len(orders[task])])
                for task, turn in zip(tasks.tolist(), turns.tolist(), strict=True)
            ]
        )

    def lengths(self, numbers: Tensor, questions: Tensor) -> Tensor:
        """Steps of stories (B,) to the end of their first questions ()/(B,); all steps where they have fewer."""
        return self.stories.ends[numbers, questions.clamp(max=self.stories.ends.shape[1]) - 1]

    def task_of(self, numbers: Tensor) -> Tensor:
        """The indices of the stories' tasks (B,)."""
        return torch.searchsorted(self.firsts, numbers, right=True) - 1


@cache
def _part(
    root: str | Path | None,
    version: str,
    tasks: tuple[int, ...],
    by_sentence: bool,
    pause: int,
    validation: float,
    partial: bool,
    part: str | None,
) -> Part:
    of_tasks: list[Sequence[Story]] = []
    for task in tasks:
        stories = read(root, version, task, "test" if part == "testing" else "train", partial)
        if part in ("training", "validation"):
            stories = _apart(stories, validation, part)
        of_tasks.append(stories)
    counts = torch.tensor([len(stories) for stories in of_tasks])
    joined = [story for stories in of_tasks for story in stories]
    return Part(laid_out(joined, by_sentence, pause), counts.cumsum(0) - counts, counts)


def _apart(stories: Sequence[Story], share: float, part: str) -> tuple[Story, ...]:
    """The stories of training or validation; equal stories are all in the same part."""
    keys = [story.key for story in stories]
    different = sorted(set(keys))
    kept = set(different[: max(1, round(share * len(different)))])
    chosen = tuple(story for story, key in zip(stories, keys, strict=True) if (key in kept) == (part == "validation"))
    if not chosen:
        raise ValueError(f"task.validation={share}: leaves no story for training, of {len(different)} different ones")
    return chosen


def _checked_tasks(tasks: Sequence[int]) -> tuple[int, ...]:
    """The numbers of the tasks; ValueError unless they are different ones from 1 to 20."""
    given = list(tasks) if isinstance(tasks, Sequence) and not isinstance(tasks, str) else tasks
    if not isinstance(given, list) or not given or {type(task) for task in given} != {int}:
        raise ValueError(f"task.tasks={given}: must be a list of numbers of tasks, such as [1,6,9]")
    if len(set(given)) < len(given) or not set(given) <= set(TASKS):
        raise ValueError(f"task.tasks={given}: must be different numbers from 1 to 20")
    return tuple(given)
