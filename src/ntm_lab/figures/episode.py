"""One sequence, as the model lived it: the report's Figure 1 and Graves' Figure 6 at once."""

from collections.abc import Mapping
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ntm_lab.types import Batch


class Panel(NamedTuple):
    """An image over the time steps: values (T, rows)."""

    title: str
    values: Tensor
    ylabel: str
    probability: bool  # scale fixed to [0, 1]; else symmetric about 0
    height: float  # relative


def draw_episode(batch: Batch, signals: Mapping[str, Tensor], title: str = "") -> Figure:
    """Panels with a common time axis, top to bottom: input, target, output, and of a model with memory the vectors
    written and read, the write and read weightings; then the final memory.

    Args:
        batch: of which the first sequence is drawn.
        signals: the model's trace of it; a model without memory gives only ``logits``.
        title: of the whole.
    """
    panels = _panels(batch, signals)
    memory = signals["memory"][0, -1] if "memory" in signals else None
    heights = [panel.height for panel in panels] + ([1.6] if memory is not None else [])
    steps = batch.inputs.shape[1]
    size = (min(16, max(8, 2.5 + 0.14 * steps)), 0.95 * sum(heights) + 1.2)  # inches
    figure = Figure(size, dpi=130, layout="constrained")
    axes = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    figure.suptitle(title)
    for panel, axis in zip(panels, axes, strict=False):
        _draw(figure, axis, panel)
        axis.sharex(axes[0])
        axis.tick_params(labelbottom=False)
    last = axes[len(panels) - 1]
    last.tick_params(labelbottom=True)
    last.set_xlabel("time step")
    if memory is not None:
        panel = Panel("memory at the end", memory, "width", False, 1.6)
        _draw(figure, axes[-1], panel)
        axes[-1].set_xlabel("slot")
    return figure


def _panels(batch: Batch, signals: Mapping[str, Tensor]) -> list[Panel]:
    scored = batch.mask[0].unsqueeze(-1)  # (T, 1)
    panels = [
        Panel("input", batch.inputs[0], "channel", False, 1.0),
        Panel("target", batch.targets[0], "channel", True, 0.9),
        Panel("output where it is scored", signals["logits"][0].sigmoid() * scored, "channel", True, 0.9),
    ]
    if "memory" not in signals:
        return panels
    panels.append(Panel("vectors written (add)", signals["add"][0].flatten(1), "width", False, 1.2))
    panels.append(Panel("vectors read", signals["reads"][0].flatten(1), "width", False, 1.2))
    for kind in ("write", "read"):
        weightings = signals[f"{kind}_weighting"][0]  # (T, heads, N)
        for head in range(weightings.shape[1]):
            name = f"{kind} weighting" + (f", head {head}" if weightings.shape[1] > 1 else "")
            panels.append(Panel(name, weightings[:, head], "slot", True, 2.6))
    return panels


def _draw(figure: Figure, axis: Axes, panel: Panel) -> None:
    values = panel.values.detach().float().cpu().numpy().T  # (rows, T)
    if panel.probability:
        low, high, colours = 0.0, 1.0, "viridis"
    else:
        high = max(1.0, float(abs(values).max()))
        low, colours = -high, "RdBu_r"
    image = axis.imshow(values, vmin=low, vmax=high, cmap=colours, aspect="auto", interpolation="nearest")
    axis.set_title(panel.title, loc="left", fontsize="medium")
    axis.set_ylabel(panel.ylabel)
    axis.locator_params(axis="y", integer=True)
    figure.colorbar(image, ax=axis, pad=0.01, fraction=0.03)
