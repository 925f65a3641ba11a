"""A page in which one watches a memory network at work: one file that needs no network, and runs the model itself."""

import copy
import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ntm_lab.checks import at_least
from ntm_lab.files import write_whole
from ntm_lab.tasks.base import check_axes
from ntm_lab.types import Difficulty, SequenceModel, Task
from ntm_lab.viewer.bundle import WEB, bundle
from ntm_lab.viewer.description import describe
from ntm_lab.viewer.numbers import packed, rounded
from ntm_lab.viewer.sequences import describe_task

HEIGHT = 760  # pixels of a notebook's cell
LIMIT = 1_500_000  # bytes of a page; above, the weights are rounded

Moment = tuple[int, SequenceModel]
"""A model as it was after a number of sequences of training."""


class Page:
    """A page as HTML. In a notebook it shows itself; `save` writes it to a file, which any browser opens.

    It holds the weights and a machine in JavaScript, and requests nothing from a network.
    """

    def __init__(self, title: str, shown: Mapping[str, Any]) -> None:
        self.title, self.shown = title, shown

    def html(self) -> str:
        """The whole page."""
        described, numbers = packed(self.shown)
        parts = {
            "title": html.escape(self.title),
            "style": (WEB / "style.css").read_text(),
            "shown": json.dumps(described, separators=(",", ":")).replace("<", "\\u003c"),
            "numbers": numbers,
            "script": bundle("page.js"),
        }
        return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], (WEB / "page.html").read_text())

    def save(self, path: str | Path) -> Path:
        """Write the page to a file and return its path; OSError where that cannot be."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, self.html())
        return path

    def _repr_html_(self) -> str:
        """A frame that holds the page itself, so that nothing has to be served."""
        inside = html.escape(self.html(), quote=True)
        style = f"width:100%;height:{HEIGHT}px;border:0"
        return f'<iframe srcdoc="{inside}" style="{style}" title="{html.escape(self.title)}" allowfullscreen></iframe>'

    def __repr__(self) -> str:
        return f'<Page {self.title!r}: .save("page.html") writes it>'


def show(
    model: SequenceModel,
    task: Task,
    beside: SequenceModel | None = None,
    *,
    names: Sequence[str] = ("", ""),
    moments: Iterable[Moment] = (),
    seed: int = 0,
    **difficulty: int,
) -> Page:
    """A page in which a model works on sequences of a task.

    In a notebook ``show(model, task)`` shows it; ``show(model, task).save("page.html")`` writes a file. A file of more
    than 1.5 MB has its weights rounded to 11 binary places, and says so.

    Args:
        model: an `NTM`, `DNC`, `MANN` or `LSTM`.
        task: for the tasks of the papers the page draws sequences itself; for bAbI and any other task it holds a few
            that are drawn now.
        beside: another model of the same task, shown beside the first.
        names: the names of the models.
        moments: the same model earlier in its training, the earliest first, each with the sequences seen by then;
            `ntm_lab.zoo.moments.moments` finds those of a run.
        seed: of the first sequence.
        difficulty: of the first sequence, such as ``length=20``; an axis left out has its hardest value in training.

    Raises ValueError for a model that the page cannot run or whose sizes are not the task's, and for an axis that the
    task does not have.
    """
    return make_page([(model, moments), *([] if beside is None else [(beside, ())])], task, names, seed, difficulty)


def make_page(
    models: Sequence[tuple[SequenceModel, Iterable[Moment]]],
    task: Task,
    names: Sequence[str],
    seed: int,
    difficulty: Difficulty,
) -> Page:
    """As `show`, for one or two models, each with its moments."""
    at_least("seed", seed, 0)
    check_axes(difficulty, task)
    for model, _ in models:
        sizes, needed = (model.input_size, model.output_size), (task.input_size, task.output_size)
        if sizes != needed:
            raise ValueError(f"show: the model has {sizes} inputs and outputs, {type(task).__name__} needs {needed}")
    shown = {"task": describe_task(task), "seed": seed, "difficulty": dict(difficulty)}
    stages_of = [[*moments, (-1, model)] for model, moments in models]
    title = " and ".join(filter(None, names)) or f"{type(task).__name__}, {type(models[0][0]).__name__}"

    def page(short: bool) -> Page:
        described = [
            {"name": name, "moments": [_moment(moment, short) for moment in stages]}
            for stages, name in zip(stages_of, names, strict=False)
        ]
        return Page(title, shown | {"models": described, "rounded": short})

    exact = page(short=False)
    return exact if len(exact.html().encode()) <= LIMIT else page(short=True)


def _moment(moment: Moment, short: bool) -> dict[str, Any]:
    sequences, model = moment
    return {"sequences": sequences, "model": describe(with_rounded_weights(model) if short else model)}


@torch.no_grad()
def with_rounded_weights(model: SequenceModel) -> SequenceModel:
    """A copy of a model, as a page of limited size holds it."""
    model = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.copy_(rounded(parameter))
    return model
