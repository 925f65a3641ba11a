"""One sequence, as the model lived it: Graves' Figure 6, with answer, addressing and memory of any machine."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ntm_lab.figures.panels import LINE_HEIGHT, Cells, Gallery, Key, Lines, Named, Panels, Row, Story
from ntm_lab.figures.style import GREEN, INK, MUTED, READ, WRITE, WRONG
from ntm_lab.types import Answer, Batch, Kind, Scene, SequenceModel, Task, phases_of

VECTORS = {
    "add": ("vectors written", WRITE),
    "reads": ("vectors read", READ),
}  # keys and other vectors only say how to get there
OMITTED = {"precedence"}  # hardly other than the last write weighting
ROWS = {"read_mode": ("back", "content", "forward")}  # of distributions; shifts are numbered
HEADS = 8  # of a signal that are drawn; the others are left out
CELLS = 2**24  # steps × N × N, 64 MB: larger matrices from slot to slot are neither traced nor drawn
USED = 0.1  # share of a head's largest weight that makes a slot one in use
HIGH, LOW = 1.5, 0.7  # inches, of panels over the slots
LABELS = 8  # slots that are named in a high one
SIDES = ("write", "read")
INKS = {"write": WRITE, "read": READ}
STRIPS = 16  # gates and shifts of a side that are drawn

Values = np.ndarray[Any, Any]


def draw_episode(model: SequenceModel, task: Task, batch: Batch, title: str = "") -> Figure:
    """Draw a model at work on the first sequence of a batch: `draw_trace` of its trace.

    The heading says task, model and how the answer was; ``title`` stands below it.
    """
    return episode_panels(model, task, batch, title).figure()


@torch.no_grad()
def episode_panels(model: SequenceModel, task: Task, batch: Batch, title: str = "") -> Panels:
    """The numbers of `draw_episode`, which can be drawn elsewhere."""
    first = first_of(batch)
    large = model.slots is not None and first.inputs.shape[1] * model.slots**2 > CELLS
    names = [name for name, kind in model.signals.items() if not (large and kind == Kind.MATRIX)]
    signals = model.trace(first.inputs, signals=names)
    solution = solution_if_costly(task, first)
    heading, note = headings(model, task, first, signals, solution, title)
    return trace_panels(first, signals, model.signals, task.answer, heading, solution, task.scene(first), note)


def headings(
    model: SequenceModel,
    task: Task,
    batch: Batch,
    signals: Mapping[str, Tensor],
    solution: Tensor | None,
    title: str,
) -> tuple[str, str]:
    """What stands above a single sequence, from a trace of it: task, model and how it was answered; and the rest."""
    told, rest = outcome(task.answer, signals["logits"], batch, solution)
    used = len(slots_in_use({name: part[0] for name, part in signals.items()}, model.signals))
    slots = f"{used} of {model.slots} slots in use" if model.slots else ""
    return " · ".join([task.title, model.title, told]), " · ".join(filter(None, [title, rest, slots]))


def first_of(batch: Batch) -> Batch:
    """The first sequence of a batch, without its padding."""
    length = int(batch.lengths[0])
    inputs, targets, mask = (part[:1, :length] for part in (batch.inputs, batch.targets, batch.mask))
    return Batch(inputs, targets, mask, batch.lengths[:1])


def solution_if_costly(task: Task, batch: Batch) -> Tensor | None:
    """The task's solution if even that has a cost, as with n-grams."""
    solution = task.solve(batch)
    costly = bool(task.answer.solution_cost(solution, batch.targets, batch.mask).any())
    return solution if costly else None


def outcome(answer: Answer, outputs: Tensor, batch: Batch, solution: Tensor | None) -> tuple[str, str]:
    """How a single sequence was answered, in words, what matters most and the rest: the cost above the optimum comes
    first where `solution_if_costly` gives one, else what is wrong."""
    asked = (batch.targets, batch.mask)
    told = answer.in_words(outputs, *asked)
    if solution is None:
        first, _, rest = told.partition(", ")
        return first, rest
    optimum = float(answer.solution_cost(solution, *asked))
    above = float(answer.cost(outputs, *asked)) - optimum
    side = "above" if above >= 0 else "below"  # by chance: no answer is better on average
    words = f"{abs(above):.2f} {answer.unit.replace('_', ' ')} {side} the optimum of {optimum:.1f}"
    return words, told


def draw_trace(
    batch: Batch,
    signals: Mapping[str, Tensor],
    kinds: Mapping[str, Kind],
    answer: Answer,
    title: str = "",
    solution: Tensor | None = None,
) -> Figure:
    """Inputs and writing on the left, reading and answers on the right, each over time.

    From top to bottom: input, and output above target; vectors written and read; weightings, head by head, of the
    slots in use; usage and allocation; gates, shifts and read modes. At the side the memory, and links from slot to
    slot, as they are at the end.

    Args:
        batch: its first sequence is drawn.
        signals: a model's trace of it, with ``logits``; other signals are drawn if they are there.
        kinds: the model's ``signals``.
        answer: of the task; wrong answers are red.
        title: the heading.
        solution: the result of the task's `solve`, drawn beside the output; None: it is not.
    """
    return trace_panels(batch, signals, kinds, answer, title, solution).figure()


def trace_panels(
    batch: Batch,
    signals: Mapping[str, Tensor],
    kinds: Mapping[str, Kind],
    answer: Answer,
    title: str = "",
    solution: Tensor | None = None,
    scene: Scene | None = None,
    note: str = "",
) -> Panels:
    """The numbers of `draw_trace`; ``scene`` is what the task's `scene` returns, ``note`` stands below the title."""
    first = first_of(batch)
    scene = Scene(phases_of(first.mask[0])) if scene is None else scene
    known = {name: signals[name][0].detach().float().cpu() for name in signals}
    slots = slots_in_use(known, kinds)
    rows = [_asked(first, known["logits"], answer, solution, scene), *_memory(known, kinds, slots)]
    if any(row.side for row in rows):
        rows[0] = rows[0]._replace(side=[Key(title="colours", height=0.7, over_time=False)])
    return Panels(title, note, [Named(*phase) for phase in scene.phases], [row for row in rows if row.height])


def slots_in_use(signals: Mapping[str, Tensor], kinds: Mapping[str, Kind]) -> list[int]:
    """The slots that a head comes to, from a trace without its batch, in the order of the ring: beginning behind the
    widest gap, so that a walk over the end of the memory is one line. A head that never settles uses all."""
    weightings = [signals[name] for name, kind in kinds.items() if kind == Kind.WEIGHTING and name in signals]
    if not weightings:
        return []
    heads = torch.cat([part.transpose(0, 1) for part in weightings])  # (heads, T, N)
    peaks = heads.amax(1)  # (heads, N)
    used = (peaks > USED * peaks.amax(1, keepdim=True)).any(0).nonzero().flatten().tolist()
    slots = heads.shape[2]
    if not used:
        return [*range(slots)]
    gaps = [(after - before) % slots for before, after in zip([used[-1], *used[:-1]], used, strict=True)]
    begin = gaps.index(max(gaps))
    return used[begin:] + used[:begin]


# Questions and answers


def answered(batch: Batch, outputs: Tensor, answer: Answer, solution: Tensor | None) -> Cells:
    """The output (T, O) to a single sequence where it is scored; wrong answers are red, but for single bits that even
    the optimum has to guess, since about as many are wrong there as can be."""
    rows, mask = answer.image(outputs), batch.mask[0].cpu()
    wrong = np.zeros(tuple(rows.shape), dtype=bool)
    marks = answer.marks(outputs, batch.targets[0].cpu(), mask)
    if marks and not (solution is not None and _one_bit(answer, rows)):
        wrong[tuple(zip(*marks, strict=True))] = True
    return _scored("output", rows, mask, answer, wrong)


def _scored(title: str, values: Tensor, mask: Tensor, answer: Answer, wrong: Values | None = None) -> Cells:
    shown = values.float().masked_fill(~mask.unsqueeze(-1), torch.nan)
    return Cells(_array(shown), "bits" if answer.bounded else "signed", wrong=wrong, title=title, height=0.62)


def _asked(batch: Batch, outputs: Tensor, answer: Answer, solution: Tensor | None, scene: Scene) -> Row:
    targets, mask = batch.targets[0].cpu(), batch.mask[0].cpu()
    said = answered(batch, outputs, answer, solution)
    asked = _scored("target", answer.image_of_targets(targets), mask, answer)
    optimum = [] if solution is None else [_scored("optimum", solution[0].cpu(), mask, answer)]
    if optimum and _one_bit(answer, said.values):
        curves = {"model": said.values[:, 0], "optimum": optimum[0].values[:, 0]}
        title = "probability that the next bit is 1"
        return Row(whole=[Lines(curves, asked.values[:, 0], title=title, height=1.5, numbered=True)])
    if scene.words:
        return Row(whole=[_story(outputs, targets, mask, scene)])
    if scene.images is not None:
        return Row([_gallery(outputs, targets, scene)], [said, asked])
    return Row([_input(batch.inputs[0].cpu(), scene)], [said, *optimum, asked])


def _one_bit(answer: Answer, rows: Tensor | Values) -> bool:
    return answer.bounded and rows.shape[1] == 1


def _input(inputs: Tensor, scene: Scene) -> Cells:
    width, named = inputs.shape[1], len(scene.channels)
    names = {width - named + at: name for at, name in enumerate(scene.channels)}
    whole = bool((inputs.abs() <= 2).all())  # bits, and at times a number of that size such as a priority
    return Cells(_array(inputs), "bits" if whole else "signed", names, title="input", height=1.3)


def names_of(numbers: Sequence[int], scene: Scene) -> str:
    """The names of the symbols of a step."""
    return "".join(scene.symbols[number] if scene.symbols else str(number) for number in numbers)


def said_symbols(outputs: Tensor, targets: Tensor) -> Tensor:
    """The symbols said, of the targets' shape (T, count)."""
    return outputs.unflatten(-1, (targets.shape[1], -1)).argmax(-1)


def _gallery(outputs: Tensor, targets: Tensor, scene: Scene) -> Gallery:
    assert scene.images is not None
    said = said_symbols(outputs, targets)
    classes = [tuple(label) for label in targets.tolist()]
    order = sorted(dict.fromkeys(classes))
    places = [(order.index(label), classes[:step].count(label)) for step, label in enumerate(classes)]
    return Gallery(
        [*_array(scene.images)],
        places,
        [names_of(label, scene) for label in said.tolist()],
        (said != targets).any(1).tolist(),
        [names_of(label, scene) for label in order],
        title="images, by label",
        height=1.75,
        over_time=False,
        numbered=True,
    )


def _story(outputs: Tensor, targets: Tensor, mask: Tensor, scene: Scene) -> Story:
    """Sentence by sentence; after a question the answer and, if that is wrong, the right one."""
    said = said_symbols(outputs, targets)
    sentences = []
    for phase in scene.phases:
        scored = [step for step in range(phase.start, phase.end) if mask[step]]
        words = " ".join(scene.words[phase.start : phase.end]).replace(" -", "").replace(" .", ".").replace(" ?", "?")
        pieces = [(words, INK)]
        if scored:
            answers, right = (
                " ".join(names_of(part[step].tolist(), scene) for step in scored) for part in (said, targets)
            )
            pieces.append((f"  {answers}", GREEN if answers == right else WRONG))
            if answers != right:
                pieces.append((f"  (right: {right})", MUTED))
        sentences.append(pieces)
    height = LINE_HEIGHT * max(6, min(14, -(-len(sentences) // 3)))
    return Story(sentences, title="story and answers", height=height, over_time=False, numbered=True)


# The memory


def _memory(signals: Mapping[str, Tensor], kinds: Mapping[str, Kind], slots: Sequence[int]) -> Iterator[Row]:
    """Rows of panels: vectors, weightings, what leads to them, gates."""
    shown = {name: signals[name] for name in kinds if name in signals and name not in OMITTED}
    of_kind = lambda kind: [name for name in shown if kinds[name] == kind]  # noqa: E731

    vectors = [
        [Cells(_array(shown[name].flatten(1)), "signed", title=title, height=0.8, ink=ink)] if name in shown else []
        for name, (title, ink) in VECTORS.items()
    ]
    yield Row(*vectors)

    at_end = [*_at_the_end(shown, kinds, slots)]
    weightings = sorted(of_kind(Kind.WEIGHTING), key=lambda name: not name.startswith(("write", "read")))
    heads = {name: shown[name][:, :HEADS, slots] for name in weightings}  # (T, heads, slots)
    many = {name: shown[name].shape[1] for name in weightings}
    main = [name for name in weightings if name.startswith(("write", "read"))]
    sides = {
        side: [_weighting(name, heads[name], many[name], slots) for name in main if _side(name) == side]
        for side in SIDES
    }
    yield Row(sides["write"], sides["read"], at_end[:1])

    others = [_weighting(name, heads[name], many[name], slots, LOW) for name in weightings if name not in main]
    usage = [_over_slots(_words(name), shown[name][:, slots], "neutral", slots, LOW) for name in of_kind(Kind.USAGE)]
    strips = dict(_strips(shown, kinds))
    if others or usage:
        yield Row([*others, *usage], [*reversed(strips.values())], at_end[1:])
    else:
        left, right = ([strips[side]] if side in strips else [] for side in SIDES)
        yield Row(left, right, at_end[1:])


def _side(name: str) -> str:
    return "read" if name.startswith("read") else "write"


def _at_the_end(shown: Mapping[str, Tensor], kinds: Mapping[str, Kind], slots: Sequence[int]) -> Iterator[Cells]:
    """Memories, then matrices from slot to slot, after the last step."""
    for name in shown:
        if kinds[name] == Kind.MEMORY:
            last = shown[name][-1]  # (N, W)
            values = (last[slots] if slots else last).T
            yield _over_slots(f"{_words(name)} at the end", values, "signed", slots, over_time=False)
    for name in shown:
        if kinds[name] == Kind.MATRIX:
            values, below = shown[name][-1][slots][:, slots].T, "row: written after column"
            yield _over_slots(f"{_words(name)}s at the end", values, "neutral", slots, over_time=False, below=below)


def _over_slots(
    title: str, values: Tensor, colours: str, slots: Sequence[int], height: float = HIGH, **more: Any
) -> Cells:
    """Values (columns, slots)."""
    names = _slot_names(slots, 2 if height < HIGH else 1)
    return Cells(_array(values), colours, names, breaks=_breaks(slots), title=title, height=height, **more)


def _weighting(name: str, heads: Tensor, many: int, slots: Sequence[int], height: float = HIGH) -> Cells:
    """The heads of a weighting (T, heads, slots), one below the other with a row left free between them."""
    count, used = heads.shape[1:]
    apart = torch.cat([heads, heads.new_full((*heads.shape[:2], 1), torch.nan)], 2).flatten(1)[:, :-1]
    title = _words(name) + (f", {count} of {many} heads" if many > count else f", {many} heads" if many > 1 else "")
    rows = {
        head * (used + 1) + row: text
        for head in range(count)
        for row, text in _slot_names(slots, count * (2 if height < HIGH else 1)).items()
    }
    breaks = [head * (used + 1) + row for head in range(count) for row in _breaks(slots)]
    colours = _side(name) if name.startswith(("write", "read", "alloc")) else "neutral"
    ink = INKS.get(colours, INK)
    return Cells(_array(apart), colours, rows, breaks=breaks, title=title, height=height, ink=ink)


def _strips(shown: Mapping[str, Tensor], kinds: Mapping[str, Kind]) -> Iterator[tuple[str, Cells]]:
    """Gates and distributions of the heads that write, and of those that read, a row each; side and panel."""
    weightings = [(name, shown[name].shape[1]) for name in shown if kinds[name] == Kind.WEIGHTING]
    owners = [_side(name) for name, count in weightings for _ in range(count)]
    rows: dict[str, dict[str, Tensor]] = {side: {} for side in SIDES}
    sources: dict[str, list[str]] = {side: [] for side in SIDES}
    for name in shown:
        if kinds[name] not in (Kind.GATE, Kind.DISTRIBUTION):
            continue
        values = shown[name] if kinds[name] == Kind.DISTRIBUTION else shown[name].unsqueeze(-1)  # (T, heads, n)
        joint = len(owners) == values.shape[1] and not name.startswith(SIDES)
        sides = owners if joint else [_side(name)] * values.shape[1]
        for side in dict.fromkeys(sides):
            sources[side].append(name)
        for head, side in enumerate(sides):
            number = f"{sides[:head].count(side) + 1} " if sides.count(side) > 1 else ""
            for part in range(values.shape[2]):
                rows[side][number + _part_name(name, part, values.shape[2])] = values[:, head, part]
    for side, of_side in rows.items():
        if of_side:
            ordered = dict(sorted(of_side.items(), key=lambda item: re.findall(r"^\d+", item[0]))[:STRIPS])
            columns = torch.stack([*ordered.values()], 1)  # (T, rows)
            height = (0.15 if len(ordered) <= 8 else 0.115) * len(ordered)
            title = f"gates to {side}" if "gate" in "".join(sources[side]) else " and ".join(map(_words, sources[side]))
            names = dict(enumerate(ordered))
            yield side, Cells(_array(columns), side, names, title=title, height=height, ink=INKS[side], stretches=False)


def _part_name(name: str, part: int, count: int) -> str:
    if count == 1:
        return _words(name).removesuffix(" gate")
    if name in ROWS and len(ROWS[name]) == count:
        return ROWS[name][part]
    offset = part - count // 2
    return f"{name} {offset:+d}".replace("-", "−").replace("+0", "0") if name == "shift" else f"{_words(name)} {part}"


def _slot_names(slots: Sequence[int], parts: int = 1) -> dict[int, str]:
    """A handful of rows with the numbers of their slots."""
    every = max(1, -(-len(slots) * parts // LABELS))
    return {row: str(slot) for row, slot in enumerate(slots) if row % every == 0}


def _breaks(slots: Sequence[int]) -> list[int]:
    """Rows above which slots are left out; none where that is nearly everywhere."""
    total = max(slots, default=0) + 1
    rows = [
        row
        for row in range(1, len(slots))
        if slots[row] not in (slots[row - 1] + 1, 0) or (slots[row] == 0 and slots[row - 1] != total - 1)
    ]
    return rows if len(rows) <= 6 else []


def _words(name: str) -> str:
    return name.replace("_", " ")


def _array(values: Tensor) -> Values:
    return values.detach().float().cpu().numpy()
