"""What the page has to know of a task: its settings, for the tasks that it can draw by itself, or drawn sequences."""

import base64
from typing import Any

import torch
from torch import Tensor

from ntm_lab.show.description import tensor
from ntm_lab.tasks import AssociativeRecall, Bits, Copy, NGrams, OneShot, RepeatCopy, Sort, Symbols
from ntm_lab.tasks.difficulties import in_words, ladder, seeded
from ntm_lab.types import Answer, Batch, Task

SETTINGS: dict[type[Any], tuple[str, ...]] = {
    Copy: ("bits", "start_code"),
    RepeatCopy: ("bits", "mean", "std"),
    AssociativeRecall: ("rows", "bits"),
    NGrams: (),
    Sort: ("items", "outputs", "bits"),
    OneShot: ("labels",),
}
"""What ``web/tasks.js`` needs of each task that it draws and lays out itself."""

EPISODES, SHOTS = 4, 20  # of images that come with a page
RUNGS, EACH = 4, 2  # difficulties of drawn sequences, and how many of each

Node = dict[str, Any]


def describe_task(task: Task, seed: int = 0) -> Node:
    """The task's kind, settings and ranges; of a task that the page does not know, sequences drawn here."""
    # A page draws one label for an image, not five letters.
    known = type(task) in SETTINGS and not (isinstance(task, OneShot) and task.answer.count > 1)
    settings: Node = {name: getattr(task, name) for name in SETTINGS[type(task)]} if known else {}
    if isinstance(task, OneShot) and known:
        settings["pool"] = _pool(task, seed)
    elif not known:
        settings |= {"title": type(task).__name__, "examples": _examples(task, seed)}
    return {
        "kind": type(task).__name__ if known else "examples",
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
    """Images for testing, (episodes, ways, shots, pixels) as bytes with the scale that makes them: the classes of an
    episode of the page come from one of these episodes."""
    images = task.split("testing").images
    shots = min(SHOTS, images.per_class)
    drawn = images.draw(EPISODES, min(task.labels, images.classes), shots, seeded(seed, "page"))
    scale = 16 if torch.equal(drawn * 16, (drawn * 16).round()) else 255  # scikit-learn's digits have 16 grey levels
    return _bytes(drawn, scale)


def _examples(task: Task, seed: int) -> list[Node]:
    generator = seeded(seed, "page")
    drawn = []
    for difficulty in ladder(task, RUNGS):
        batch = task.split("testing").sample(EACH, dict(difficulty), generator)
        drawn += [_example(batch, row, in_words(difficulty)) for row in range(EACH)]
    return drawn


def _example(batch: Batch, row: int, words: str) -> Node:
    """A sequence without its padding; targets that are not scored, which may be anything, are 0."""
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
    """Whole numbers below 256 as bytes, as most inputs are; others as they are."""
    whole = bool((values == values.clamp(0, 255).round()).all())
    return _bytes(values, 1) if whole else tensor(values)


def _bytes(values: Tensor, scale: int) -> Node:
    plain = (values * scale).round().to(torch.uint8).contiguous().numpy()
    return {"shape": list(values.shape), "scale": scale, "bytes": base64.b64encode(plain.tobytes()).decode()}
