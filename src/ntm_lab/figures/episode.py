"""One sequence, as the model lived it: the report's Figure 1 and Graves' Figure 6 at once."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ntm_lab.figures.panels import Panel, Panels
from ntm_lab.types import Answer, Batch, Kind, SequenceModel, Task

VECTORS = {"add": "vectors written (add)", "reads": "vectors read"}  # keys and other vectors only say how to get there
HEADS = 8  # of a signal that have a panel of their own; the others are left out
CELLS = 2**24  # steps × N × N, 64 MB: larger matrices from slot to slot are neither traced nor drawn


def draw_episode(model: SequenceModel, task: Task, batch: Batch, title: str = "") -> Figure:
    """What a model does with the first sequence of a batch: `draw_trace` of its trace.

    The optimum is drawn as well where even that has a cost, as with n-grams.
    """
    return episode_panels(model, task, batch, title).figure()


@torch.no_grad()
def episode_panels(model: SequenceModel, task: Task, batch: Batch, title: str = "") -> Panels:
    """The numbers of `draw_episode`, which can be drawn elsewhere."""
    first = Batch(*(part[:1] for part in batch))
    large = model.slots is not None and batch.inputs.shape[1] * model.slots**2 > CELLS
    names = [name for name, kind in model.signals.items() if not (large and kind == Kind.MATRIX)]
    solution = task.solve(first)
    costly = bool(task.answer.solution_cost(solution, first.targets, first.mask).any())
    signals = model.trace(first.inputs, signals=names)
    return trace_panels(first, signals, model.signals, task.answer, title, solution if costly else None)


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
    return trace_panels(batch, signals, kinds, answer, title, solution).figure()


def trace_panels(
    batch: Batch,
    signals: Mapping[str, Tensor],
    kinds: Mapping[str, Kind],
    answer: Answer,
    title: str = "",
    solution: Tensor | None = None,
) -> Panels:
    """The numbers of `draw_trace`."""
    over_time = [*_of_task(batch, signals["logits"], answer, solution), *_of_model(signals, kinds)]
    return Panels(over_time, [*_at_the_end(signals, kinds)], title)


def _panel(
    title: str,
    values: Tensor,
    ylabel: str,
    bounded: bool,
    height: float,
    marks: Sequence[tuple[int, int]] = (),
) -> Panel:
    return Panel(title, values.detach().float().cpu().numpy(), ylabel, bounded, height, marks)


def _of_task(batch: Batch, outputs: Tensor, answer: Answer, solution: Tensor | None) -> Iterator[Panel]:
    targets, mask, said = batch.targets[0], batch.mask[0], outputs[0]
    scored = mask.unsqueeze(-1)  # (T, 1)
    yield _panel("input", batch.inputs[0], "channel", False, 1.0)
    yield _panel("target", answer.image_of_targets(targets), "channel", answer.bounded, 0.9)
    if solution is not None:
        yield _panel("optimum where it is scored", solution[0] * scored, "channel", answer.bounded, 0.9)
    shown, marks = answer.image(said) * scored, answer.marks(said, targets, mask)
    yield _panel("output where it is scored", shown, "channel", answer.bounded, 0.9, marks=marks)


def _of_model(signals: Mapping[str, Tensor], kinds: Mapping[str, Kind]) -> Iterator[Panel]:
    """Over the time steps."""
    shown = {name: signals[name][0].detach() for name in kinds if name in signals}  # (T, …)
    of_kind = lambda kind: [name for name in shown if kinds[name] == kind]  # noqa: E731
    for name, title in VECTORS.items():
        if name in shown:
            yield _panel(title, shown[name].flatten(1), "width", False, 1.2)
    for name in sorted(of_kind(Kind.WEIGHTING), key=lambda name: name.startswith("read")):  # written, then read
        heads = shown[name].shape[1]  # of (T, heads, N)
        for head in range(min(heads, HEADS)):
            title = (
                name.replace("_", " ")
                + (f", head {head}" if heads > 1 else "")
                + (f" of {heads}" if heads > HEADS else "")
            )
            yield _panel(title, shown[name][:, head], "slot", True, 2.6)
    for name in of_kind(Kind.USAGE):
        yield _panel(name.replace("_", " "), shown[name], "slot", bool(shown[name].max() <= 1), 1.6)
    for name in of_kind(Kind.DISTRIBUTION):
        values = shown[name].flatten(1)  # (T, heads · n)
        yield _panel(name.replace("_", " "), values, "head by head", True, 0.6 + 0.1 * values.shape[1])
    gates = of_kind(Kind.GATE)
    if gates:
        values = torch.cat([shown[name] for name in gates], 1)  # (T, gates)
        title = f"gates: {', '.join(name.replace('_', ' ') for name in gates)}"
        yield _panel(title, values, "gate", True, 0.6 + 0.1 * values.shape[1])


def _at_the_end(signals: Mapping[str, Tensor], kinds: Mapping[str, Kind]) -> Iterator[Panel]:
    """Over the slots, after the last step."""
    for kind, ylabel, bounded, height in ((Kind.MATRIX, "slot", True, 2.6), (Kind.MEMORY, "width", False, 1.6)):
        for name in kinds:
            if name in signals and kinds[name] == kind:
                title = f"{name.replace('_', ' ')} at the end"
                yield _panel(title, signals[name][0, -1].detach(), ylabel, bounded, height)
