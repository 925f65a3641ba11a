"""`{gallery}` shows every model that comes with the package: a picture, its numbers, and the page to watch it at work.

The pages and pictures are made by the build, into ``gallery/`` of the site.
"""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from docutils import nodes
from PIL import Image, ImageColor
from sphinx.application import Sphinx
from sphinx.util.display import status_iterator
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from ntm_lab import show
from ntm_lab.figures.style import BLUE, VERMILION
from ntm_lab.nn import MemoryNetwork
from ntm_lab.tasks.answers import measures_of, unit_of
from ntm_lab.tasks.difficulties import hardest, in_words, seeded
from ntm_lab.types import Batch, SequenceModel
from ntm_lab.zoo import shipped
from ntm_lab.zoo.card import reading_files
from ntm_lab.zoo.find import find

WRITTEN, READ = (np.array(ImageColor.getrgb(colour)) for colour in (VERMILION, BLUE))
SIZE = 640, 360  # pixels of a picture
USED = 0.05  # a slot is in use whose largest weight is above this


def picture(model: SequenceModel, batch: Batch) -> Image.Image:
    """Where the heads are over time, slots in use from top to bottom: writing is orange, reading blue."""
    with torch.no_grad():
        signals = model.trace(batch.inputs, signals=["write_weighting", "read_weighting"])
    written, read = (signals[name][0].amax(1).T.numpy() for name in ("write_weighting", "read_weighting"))  # (N, T)
    used = np.maximum(written, read).max(1) > USED
    ink = sum(weight[used, :, None] * (255 - colour) for weight, colour in ((written, WRITTEN), (read, READ)))
    return Image.fromarray((255 - ink).clip(0, 255).astype(np.uint8)).resize(SIZE, Image.Resampling.NEAREST)


def tested(row: Mapping[str, Any]) -> str:
    """How well a model did in a test: by how much it misses the optimum, where that has a cost, or its errors."""
    cost, *others = measures_of(row)
    unit = unit_of(row)
    if f"optimum_{unit}" in row:
        told = f"{row[cost.name] - row[f'optimum_{unit}']:.2g} {unit.replace('_', ' ')} above the optimum"
    else:
        measure = next((measure for measure in others if measure.kind == "wrong"), cost)
        told = f"{row[measure.name]:.3g} {measure.words}"
    return f"{in_words(row['difficulty'])}: {told}"


def pages() -> list[str]:
    """The models that have a page: not those of tasks that read a user's own files."""
    return [name for name, card in shipped.cards().items() if not reading_files(card["config"]["task"])]


class Gallery(SphinxDirective):
    """A card for every model."""

    def run(self) -> list[nodes.Node]:
        cards, with_page = [], pages()
        for name, card in shipped.cards().items():
            self.env.note_dependency(str(shipped.FOLDER / name / "card.json"))
            test = escape(tested(card["test"][0]))
            words = f"{card['parameters']:,} parameters, {card['sequences']:,} sequences of training"
            told = f"<strong>{name}</strong><span>{test}</span><span>{words}</span>"
            yours = f"Needs your copy of the task's data: <code>ntm-lab show {name} --root FOLDER</code>"
            cards.append(
                f'<a class="model" href="gallery/{name}.html"><img src="gallery/{name}.png" loading="lazy" '
                f'alt="Where {name} writes and reads, step by step" width="{SIZE[0]}" height="{SIZE[1]}">{told}</a>'
                if name in with_page
                else f'<div class="model">{told}<span>{yours}</span></div>'
            )
        return [nodes.raw("", f'<div class="gallery">{"".join(cards)}</div>', format="html")]


def make_pages(app: Sphinx, error: Exception | None) -> None:
    """A page and a picture for every model."""
    if error is not None or app.builder.name not in ("html", "dirhtml"):
        return
    folder = Path(app.outdir) / "gallery"
    for name in status_iterator(pages(), "making the gallery... ", length=len(pages())):
        trained = find(name)
        show(trained.model, trained.task, names=(name, "")).save(folder / f"{name}.html")
        if isinstance(trained.model, MemoryNetwork):
            trained.model.backend = "reference"  # one sequence is not worth compiling for
        batch = trained.task.sample(1, hardest(trained.task), seeded(0, "gallery"))
        picture(trained.model, batch).save(folder / f"{name}.png")


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_directive("gallery", Gallery)
    app.connect("build-finished", make_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
