"""Read the files of bAbI, in their publishers' layout, into the numbers of their words."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

ASKED = "-"  # stands where a word of an answer is asked for
WORDS = tuple(
    f"""{ASKED} . ?
    a above afraid after afternoon afterwards and antoine apple are back bathroom bedroom before below bernhard bigger
    bill blue bored box brian carrying cat cats chest chocolate chocolates cinema color container daniel did discarded
    do does down dropped e east either emily evening fit fits following football fred frog from garden gave gertrude get
    give go got grabbed gray green greg hallway handed he how hungry in inside is jason jeff jessica john journeyed
    julie julius kitchen left lily lion longer many mary maybe mice milk morning mouse moved n no none north not nothing
    objects of office one or pajamas park passed picked pink put received rectangle red rhino right s sandra school she
    sheep south sphere square suitcase sumit swan than that the then there they thirsty this three tired to took
    travelled triangle two up w was went west what where white who why will winona wolf wolves yann yellow yes yesterday
    you""".split()
)
"""The 156 words of all tasks and three signs, so that a model of some tasks is of the same form as one of all."""
NUMBERS = {word: number for number, word in enumerate(WORDS, 1)}  # 0 is no word
LONGEST = 13  # words of a sentence, signs included
TASKS = range(1, 21)
QUESTIONS = {"en": {"train": 1_000, "test": 1_000}, "en-10k": {"train": 10_000, "test": 1_000}}  # of every task
PUBLISHED = "tasks_1-20_v1-2"  # the name of the archive, and of the folder in it


class Story(NamedTuple):
    """Sentences, and the words that answer the questions among them."""

    sentences: list[tuple[int, ...]]  # the numbers of their words
    answers: list[tuple[int, ...]]  # empty after a statement

    @property
    def key(self) -> bytes:
        """A hash: stories with the same words have the same key."""
        return hashlib.sha256(repr(tuple(self)).encode()).digest()


class Stories(NamedTuple):
    """Stories one after the other: S steps in all, of P words each, where story n begins at step ``starts[n]``."""

    words: Tensor  # (S, P) uint8, numbers of words; 0 is none
    answers: Tensor  # (S,) uint8, the word that is asked for; 0 where none is
    starts: Tensor  # (N,) int64
    ends: Tensor  # (N, Q) int64, steps to the end of the answer to the first, second, … question; all after the last


def laid_out(stories: Sequence[Story], by_sentence: bool, pause: int = 0) -> Stories:
    """The steps of stories: a word each; or a sentence each, a question together with the first ``-``.

    A ``pause`` puts that many steps with a ``?`` before the first ``-``.
    """
    words: list[tuple[int, ...]] = []
    answers: list[int] = []
    starts: list[int] = []
    ends: list[list[int]] = []
    for story in stories:
        starts.append(len(words))
        ends.append([])
        for sentence, answer in zip(*story, strict=True):
            after = [(NUMBERS["?"],)] * (pause if answer else 0) + [(NUMBERS[ASKED],)] * len(answer)
            before = [sum(after[:1], sentence)] if by_sentence else [(word,) for word in sentence] + after[:1]
            steps = before + after[1:]
            words += steps
            answers += (0,) * (len(steps) - len(answer)) + answer
            if answer:
                ends[-1].append(len(words) - starts[-1])
    width, most = LONGEST if by_sentence else 1, max(map(len, ends))
    filled = bytes(chain.from_iterable(step + (0,) * (width - len(step)) for step in words))
    return Stories(
        torch.frombuffer(bytearray(filled), dtype=torch.uint8).view(-1, width),
        torch.tensor(answers, dtype=torch.uint8),
        torch.tensor(starts),
        torch.tensor([end + end[-1:] * (most - len(end)) for end in ends]),
    )


@cache
def read(root: str | Path | None, version: str, number: int, part: str, partial: bool) -> tuple[Story, ...]:
    """The stories of a task's file, ``train`` or ``test``, in its order.

    Raises ValueError, which names ``task.root``, if there is no such file or it is damaged, and if it has fewer
    questions than the publishers' unless ``partial``.
    """
    file = _file(find(root, version), number, part)
    try:
        stories = tuple(_stories(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"task.root: {file} cannot be read ({error})") from error
    count, whole = sum(bool(answer) for story in stories for answer in story.answers), QUESTIONS[version][part]
    if not stories or (count < whole and not partial):
        allowed = "there must be some" if partial else f"the publishers' has {whole:,}; task.partial=true reads it"
        raise ValueError(f"task.root: {file} has {count:,} questions: {allowed}")
    return stories


def find(root: str | Path | None, version: str) -> Path:
    """The folder of a version, such as ``en-10k``: in the root, or in ``tasks_1-20_v1-2`` in it."""
    if root is not None:
        given = Path(root).expanduser()
        for folder in (given / version, given / PUBLISHED / version):
            if folder.is_dir():
                return folder
    raise ValueError(
        f"task.root={'null' if root is None else root}: must be a folder that holds {version} of bAbI, such as "
        f"{PUBLISHED}, unpacked from the archive of that name"
    )


def _file(folder: Path, number: int, part: str) -> Path:
    files = sorted(folder.glob(f"qa{number}_*_{part}.txt"))
    if len(files) != 1:
        said = "more than one" if files else "no"
        raise ValueError(f"task.root: {folder} has {said} qa{number}_*_{part}.txt, the file of task {number}")
    return files[0]


def _stories(file: Path) -> Iterator[Story]:
    """Every story of a file; ValueError names the line that cannot be one of bAbI."""
    story, last = Story([], []), 0
    for at, line in enumerate(file.read_text(encoding="ascii").splitlines(), 1):
        where = f"task.root: {file}, line {at}"
        number, _, content = line.partition(" ")
        if number == "1" and story.sentences:
            yield _ended(story, file, last)
            story = Story([], [])
        if number != str(len(story.sentences) + 1):
            raise ValueError(f"{where}: begins with {number[:20]!r}, must be {len(story.sentences) + 1}")
        sentence, *told = content.split("\t")
        question = sentence.rstrip().endswith("?")
        if len(told) != 2 * question or not (question or sentence.endswith(".")):
            raise ValueError(f"{where}: must be a statement, or a question with its answer and the lines it rests on")
        try:
            story.sentences.append(_numbers(sentence))
            story.answers.append(_numbers(told[0]) if question else ())
        except KeyError as error:
            raise ValueError(f"{where}: {error} is none of the words of bAbI") from error
        if len(story.sentences[-1]) >= LONGEST:
            raise ValueError(f"{where}: has {len(story.sentences[-1])} words, must have less than {LONGEST}")
        last = at
    if story.sentences:
        yield _ended(story, file, last)


def _ended(story: Story, file: Path, at: int) -> Story:
    if not story.answers[-1]:
        raise ValueError(f"task.root: {file}, line {at}: the story ends without a question; the file is not whole")
    return story


@cache
def _numbers(text: str) -> tuple[int, ...]:
    """The numbers of the words and signs of a sentence, or of the words of an answer; KeyError for an unknown word."""
    return tuple(NUMBERS[word] for word in re.findall(r"[^\s.?,]+|[.?]", text.lower()))
