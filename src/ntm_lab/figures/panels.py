"""Images one below the other: from numbers to a figure, without PyTorch, which another process would have to import."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave

from ntm_lab.figures.style import VERMILION, Picture


class Panel(NamedTuple):
    """An image of values (columns, rows), the columns being time steps or slots."""

    title: str
    values: np.ndarray[Any, Any]
    ylabel: str
    bounded: bool  # scale fixed to [0, 1]; else symmetric about 0
    height: float  # relative
    marks: Sequence[tuple[int, int]] = ()  # columns and rows


class Panels(NamedTuple):
    """A picture that is not drawn yet."""

    over_time: Sequence[Panel]  # with a common axis
    at_the_end: Sequence[Panel]  # over the slots
    title: str

    def figure(self) -> Figure:
        """The panels, top to bottom."""
        panels = [*self.over_time, *self.at_the_end]
        heights = [panel.height for panel in panels]
        size = (min(16, max(8, 2.5 + 0.14 * len(panels[0].values))), 0.95 * sum(heights) + 1.2)  # inches
        figure = Picture(size, dpi=130, layout="constrained")
        axes = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        figure.suptitle(fill(self.title, round(10 * size[0])))  # some ten letters an inch
        for panel, axis in zip(panels, axes, strict=True):
            _draw(figure, axis, panel)
        over_time, at_the_end = axes[: len(self.over_time)], axes[len(self.over_time) :]
        for axis in over_time:
            axis.sharex(axes[0])
            axis.tick_params(labelbottom=axis is over_time[-1])
        over_time[-1].set_xlabel("time step")
        for axis in at_the_end:
            axis.set_xlabel("slot")
        return figure

    def savefig(self, file: BinaryIO) -> None:
        """Draw, and write a PNG."""
        canvas = FigureCanvasAgg(self.figure())
        canvas.draw()  # once, where Figure.savefig makes the layout twice
        imsave(file, np.asarray(canvas.buffer_rgba()), format="png")


def _draw(figure: Figure, axis: Axes, panel: Panel) -> None:
    values = panel.values.T  # (rows, columns)
    if panel.bounded:
        low, high, colours = 0.0, 1.0, "viridis"
    else:
        high = max(1.0, float(np.nanmax(abs(values), initial=0)))  # a target that is not scored may be NaN
        low, colours = -high, "RdBu_r"
    image = axis.imshow(values, vmin=low, vmax=high, cmap=colours, aspect="auto", interpolation="nearest")
    if panel.marks:
        axis.plot(*zip(*panel.marks, strict=True), "x", color=VERMILION, markersize=5, label="wrong")
    axis.set_title(panel.title, loc="left", fontsize="medium")
    axis.set_ylabel(panel.ylabel)
    axis.locator_params(axis="y", integer=True)
    figure.colorbar(image, ax=axis, pad=0.01, fraction=0.03)
