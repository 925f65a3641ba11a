"""One sequence as a picture: from numbers to a figure, without PyTorch, which another process would have to import."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imsave

from ntm_lab.figures.style import CELL, INK, LINE, MUTED, READ, SHADES, WRITE, WRONG, WRONG_LIGHT, Picture

Array = np.ndarray[Any, Any]

DPI = 160
WIDTH = 10.0  # inches, as all lengths here
LEFT, RIGHT, BETWEEN, BESIDE, SIDE = 0.85, 0.15, 0.8, 0.45, 1.35  # margins, gaps, width of what stands at the side
TITLE, GAP, STEPS = 0.21, 0.1, 0.3  # above a panel, between panels, below the last
LINE_HEIGHT = 0.155  # of the small print
LETTER = 0.06  # wide, of the small print
SMALL, MEDIUM, LARGE = 7.5, 8.5, 12.5  # points
ROBUST = 2.0  # times the median of the largest values: beyond it a colour says no more


@dataclass(frozen=True, kw_only=True)
class Part(ABC):
    """A panel, ``height`` inches high or more, with its title in the colour ``ink``."""

    title: str
    height: float
    ink: str = INK
    over_time: bool = True  # whether its columns are the steps
    numbered: bool = False  # whether it needs room for numbers below, wherever it is
    stretches: bool = True  # to the height of its row

    @abstractmethod
    def draw(self, axis: Axes) -> None: ...


@dataclass(frozen=True)
class Cells(Part):
    """An image of ``values`` (columns, rows); NaN is left white.

    ``colours`` is one of `SHADES`: ``bits`` is cut off at −1 and 1, ``signed`` reaches from −`scale` to `scale`, all
    others from 0 to `scale`. Cells that are ``wrong`` are red. ``rows`` names rows by their number; a thin line stands
    above those of ``breaks``; ``below`` is small print.
    """

    values: Array
    colours: str
    rows: Mapping[int, str] = field(default_factory=dict)
    wrong: Array | None = None
    breaks: Sequence[int] = ()
    below: str = ""

    @property
    def scale(self) -> float:
        """Where colours end: the largest value, but not more than twice what columns, or rows, have as their largest in
        the median, lest a single one with large numbers leaves all others pale. Not less than 1, but for numbers of
        both signs."""
        if self.colours == "bits":
            return 1.0
        sizes = np.nan_to_num(np.abs(self.values))
        robust = min(_robust(sizes.max(axis, initial=0)) for axis in (0, 1))
        return robust if self.colours == "signed" else max(1.0, robust)

    def colours_of(self) -> Array:
        """The image (rows, columns, 3)."""
        values, shades = self.values.T / self.scale, SHADES[self.colours]
        both_signs = self.colours in ("bits", "signed")
        values = (values + 1) / 2 if both_signs else np.sqrt(np.clip(values, 0, 1))
        image = shades(np.ma.masked_invalid(values))[..., :3]
        if self.wrong is not None and self.wrong.any():
            wrong, said = self.wrong.T[..., None], np.clip(self.values.T, 0, 1)[..., None]
            red = said * np.array(to_rgb(WRONG)) + (1 - said) * np.array(to_rgb(WRONG_LIGHT))
            image = np.where(wrong, red, image)
        return image

    def draw(self, axis: Axes) -> None:
        axis.imshow(self.colours_of(), aspect="auto", interpolation="nearest")
        if _ruled(axis, *self.values.shape) and self.wrong is not None:
            axis.plot(*self.wrong.nonzero(), "x", color="white", markersize=3.5, markeredgewidth=0.8)
        for row in self.breaks:
            axis.axhline(row - 0.5, color="white", linewidth=1.6)
            axis.axhline(row - 0.5, color=MUTED, linewidth=0.5, linestyle=(0, (2, 2)))
        axis.set_yticks([*self.rows], [*self.rows.values()])
        if self.over_time and (self.colours == "signed" or self.scale > 1):
            ends = f"{'±' if self.colours == 'signed' else '0 to '}{self.scale:.2g}"
            axis.set_title(ends, loc="right", fontsize=SMALL, color=MUTED, pad=2.5)
        if self.below:
            axis.set_xlabel(self.below, fontsize=SMALL, color=MUTED, labelpad=2)


def _inches(axis: Axes) -> tuple[float, float]:
    """Width and height."""
    box = axis.get_window_extent()
    return box.width / axis.figure.dpi, box.height / axis.figure.dpi


def _robust(sizes: Array) -> float:
    """The largest, but at most twice the median of those that are not next to nothing."""
    sizes = sizes[sizes > 0.01 * sizes.max(initial=0)]
    return min(float(sizes.max()), ROBUST * float(np.median(sizes))) if len(sizes) else 1.0


def _ruled(axis: Axes, columns: int, rows: int) -> bool:
    """Draw white lines between cells, if they are large enough; whether they are."""
    width, height = _inches(axis)
    large = min(width / columns, height / rows) > 0.045
    if large:
        axis.vlines(np.arange(1, columns) - 0.5, -0.5, rows - 0.5, color="white", linewidth=0.5)
        axis.hlines(np.arange(1, rows) - 0.5, -0.5, columns - 0.5, color="white", linewidth=0.5)
    return large


@dataclass(frozen=True)
class Lines(Part):
    """Probabilities of a 1, ``curves`` by their names, each (T,); and the bits that came, ``outcomes`` (T,). NaN is
    left out."""

    curves: Mapping[str, Array]
    outcomes: Array

    def draw(self, axis: Axes) -> None:
        steps = np.arange(len(self.outcomes))
        styles: tuple[dict[str, Any], ...] = (
            {"color": READ, "linewidth": 1.3},
            {"color": WRITE, "linewidth": 2.4, "alpha": 0.85},
        )
        for number, (name, values) in enumerate(self.curves.items()):
            axis.plot(steps, values, drawstyle="steps-mid", label=name, zorder=3 - number, **styles[number])
        for bit, at in ((1.0, 1.08), (0.0, -0.08)):
            here = steps[self.outcomes == bit]
            axis.plot(
                here, np.full(len(here), at), "|", color=INK, markersize=4, label="" if bit else "the bit that came"
            )
        axis.set_ylim(-0.16, 1.16)
        axis.set_xlim(-0.5, len(steps) - 0.5)
        axis.set_yticks([0, 0.5, 1], ["0", "½", "1"])
        axis.axhline(0.5, color=LINE, linewidth=0.6, zorder=0)
        axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=SMALL, borderpad=0)


@dataclass(frozen=True)
class Gallery(Part):
    """Images by what they show: a row for each class, a column for each time that one of its images is shown.

    ``images`` are (height, width), ``places`` their row and column, ``said`` what they are called, ``wrong`` whether
    that is not right; ``names`` are what the classes are called.
    """

    images: Sequence[Array]
    places: Sequence[tuple[int, int]]
    said: Sequence[str]
    wrong: Sequence[bool]
    names: Sequence[str]

    def draw(self, axis: Axes) -> None:
        rows, columns = len(self.names), 1 + max(column for _, column in self.places)
        for image, (row, column), said, wrong in zip(self.images, self.places, self.said, self.wrong, strict=True):
            colour = WRONG if wrong else CELL
            axis.fill_between([column - 0.46, column + 0.46], row - 0.46, row + 0.46, color=colour, linewidth=0)
            inside = (column - 0.38, column + 0.38, row + 0.38, row - 0.38)
            axis.imshow(
                SHADES["bits"](0.5 + image / 2), extent=inside, interpolation="nearest", aspect="auto", zorder=2
            )
            if wrong:
                axis.text(column + 0.36, row + 0.36, said, color=WRONG, fontsize=SMALL, fontweight="bold", ha="right",
                          va="bottom", zorder=3, bbox={"color": "white", "pad": 0.6, "linewidth": 0})  # fmt: skip
        asked = np.zeros(columns)
        right = np.zeros(columns)
        for (_, column), wrong in zip(self.places, self.wrong, strict=True):
            asked[column] += 1
            right[column] += not wrong
        axis.set_xlim(-0.5, columns - 0.5)
        axis.set_ylim(rows - 0.5, -0.5)
        axis.set_yticks(range(rows), self.names)
        axis.set_xticks(range(columns), [f"{right[at]:.0f}/{asked[at]:.0f}" for at in range(columns)])
        axis.tick_params(labelbottom=True)
        axis.set_xlabel("right, by showing", fontsize=SMALL, color=MUTED, labelpad=1)
        for side in axis.spines.values():
            side.set_visible(False)


@dataclass(frozen=True)
class Story(Part):
    """Numbered sentences, each in pieces of text and colour."""

    sentences: Sequence[Sequence[tuple[str, str]]]

    def draw(self, axis: Axes) -> None:
        axis.set_axis_off()
        width, height = _inches(axis)
        down = max(1, int(height / LINE_HEIGHT))
        columns = -(-len(self.sentences) // down)
        longest = max(sum(len(text) for text, _ in sentence) + 4 for sentence in self.sentences)
        small = SMALL * min(1.0, width / (columns * longest * LETTER))
        for number, sentence in enumerate(self.sentences):
            x, y = number // down / columns, 1 - (number % down + 0.5) / down
            last: Any = axis.text(
                x, y, f"{number + 1}  ", transform=axis.transAxes, fontsize=small, color=MUTED, va="center"
            )
            for text, colour in sentence:
                weight = "normal" if colour in (INK, MUTED) else "bold"
                last = axis.annotate(text, (1, 0), xycoords=last, fontsize=small, color=colour, va="bottom",
                                     fontweight=weight, annotation_clip=False)  # fmt: skip


@dataclass(frozen=True)
class Key(Part):
    """The legend of the colours."""

    def draw(self, axis: Axes) -> None:
        axis.set_axis_off()
        lines = [
            ((SHADES["bits"](0.5), SHADES["bits"](1.0)), "bit 0, 1"),
            ((WRONG_LIGHT, WRONG), "wrong 0, 1"),
            ((SHADES["signed"](0.1), SHADES["signed"](0.9)), "below, above 0"),
            ((SHADES["write"](0.5), SHADES["write"](1.0)), "written to"),
            ((SHADES["read"](0.5), SHADES["read"](1.0)), "read from"),
        ]
        for number, (colours, text) in enumerate(lines):
            y = 1 - (number + 0.5) / len(lines)
            for at, colour in enumerate(colours):
                axis.plot(
                    0.06 + 0.105 * at, y, "s", color=colour, markersize=6.5, transform=axis.transAxes, clip_on=False
                )
            axis.text(0.26, y, text, transform=axis.transAxes, fontsize=SMALL, color=INK, va="center")


class Row(NamedTuple):
    """Panels side by side: inputs and writing on the left, reading and answers on the right, over time; the final
    memory at the side. Panels of one place stand one above the other."""

    left: Sequence[Part] = ()
    right: Sequence[Part] = ()
    side: Sequence[Part] = ()
    whole: Sequence[Part] = ()  # instead of left and right

    @property
    def numbered(self) -> bool:
        """Whether there are numbers below it, wherever it is."""
        return any(part.numbered for part in (*self.whole, *self.left))

    @property
    def height(self) -> float:
        """The height of its highest place."""
        return max(map(_height, (self.left, self.right, self.side, self.whole)))


class Named(NamedTuple):
    """Steps that have a name, and the number of the phase to which an arrow leads: `ntm_lab.types.Phase`, without
    PyTorch."""

    start: int
    end: int
    name: str
    then: int | None = None


class Panels(NamedTuple):
    """A picture that is not drawn yet: landscape, with the steps of ``phases`` marked on every panel over time."""

    title: str
    note: str  # below the title
    phases: Sequence[Named]
    rows: Sequence[Row]

    @property
    def parts(self) -> list[Part]:
        """All panels, row by row from left to right."""
        return [part for row in self.rows for place in (row.whole, row.left, row.right, row.side) for part in place]

    def figure(self) -> Figure:
        """The picture."""
        arrows = any(phase.then is not None for phase in self.phases)
        timed = next((row for row in self.rows if any(part.over_time for place in row for part in place)), None)
        named = 0.0 if timed is not self.rows[0] else 0.46 if arrows else 0.22  # above the first row
        above = 0.5 + 0.2 * bool(self.note) + named
        height = above + sum(TITLE + row.height + GAP + STEPS * row.numbered for row in self.rows) + STEPS
        figure = Picture((WIDTH, height), dpi=DPI)
        figure.suptitle(
            self.title, x=0.015, y=1 - 0.12 / height, ha="left", va="top", fontsize=LARGE, fontweight="bold", color=INK
        )
        if self.note:
            figure.text(0.015, 1 - 0.39 / height, self.note, va="top", fontsize=MEDIUM, color=MUTED)
        beside = BESIDE + SIDE if any(row.side for row in self.rows) else 0.0
        width = (WIDTH - LEFT - RIGHT - BETWEEN - beside) / 2
        places = {
            "left": (LEFT, width),
            "right": (LEFT + width + BETWEEN, width),
            "side": (WIDTH - RIGHT - SIDE, SIDE),
            "whole": (LEFT, 2 * width + BETWEEN),
        }
        top = height - above
        drawn: list[tuple[str, Part, Axes]] = []
        for row in self.rows:
            top -= TITLE
            for place, (left, wide) in places.items():
                drawn += [
                    (place, part, _drawn(figure, part, (left, top - at - high, wide, high)))
                    for part, at, high in _stacked(getattr(row, place), row.height)
                ]
            top -= row.height + GAP + STEPS * row.numbered
        self._finish(drawn)
        heads = [parts[0] for parts in timed or () if parts]
        for place, part, axis in drawn:
            if part.over_time and any(part is head for head in heads):
                _brackets(axis, self.phases, arrows and place != "right")
        return figure

    def _finish(self, drawn: Sequence[tuple[str, Part, Axes]]) -> None:
        """Lines between phases on everything over time; the numbers of the steps below the lowest panels."""
        over_time: dict[str, list[Axes]] = {}
        for place, part, axis in drawn:
            if part.over_time:
                over_time.setdefault(place, []).append(axis)
        for axes in over_time.values():
            for axis in axes:
                for phase in self.phases[1:]:
                    axis.axvline(phase.start - 0.5, color=MUTED, linewidth=0.6, linestyle=(0, (3, 3)))
            axes[-1].tick_params(labelbottom=True)
            axes[-1].locator_params(axis="x", integer=True, nbins=9)
            axes[-1].set_xlabel("step", fontsize=SMALL, color=MUTED, labelpad=1)

    def savefig(self, file: BinaryIO) -> None:
        """Draw, and write a PNG."""
        canvas = FigureCanvasAgg(self.figure())
        canvas.draw()
        imsave(file, np.asarray(canvas.buffer_rgba()), format="png")


def _drawn(figure: Figure, part: Part, box: tuple[float, float, float, float]) -> Axes:
    """A panel in a box: left, bottom, width and height in inches."""
    width, height = figure.get_size_inches()
    axis = figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
    axis.tick_params(length=0, labelsize=SMALL, labelcolor=MUTED, pad=2, labelbottom=False)
    for side in axis.spines.values():
        side.set_color(LINE)
    axis.set_title(part.title, loc="left", fontsize=MEDIUM, color=part.ink, pad=2.5, fontweight="bold")
    part.draw(axis)
    return axis


def _height(parts: Sequence[Part]) -> float:
    return sum(part.height for part in parts) + TITLE * max(0, len(parts) - 1)


def _stacked(parts: Sequence[Part], height: float) -> Iterator[tuple[Part, float, float]]:
    """Each part with how far below the top it begins and how high it is, so that all fill the height."""
    titles = TITLE * max(0, len(parts) - 1)
    stretch = (height - titles) / max(1e-9, _height(parts) - titles)
    at = 0.0
    for part in parts:
        high = part.height * (stretch if part.stretches else 1)
        yield part, at, high
        at += high + TITLE


def _brackets(axis: Axes, phases: Sequence[Named], arrows: bool) -> None:
    """Above a panel its phases with their names, as much of them as there is room for, and arrows between them."""
    width, height = _inches(axis)
    low, high = axis.get_xlim()
    step = width / (high - low)
    up = lambda inches: 1 + inches / height  # noqa: E731
    across = axis.get_xaxis_transform()
    base = up(TITLE + 0.02)
    for phase in phases:
        left, right = phase.start - 0.5 + 0.06 / step / 2, phase.end - 0.5 - 0.06 / step / 2
        line = up(TITLE + 0.06)
        axis.plot([left, left, right, right], [base, line, line, base], color=MUTED, linewidth=0.8, transform=across,
                  clip_on=False, scalex=False, scaley=False)  # fmt: skip
        room = (phase.end - phase.start) * step / LETTER
        name = next((name for name in _shortened(phase.name) if len(name) <= room + 0.5), "")
        axis.text(
            (left + right) / 2,
            up(TITLE + 0.09),
            name,
            transform=across,
            ha="center",
            va="bottom",
            fontsize=SMALL,
            color=INK,
        )
    if not arrows:
        return
    for phase in phases:
        if phase.then is not None:
            to = phases[phase.then]
            begin, end = ((one.start + one.end - 1) / 2 for one in (phase, to))
            bend = min(0.5, 0.42 / (abs(begin - end) * step)) * (1 if end < begin else -1)
            style = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0}
            axis.annotate(
                "",
                (end, up(TITLE + 0.24)),
                (begin, up(TITLE + 0.24)),
                xycoords=across,
                textcoords=across,
                annotation_clip=False,
                arrowprops=style | {"connectionstyle": f"arc3,rad={bend}"},
            )


def _shortened(name: str) -> Iterator[str]:
    """``query: 3``, ``query``; ``item 3``, ``3``."""
    yield name
    yield re.split("[:,]", name)[0]
    yield from re.findall(r"\d+$", name)
