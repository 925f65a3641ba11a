"""What the page has to know of a task: its settings, for the tasks that it can draw itself, or drawn sequences."""

from typing import Any

import torch
from torch import Tensor

from ntm_lab.tasks import AssociativeRecall, Babi, Bits, Copy, NGrams, OneShot, RepeatCopy, Sort, Symbols
from ntm_lab.tasks.difficulties import hardest, in_words, ladder, seeded
from ntm_lab.tasks.stories import ASKED, WORDS
from ntm_lab.types import Answer, Batch, Task
from ntm_lab.viewer.numbers import Node, tensor

SETTINGS: dict[type[Any], tuple[str, ...]] = {
    Copy: ("bits", "start_code"),
    RepeatCopy: ("bits", "mean", "std"),
    AssociativeRecall: ("rows", "bits"),
    NGrams: (),
    Sort: ("items", "outputs", "bits"),
    OneShot: ("labels",),
}
"""The settings that ``web/tasks.js`` needs to draw and lay out each of these tasks."""

EPISODES, SHOTS = 4, 20  # of images that come with a page
RUNGS, EACH = 4, 2  # difficulties of drawn sequences, and how many of each
STORIES = 8  # of bAbI; more where there are more tasks


def describe_task(task: Task, seed: int = 0) -> Node:
    """The task's kind, settings and ranges; for bAbI and tasks that the page does not know, sequences drawn here."""
    # A page draws one label for an image, not five letters.
    drawn = type(task) in SETTINGS and not (isinstance(task, OneShot) and task.answer.count > 1)
    kind, settings = type(task).__name__, {}
    if isinstance(task, Babi):
        settings = _stories(task, seed)
    elif drawn:
        settings = {name: getattr(task, name) for name in SETTINGS[type(task)]}
        settings |= {"pool": _pool(task, seed)} if isinstance(task, OneShot) else {}
    else:
        kind, settings = "examples", {"title": kind, "examples": _examples(task, seed)}
    return {
        "kind": kind,
        "settings": settings,
        "ranges": {axis: list(ends) for axis, ends in task.ranges.items()},
        "answer": _answer(task.answer),
    }


def _answer(answer: Answer) -> Node:
    if isinstance(answer, Bits):
        return {"kind": "bits"}
    if isinstance(answer, Symbols):
        return {"kind": "symbols", "k": answer.k}
    return {"kind": "reals"}


def _pool(task: OneShot, seed: int) -> Node:
    """Test images, (episodes, ways, shots, pixels) as bytes; an episode of the page takes its classes from one of these
    episodes."""
    images = task.split("testing").images
    shots = min(SHOTS, images.per_class)
    drawn = images.draw(EPISODES, min(task.labels, images.classes), shots, seeded(seed, "page"))
    scale = 16 if torch.equal(drawn * 16, (drawn * 16).round()) else 255  # scikit-learn's digits have 16 grey levels
    return tensor(drawn, scale)


def _stories(task: Babi, seed: int) -> Node:
    """Stories for testing, one of each task in turn, as numbers of words (T, P), 0 for none; and the words."""
    count = max(STORIES, len(task.tasks))
    batch = task.split("testing").sample(count, hardest(task), seeded(seed, "page"))
    places = batch.inputs.unflatten(-1, (-1, len(WORDS)))  # (B, T, P, 159)
    words = torch.where(places.any(-1), places.argmax(-1) + 1, 0)
    stories = []
    for row, length in enumerate(batch.lengths.tolist()):
        mask, targets = batch.mask[row, :length], batch.targets[row, :length]
        stories.append(
            {
                "task": task.tasks[row % len(task.tasks)],
                "words": tensor(words[row, :length], 1),
                "targets": torch.where(mask[:, None], targets, 0).tolist(),
                "mask": mask.tolist(),
            }
        )
    return {"words": list(WORDS), "asked": ASKED, "stories": stories}


def _examples(task: Task, seed: int) -> list[Node]:
    generator = seeded(seed, "page")
    drawn = []
    for difficulty in ladder(task, RUNGS):
        batch = task.split("testing").sample(EACH, dict(difficulty), generator)
        drawn += [_example(batch, row, in_words(difficulty)) for row in range(EACH)]
    return drawn


def _example(batch: Batch, row: int, words: str) -> Node:
    """A sequence without its padding; unscored targets, which may be anything, are 0."""
    length = int(batch.lengths[row])
    inputs, targets, mask, _ = (part[row] for part in batch)
    asked = torch.where(mask.unsqueeze(-1), targets, torch.zeros_like(targets))
    plain = {"targets": asked, "mask": mask}
    return {
        "words": words,
        "inputs": _numbers(inputs[:length]),
        **{name: part[:length].tolist() for name, part in plain.items()},
    }


def _numbers(values: Tensor) -> Node:
    """Whole numbers below 256 as bytes, as most inputs are; others as float32."""
    whole = bool((values == values.clamp(0, 255).round()).all())
    return tensor(values, 1 if whole else None)
