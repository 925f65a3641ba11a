"""A page in which one watches a memory network at work: one file that needs no network, and runs the model itself."""

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ntm_lab.checks import at_least
from ntm_lab.files import write_whole
from ntm_lab.show.bundle import WEB, bundle
from ntm_lab.show.description import describe
from ntm_lab.show.sequences import describe_task
from ntm_lab.tasks.base import check_axes
from ntm_lab.types import Difficulty, SequenceModel, Task

HEIGHT = 760  # pixels of a notebook's cell

Moment = tuple[int, SequenceModel]
"""A model as it was after a number of sequences of training."""


class Page:
    """A page as HTML. In a notebook it shows itself; `save` writes it to a file, which any browser opens.

    It holds the weights and a machine in JavaScript, and asks for nothing from a network.
    """

    def __init__(self, title: str, shown: Mapping[str, Any]) -> None:
        self.title, self.shown = title, shown

    def html(self) -> str:
        """The whole page."""
        parts = {
            "title": html.escape(self.title),
            "style": (WEB / "style.css").read_text(),
            "shown": json.dumps(self.shown, separators=(",", ":")).replace("<", "\\u003c"),
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

    In a notebook ``show(model, task)`` shows it; ``show(model, task).save("page.html")`` writes a file.

    Args:
        model: an `NTM`, `DNC`, `MANN` or `LSTM`.
        task: of this package; of any other the page has a handful of sequences that are drawn now.
        beside: another model of the same task, to be compared with.
        names: what the models are called.
        moments: the same model earlier in its training, from the earliest on, each with the sequences seen by then;
            `ntm_lab.zoo.moments.moments` finds those of a run.
        seed: of the first sequence.
        difficulty: of the first sequence, such as ``length=20``; an axis left out has its hardest value of training.

    Raises ValueError for a model that the page cannot run or whose sizes are not the task's, and for an axis that the
    task has not.
    """
    return make_page([(model, moments), *([] if beside is None else [(beside, ())])], task, names, seed, difficulty)


def make_page(
    models: Sequence[tuple[SequenceModel, Iterable[Moment]]],
    task: Task,
    names: Sequence[str],
    seed: int,
    difficulty: Difficulty,
) -> Page:
    """As `show`, of one or two models, each with its moments."""
    at_least("seed", seed, 0)
    check_axes(difficulty, task)
    for model, _ in models:
        sizes, needed = (model.input_size, model.output_size), (task.input_size, task.output_size)
        if sizes != needed:
            raise ValueError(f"show: the model has {sizes} inputs and outputs, {type(task).__name__} needs {needed}")
    described = [
        {"name": name, "moments": [_moment(*moment) for moment in (*moments, (-1, model))]}
        for (model, moments), name in zip(models, names, strict=False)
    ]
    shown = {"task": describe_task(task), "models": described, "seed": seed, "difficulty": dict(difficulty)}
    title = " and ".join(filter(None, names)) or f"{type(task).__name__}, {type(models[0][0]).__name__}"
    return Page(title, shown)


def _moment(sequences: int, model: SequenceModel) -> dict[str, Any]:
    return {"sequences": sequences, "model": describe(model)}
