"""One sequence, as the model lived it: the report's Figure 1 and Graves' Figure 6 at once."""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import fill
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ntm_lab.figures.style import Picture
from ntm_lab.types import Answer, Batch, Kind, SequenceModel, Task

VECTORS = {"add": "vectors written (add)", "reads": "vectors read"}  # keys and other vectors only say how to get there
HEADS = 8  # of a signal that have a panel of their own; the others are left out
CELLS = 2**24  # steps × N × N, 64 MB: larger matrices from slot to slot are neither traced nor drawn


class Panel(NamedTuple):
    """An image of values (columns, rows), the columns being time steps or slots."""

    title: str
    values: Tensor
    ylabel: str
    bounded: bool  # scale fixed to [0, 1]; else symmetric about 0
    height: float  # relative
    marks: Sequence[tuple[int, int]] = ()  # columns and rows


@torch.no_grad()
def draw_episode(model: SequenceModel, task: Task, batch: Batch, title: str = "") -> Figure:
    """What a model does with the first sequence of a batch: `draw_trace` of its trace.

    The optimum is drawn as well where even that has a cost, as with n-grams.
    """
    first = Batch(*(part[:1] for part in batch))
    large = model.slots is not None and batch.inputs.shape[1] * model.slots**2 > CELLS
    names = [name for name, kind in model.signals.items() if not (large and kind == Kind.MATRIX)]
    solution = task.solve(first)
    costly = bool(task.answer.solution_cost(solution, first.targets, first.mask).any())
    signals = model.trace(first.inputs, signals=names)
    return draw_trace(first, signals, model.signals, task.answer, title, solution if costly else None)


def draw_trace(
    batch: Batch,
    signals: Mapping[str, Tensor],
    kinds: Mapping[str, Kind],
    answer: Answer,
    title: str = "",
    solution: Tensor | None = None,
) -> Figure:
    """Panels with a common time axis, top to bottom: input, target, output, and what the model declares besides.

    That is of a memory network the vectors written and read, the weightings head by head, usage, distributions such as
    read modes, and gates; then matrices such as links, and the memory, as they are at the end.

    Args:
        batch: of which the first sequence is drawn.
        signals: a model's trace of it, with ``logits``; what is not in it is not drawn.
        kinds: the model's ``signals``.
        answer: of the task; wrong symbols are marked.
        title: of the whole.
        solution: what the task's `solve` returns, to be drawn above the output; None: not.
    """
    panels = [*_of_task(batch, signals["logits"], answer, solution), *_of_model(signals, kinds)]
    last = [*_at_the_end(signals, kinds)]
    heights = [panel.height for panel in (*panels, *last)]
    steps = batch.inputs.shape[1]
    size = (min(16, max(8, 2.5 + 0.14 * steps)), 0.95 * sum(heights) + 1.2)  # inches
    figure = Picture(size, dpi=130, layout="constrained")
    axes = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    figure.suptitle(fill(title, round(10 * size[0])))  # some ten letters an inch
    for panel, axis in zip((*panels, *last), axes, strict=True):
        _draw(figure, axis, panel)
    over_time, at_the_end = axes[: len(panels)], axes[len(panels) :]
    for axis in over_time:
        axis.sharex(axes[0])
        axis.tick_params(labelbottom=axis is over_time[-1])
    over_time[-1].set_xlabel("time step")
    for axis in at_the_end:
        axis.set_xlabel("slot")
    return figure


def _of_task(batch: Batch, outputs: Tensor, answer: Answer, solution: Tensor | None) -> Iterator[Panel]:
    targets, mask, said = batch.targets[0], batch.mask[0], outputs[0]
    scored = mask.unsqueeze(-1)  # (T, 1)
    yield Panel("input", batch.inputs[0], "channel", False, 1.0)
    yield Panel("target", answer.image_of_targets(targets), "channel", answer.bounded, 0.9)
    if solution is not None:
        yield Panel("optimum where it is scored", solution[0] * scored, "channel", answer.bounded, 0.9)
    shown, marks = answer.image(said) * scored, answer.marks(said, targets, mask)
    yield Panel("output where it is scored", shown, "channel", answer.bounded, 0.9, marks=marks)


def _of_model(signals: Mapping[str, Tensor], kinds: Mapping[str, Kind]) -> Iterator[Panel]:
    """Over the time steps."""
    shown = {name: signals[name][0].detach() for name in kinds if name in signals}  # (T, …)
    of_kind = lambda kind: [name for name in shown if kinds[name] == kind]  # noqa: E731
    for name, title in VECTORS.items():
        if name in shown:
            yield Panel(title, shown[name].flatten(1), "width", False, 1.2)
    for name in sorted(of_kind(Kind.WEIGHTING), key=lambda name: name.startswith("read")):  # written, then read
        heads = shown[name].shape[1]  # of (T, heads, N)
        for head in range(min(heads, HEADS)):
            title = (
                name.replace("_", " ")
                + (f", head {head}" if heads > 1 else "")
                + (f" of {heads}" if heads > HEADS else "")
            )
            yield Panel(title, shown[name][:, head], "slot", True, 2.6)
    for name in of_kind(Kind.USAGE):
        yield Panel(name.replace("_", " "), shown[name], "slot", bool(shown[name].max() <= 1), 1.6)
    for name in of_kind(Kind.DISTRIBUTION):
        values = shown[name].flatten(1)  # (T, heads · n)
        yield Panel(name.replace("_", " "), values, "head by head", True, 0.6 + 0.1 * values.shape[1])
    gates = of_kind(Kind.GATE)
    if gates:
        values = torch.cat([shown[name] for name in gates], 1)  # (T, gates)
        title = f"gates: {', '.join(name.replace('_', ' ') for name in gates)}"
        yield Panel(title, values, "gate", True, 0.6 + 0.1 * values.shape[1])


def _at_the_end(signals: Mapping[str, Tensor], kinds: Mapping[str, Kind]) -> Iterator[Panel]:
    """Over the slots, after the last step."""
    for kind, ylabel, bounded, height in ((Kind.MATRIX, "slot", True, 2.6), (Kind.MEMORY, "width", False, 1.6)):
        for name in kinds:
            if name in signals and kinds[name] == kind:
                title = f"{name.replace('_', ' ')} at the end"
                yield Panel(title, signals[name][0, -1].detach(), ylabel, bounded, height)


def _draw(figure: Figure, axis: Axes, panel: Panel) -> None:
    values = panel.values.detach().float().cpu().numpy().T  # (rows, columns)
    if panel.bounded:
        low, high, colours = 0.0, 1.0, "viridis"
    else:
        high = max(1.0, float(np.nanmax(abs(values), initial=0)))  # a target that is not scored may be NaN
        low, colours = -high, "RdBu_r"
    image = axis.imshow(values, vmin=low, vmax=high, cmap=colours, aspect="auto", interpolation="nearest")
    if panel.marks:
        axis.plot(*zip(*panel.marks, strict=True), "x", color="#D55E00", markersize=5, label="wrong")
    axis.set_title(panel.title, loc="left", fontsize="medium")
    axis.set_ylabel(panel.ylabel)
    axis.locator_params(axis="y", integer=True)
    figure.colorbar(image, ax=axis, pad=0.01, fraction=0.03)
