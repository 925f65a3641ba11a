"""One sequence as an animation: inputs, heads, memory and answers, step by step."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from PIL import Image

from ntm_lab.figures.episode import (
    USED,
    answered,
    first_of,
    headings,
    names_of,
    said_symbols,
    slots_in_use,
    solution_if_costly,
)
from ntm_lab.figures.panels import Cells
from ntm_lab.figures.style import CELL, INK, MUTED, READ, SHADES, WRITE, WRONG
from ntm_lab.types import Batch, Kind, Phase, SequenceModel, Task

SIZE, DPI = (9.6, 5.4), 90  # inches, 16 : 9
FRAMES = 80  # at most; of a longer sequence some steps are skipped
STEP, LAST = 120, 3000  # milliseconds that a frame is shown, and the last one
TILES = 6  # images that are shown at a time
SENTENCES = 4  # that are shown at a time

Array = np.ndarray[Any, Any]
Drawn = TypeVar("Drawn", bound=Artist)


class Cursor(NamedTuple):
    """How a kind of head is shown beside the memory."""

    x: float  # 0 and 1 are the memory's edges
    mark: str
    colour: str


HEADS = {"write": Cursor(-0.028, ">", WRITE), "read": Cursor(1.028, "<", READ)}


class Film(NamedTuple):
    """The arrays to be drawn, of T steps and the S slots in use."""

    heading: str
    note: str
    phases: Sequence[Phase]
    images: Array | None  # (T, height, width), instead of the input
    words: list[str]  # at each step, with the answers, instead of input and output
    heard: Cells  # (T, rows)
    said: Cells  # (T, rows)
    heads: dict[str, Array]  # ``write`` and ``read`` (T, heads, S); empty without a memory
    memory: Array | None  # (T, S, W)
    slots: list[int]


@torch.no_grad()
def animate_episode(model: SequenceModel, task: Task, batch: Batch, path: str | Path, title: str = "") -> Path:
    """Write a GIF of a model at work on the first sequence of a batch, and return its path.

    Step by step: the input, the slots that are written to (orange) and read from (blue), the memory as a grid with a
    cursor for each head, and the answer, in which what is wrong is red. ``title`` stands below the heading.
    """
    frames = [frame.convert("RGB") for frame in _frames(_film(model, task, batch, title))]
    palette = _palette()
    indexed = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [STEP] * (len(indexed) - 1) + [LAST]
    path = Path(path)
    indexed[0].save(
        path, format="GIF", save_all=True, append_images=indexed[1:], duration=durations, loop=0, optimize=False
    )
    return path


def _palette() -> Image.Image:
    """One for all frames, since colours would flicker otherwise: every ramp that is drawn, on white and on a cell."""
    ends = [(CELL, INK, 48), ("white", INK, 20), ("white", MUTED, 8), (CELL, WRONG, 8)]
    ends += [(paper, colour, count) for paper, count in ((CELL, 24), ("white", 8)) for colour in (WRITE, READ)]
    colours = [
        LinearSegmentedColormap.from_list("", [low, high])(np.linspace(0, 1, count)) for low, high, count in ends
    ]
    colours.append(SHADES["signed"](np.linspace(0, 1, 48)))
    image = Image.new("P", (1, 1))
    image.putpalette((np.concatenate(colours)[:, :3] * 255).round().astype(np.uint8).tobytes())
    return image


def _film(model: SequenceModel, task: Task, batch: Batch, title: str) -> Film:
    first, answer = first_of(batch), task.answer
    scene, solution = task.scene(first), solution_if_costly(task, first)
    kinds = {name: kind for name, kind in model.signals.items() if kind in (Kind.WEIGHTING, Kind.MEMORY)}
    trace = model.trace(first.inputs, signals=[*kinds])
    heading, note = headings(model, task, first, trace, solution, title)
    signals = {name: part[0].float().cpu() for name, part in trace.items()}
    slots = slots_in_use(signals, kinds)
    heads = {
        side: torch.cat([signals[name][..., slots] for name in names], 1).numpy()
        for side in ("write", "read")
        if (names := [name for name, kind in kinds.items() if kind == Kind.WEIGHTING and name.startswith(side)])
    }
    memory = next((signals[name][:, slots].numpy() for name, kind in kinds.items() if kind == Kind.MEMORY), None)
    said = answered(first, signals["logits"], answer, solution)
    words = list(scene.words)
    for step in first.mask[0].nonzero().flatten().tolist() if words else ():
        said_here = names_of(said_symbols(signals["logits"], first.targets[0].cpu())[step].tolist(), scene)
        wrong = bool(said.wrong is not None and said.wrong[step].any())
        words[step] = words[step].replace("-", f"→ {said_here}{' ✗' * wrong}")
    images = None if scene.images is None else scene.images.cpu().numpy()
    return Film(
        heading,
        note,
        scene.phases,
        images,
        words,
        Cells(first.inputs[0].cpu().numpy(), "bits", title="input", height=1),
        said,
        heads,
        memory,
        slots,
    )


def _frames(film: Film) -> Iterator[Image.Image]:
    steps = len(film.said.values)
    stage = _Stage(film)
    for step in dict.fromkeys(np.linspace(0, steps - 1, min(steps, FRAMES)).round().astype(int).tolist()):
        yield stage.at(step)


class _Stage:
    """The figure. Most of it is drawn once; what moves is drawn on it for every frame."""

    def __init__(self, film: Film) -> None:
        self.film = film
        self.steps = len(film.said.values)
        self.figure = Figure(SIZE, dpi=DPI)
        self.canvas = FigureCanvasAgg(self.figure)
        self.moving: list[Artist] = []
        text = self.figure.text
        text(0.02, 0.965, film.heading, va="top", fontsize=13, fontweight="bold", color=INK)
        text(0.02, 0.905, film.note, va="top", fontsize=9, color=MUTED)
        self.caption = self._moves(text(0.02, 0.835, "", va="center", fontsize=11, color=INK))
        self.lanes: list[tuple[AxesImage, Rectangle, Array]] = []
        wide = film.memory is None
        left, width = 0.1, 0.87 if wide else 0.47
        lines = range(SENTENCES if film.words else 0)
        self.story = [self._moves(text(left, 0.775 - 0.045 * line, "", va="top", fontsize=9.5)) for line in lines]
        self.tiles: AxesImage | None = None
        if film.images is not None:
            self.tiles = self._images((left, 0.56, width, 0.235))
        elif not film.words:
            self._lane("input", film.heard.colours_of(), (left, 0.56, width, 0.235))
        if not wide:
            self._lane(
                "heads", self._heads(), (left, 0.075 if film.words else 0.27, width, 0.445 if film.words else 0.25)
            )
        if not film.words:
            self._lane("output", film.said.colours_of(), (left, 0.075, width, 0.4 if wide else 0.155))
        if film.memory is not None:
            self._memory(film.memory)
        self.canvas.draw()
        self.background = self.canvas.copy_from_bbox(self.figure.bbox)

    def _moves(self, artist: Drawn) -> Drawn:
        artist.set_animated(True)
        self.moving.append(artist)
        return artist

    def _axis(self, box: tuple[float, float, float, float]) -> Axes:
        axis = self.figure.add_axes(box)
        axis.set_xticks([])
        axis.set_yticks([])
        for side in axis.spines.values():
            side.set_visible(False)
        return axis

    def _lane(self, name: str, image: Array, box: tuple[float, float, float, float]) -> None:
        """Something over time, (rows, columns, 3), which is uncovered from left to right."""
        axis = self._axis(box)
        extent = (-0.5, self.steps - 0.5, image.shape[0] - 0.5, -0.5)
        shown = self._moves(axis.imshow(image, extent=extent, aspect="auto", interpolation="nearest"))
        for phase in self.film.phases[1:]:
            self._moves(axis.axvline(phase.start - 0.5, color=MUTED, linewidth=0.6, linestyle=(0, (3, 3))))
        cursor = self._moves(axis.axvspan(-0.5, 0.5, fill=False, edgecolor=INK, linewidth=1.4, clip_on=False))
        axis.set_ylabel(name, fontsize=9.5, color=INK, rotation=0, ha="right", va="center", fontweight="bold")
        self.lanes.append((shown, cursor, image))

    def _images(self, box: tuple[float, float, float, float]) -> AxesImage:
        """The last images, the newest on the right."""
        assert self.film.images is not None
        axis = self._axis(box)
        axis.set_ylabel("input", fontsize=9.5, color=INK, rotation=0, ha="right", va="center", fontweight="bold")
        high, wide = self.film.images.shape[1:]
        shown = self._moves(axis.imshow(np.ones((high, TILES * (wide + 1) - 1, 3)), interpolation="nearest"))
        newest = Rectangle(
            (TILES * (wide + 1) - 2.5 - wide + 1, -0.5), wide, high, fill=False, edgecolor=INK, linewidth=1.4
        )
        newest.set_clip_on(False)
        self._moves(axis.add_patch(newest))
        return shown

    def _heads(self) -> Array:
        """Both kinds of heads in one image (slots, steps, 3), the stronger one where they meet."""
        image: Array = np.full((len(self.film.slots), self.steps, 3), to_rgb(CELL))
        before: Array = np.zeros(image.shape[:2])
        for side, weightings in self.film.heads.items():
            weight = _opacity(weightings).T  # (slots, steps)
            mixed = (1 - weight)[..., None] * to_rgb(CELL) + weight[..., None] * to_rgb(HEADS[side].colour)
            image, before = np.where((weight > before)[..., None], mixed, image), np.maximum(weight, before)
        return image

    def _memory(self, memory: Array) -> None:
        axis = self._axis((0.685, 0.075, 0.235, 0.72))
        slots, width = memory.shape[1:]
        scale = Cells(memory.reshape(-1, width), "signed", title="", height=1).scale
        self.numbers = SHADES["signed"](np.clip(memory / scale, -1, 1) / 2 + 0.5)[..., :3]
        self.grid = self._moves(axis.imshow(self.numbers[0], aspect="auto", interpolation="nearest"))
        high = axis.get_window_extent().height / slots  # pixels of a slot
        if high > 6:
            self._moves(axis.hlines(np.arange(1, slots) - 0.5, -0.5, width - 0.5, color="white", linewidth=0.6))
            self._moves(axis.vlines(np.arange(1, width) - 0.5, -0.5, slots - 0.5, color="white", linewidth=0.6))
        axis.set_title("memory", fontsize=9.5, color=INK, fontweight="bold", pad=4)
        every = -(-slots // 12)
        axis.set_yticks(range(0, slots, every), [str(slot) for slot in self.film.slots[::every]])
        axis.tick_params(length=0, labelsize=7.5, labelcolor=MUTED, pad=15)
        self.cursors: dict[str, PathCollection] = {}
        for side, (x, mark, colour) in HEADS.items():
            align = "right" if x < 0 else "left"
            axis.text(
                x,
                -0.015,
                side,
                color=colour,
                fontsize=8.5,
                fontweight="bold",
                va="top",
                ha=align,
                transform=axis.transAxes,
            )
            size, places = float(np.clip(0.9 * high, 8, 14)) ** 2, np.full(slots, x)
            beside = axis.get_yaxis_transform()
            arrows = axis.scatter(
                places, range(slots), s=size, color=colour, marker=mark, transform=beside, clip_on=False
            )
            self.cursors[side] = self._moves(arrows)

    def at(self, step: int) -> Image.Image:
        """The picture after a step."""
        film = self.film
        phase = next((phase.name for phase in reversed(film.phases) if phase.start <= step), "")
        told = f"  ·  {phase}" if phase and not film.words else ""
        self.caption.set_text(f"step {step} of {self.steps - 1}{told}")
        for shown, cursor, image in self.lanes:
            seen = image.copy()
            seen[:, (step + 1) * image.shape[1] // self.steps :] = 1.0
            shown.set_data(seen)
            cursor.set_x(step - 0.5)
        if self.tiles is not None and film.images is not None:
            seen = np.ones((*self.tiles.get_size(), 3))
            wide = film.images.shape[2] + 1
            for place, image in zip(range(TILES - 1, -1, -1), film.images[step::-1], strict=False):
                seen[:, place * wide : place * wide + wide - 1] = SHADES["bits"](0.5 + image / 2)[..., :3]
            self.tiles.set_data(seen)
        begun = [sentence for sentence in film.phases if sentence.start <= step][-SENTENCES:]
        for line, sentence in zip(self.story, begun, strict=False):
            words = " ".join(film.words[sentence.start : min(sentence.end, step + 1)])
            line.set_text(words.replace(" .", ".").replace(" ?", "?"))
            line.set_color(INK if sentence is begun[-1] else MUTED)
        if film.memory is not None:
            self.grid.set_data(self.numbers[step])
            for side, arrows in self.cursors.items():
                opacity = _opacity(film.heads[side][step : step + 1])[0]
                arrows.set_alpha(np.where(opacity**2 > USED / 2, opacity, 0.0).tolist())
        self.canvas.restore_region(self.background)
        for artist in self.moving:
            self.figure.draw_artist(artist)
        return Image.fromarray(np.array(self.canvas.buffer_rgba()))


def _opacity(weightings: Array) -> Array:
    """The weights of the strongest head, (T, slots) from (T, heads, slots); small ones are lifted to be visible."""
    return np.sqrt(np.clip(weightings.max(1), 0, 1))
