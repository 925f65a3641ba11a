"""The picture of one sequence: which panels it has, which slots, and what their colours say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from PIL import Image
from torch import Tensor

from ntm_lab.figures import animate_episode, draw_episode, episode, episode_panels
from ntm_lab.figures.episode import slots_in_use, trace_panels
from ntm_lab.figures.panels import Cells, Gallery, Lines, Panels, Story
from ntm_lab.figures.style import CELL, INK, WRONG, WRONG_LIGHT
from ntm_lab.nn import DNC, LSTM, MANN, NTM
from ntm_lab.tasks import AssociativeRecall, Bits, Copy, NGrams, OneShot, Reals, RepeatCopy, Symbols
from ntm_lab.types import Answer, Batch, Kind, Phase, Scene, SequenceModel, Task

TASK = Copy(lengths=(1, 4), bits=3)
OF_TASK = ["input", "output", "target"]


def sampled(task: Task, **difficulty: int) -> Batch:
    hardest = {axis: high for axis, (_, high) in task.ranges.items()}
    return task.sample(2, hardest | difficulty, torch.Generator().manual_seed(0))


@pytest.fixture
def batch() -> Batch:
    return sampled(TASK)


@pytest.fixture
def ntm() -> NTM:
    torch.manual_seed(0)
    return NTM(TASK.input_size, TASK.output_size, "feedforward", size=8, slots=12, width=5, read_heads=2)


@torch.no_grad()
def trace(model: SequenceModel, batch: Batch) -> dict[str, Tensor]:
    return model.trace(batch.inputs[:1])


def titles(panels: Panels, place: str) -> list[str]:
    return [part.title for row in panels.rows for part in getattr(row, place)]


def panel(panels: Panels, title: str) -> Any:
    return next(part for part in panels.parts if part.title == title)


def test_an_ntm_writes_on_the_left_and_reads_on_the_right(ntm: NTM, batch: Batch, tmp_path: Path) -> None:
    panels, signals = episode_panels(ntm, TASK, batch, "a note"), trace(ntm, batch)
    assert titles(panels, "left") == ["input", "vectors written", "write weighting", "gates to write"]
    assert titles(panels, "right") == ["output", "target", "vectors read", "read weighting, 2 heads", "gates to read"]
    assert titles(panels, "side") == ["colours", "memory at the end"]
    slots = slots_in_use({name: part[0] for name, part in signals.items()}, ntm.signals)
    written = panel(panels, "write weighting")
    np.testing.assert_allclose(written.values, signals["write_weighting"][0, :, 0, slots])
    assert [int(text) for text in written.rows.values()] == [slots[row] for row in written.rows]
    reads = panel(panels, "read weighting, 2 heads").values  # a row is left free between the heads
    np.testing.assert_allclose(reads[:, len(slots) + 1 :], signals["read_weighting"][0, :, 1, slots])
    assert np.isnan(reads[:, len(slots)]).all()
    np.testing.assert_allclose(panel(panels, "memory at the end").values, signals["memory"][0, -1, slots].T)
    gates = panel(panels, "gates to read")
    assert list(gates.rows.values())[:4] == ["1 gate", "1 shift −1", "1 shift 0", "1 shift +1"]
    np.testing.assert_allclose(gates.values[:, 4], signals["gate"][0, :, 1])
    np.testing.assert_allclose(panel(panels, "gates to write").values[:, 0], signals["gate"][0, :, 2])
    assert panels.title.startswith("copy · NTM, feedforward controller · ") and panels.title.endswith("12 bits wrong")
    assert panels.note.startswith("a note · cost ") and panels.note.endswith(f" · {len(slots)} of 12 slots in use")

    figure = panels.figure()
    width, height = figure.get_size_inches()
    assert width > height
    figure.savefig(tmp_path / "episode.png")
    assert (tmp_path / "episode.png").read_bytes().startswith(b"\x89PNG")


def test_what_a_dnc_declares_is_drawn(batch: Batch, tmp_path: Path) -> None:
    model = DNC(TASK.input_size, TASK.output_size, "feedforward", size=8, slots=6, width=5, read_heads=2)
    panels, signals = episode_panels(model, TASK, batch), trace(model, batch)
    assert titles(panels, "left")[2:] == ["write weighting", "allocation", "usage"]
    assert titles(panels, "right")[3:] == ["read weighting, 2 heads", "read mode", "gates to write"]
    assert titles(panels, "side")[1:] == ["memory at the end", "links at the end"]
    modes = panel(panels, "read mode")
    assert list(modes.rows.values())[:3] == ["1 back", "1 content", "1 forward"]
    np.testing.assert_allclose(modes.values, signals["read_mode"][0].flatten(1))
    assert list(panel(panels, "gates to write").rows.values()) == ["allocation", "write", "1 free", "2 free"]
    slots = slots_in_use({name: part[0] for name, part in signals.items()}, model.signals)
    np.testing.assert_allclose(panel(panels, "usage").values, signals["usage"][0][:, slots])
    link = panel(panels, "links at the end").values.T  # rows are drawn as rows: written after the column
    np.testing.assert_allclose(link, signals["link"][0, -1][slots][:, slots])
    panels.figure().savefig(tmp_path / "episode.png")


def test_matrices_that_would_take_too_much_are_left_out(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine steps of six by six slots are 324 cells."""
    model = DNC(TASK.input_size, TASK.output_size, "feedforward", size=8, slots=6, width=5)
    for cells, shown in ((324, True), (323, False)):
        monkeypatch.setattr(episode, "CELLS", cells)
        assert ("links at the end" in titles(episode_panels(model, TASK, batch), "side")) is shown


def test_of_many_heads_the_first_are_drawn_and_their_number_told(batch: Batch) -> None:
    signals = {"logits": torch.zeros(1, 9, 3), "read_weighting": torch.rand(1, 9, 20, 4)}
    panels = trace_panels(batch, signals, {"read_weighting": Kind.WEIGHTING}, Bits(3))
    assert titles(panels, "right")[2:] == ["read weighting, 8 of 20 heads"]
    assert panels.parts[-1].values.shape == (9, 8 * 5 - 1)  # type: ignore[attr-defined]


def test_an_lstm_has_three_panels(batch: Batch, tmp_path: Path) -> None:
    figure = draw_episode(LSTM(TASK.input_size, TASK.output_size, size=6, layers=1), TASK, batch)
    assert [axes.get_title("left") for axes in figure.axes] == OF_TASK
    figure.savefig(tmp_path / "episode.png")


def weighting(*visited: tuple[int, float], slots: int = 10) -> Tensor:
    """One head (T, 1, N), a step for each slot that it visits with that weight; what is left is spread evenly."""
    rows = torch.zeros(len(visited), 1, slots)
    for step, (slot, weight) in enumerate(visited):
        rows[step, 0] = (1 - weight) / slots
        rows[step, 0, slot] += weight
    return rows


@pytest.mark.parametrize(
    ("read", "written", "expected"),
    [
        pytest.param([(2, 1), (3, 1)], [(3, 1), (4, 1)], [2, 3, 4], id="those of both heads"),
        pytest.param([(9, 1), (0, 1), (1, 1)], [(8, 1)] * 3, [8, 9, 0, 1], id="over the end of the ring"),
        pytest.param([(1, 1), (6, 1), (7, 1)], [(6, 1)] * 3, [6, 7, 1], id="apart, behind the widest gap"),
        pytest.param([(4, 0.0)] * 2, [(4, 1)] * 2, [*range(10)], id="all of a head that never settles"),
        pytest.param([(4, 0.6), (5, 0.6)], [(4, 1)] * 2, [4, 5], id="not what is next to nothing"),
    ],
)
def test_slots_in_use(read: list[tuple[int, float]], written: list[tuple[int, float]], expected: list[int]) -> None:
    signals = {"read_weighting": weighting(*read), "write_weighting": weighting(*written)}
    assert slots_in_use(signals, dict.fromkeys(signals, Kind.WEIGHTING)) == expected


def example_of(targets: list[list[float]], outputs: list[list[float]]) -> tuple[Batch, dict[str, Any]]:
    """One sequence, of which the first step is not scored."""
    of = torch.tensor([targets])
    mask = torch.arange(len(targets)).unsqueeze(0) > 0
    batch = Batch(torch.zeros(1, len(targets), 2), of, mask, torch.tensor([len(targets)]))
    return batch, {"logits": torch.tensor([outputs])}


def output_of(answer: Answer, targets: list[list[float]], outputs: list[list[float]]) -> tuple[Cells, Cells]:
    batch, signals = example_of(targets, outputs)
    panels = trace_panels(batch, signals, {}, answer)
    return panel(panels, "output"), panel(panels, "target")


def test_wrong_bits_are_red_and_all_others_of_one_scale_of_colours() -> None:
    """Asked for are 1 0 and 0 1 0; said 1 1 0 and, not at all surely, 0."""
    output, target = output_of(Bits(2), [[0.0, 0], [1, 0], [0, 1]], [[9.0, 9], [99, 99], [-99, -99]])
    image = output.colours_of()  # (rows, columns, 3)
    np.testing.assert_allclose(image[:, 0], 1)  # not scored: white
    np.testing.assert_allclose(image[0, 1], to_rgb(INK), atol=0.01)
    np.testing.assert_allclose(image[0, 2], to_rgb(CELL), atol=0.01)
    np.testing.assert_allclose(image[1, 1], to_rgb(WRONG), atol=1e-6)  # a 1 that should be 0
    np.testing.assert_allclose(image[1, 2], to_rgb(WRONG_LIGHT), atol=1e-6)  # a 0 that should be 1
    np.testing.assert_allclose(target.colours_of()[1, 1:], [to_rgb(CELL), to_rgb(INK)], atol=0.01)


def test_a_symbol_is_wrong_where_it_is_said() -> None:
    """Said are 0, 1, 2 where 2, 1, 0 are asked for; the first step is not scored, so that only the last is wrong."""
    output, target = output_of(Symbols(3), [[2], [1], [0]], [[9.0, 0, 0], [0, 9, 0], [0, 0, 9]])
    assert output.wrong is not None and output.wrong.nonzero() == (2, 2)
    np.testing.assert_array_equal(target.values[1:], [[0, 1, 0], [1, 0, 0]])


def test_numbers_are_drawn_about_0() -> None:
    output, target = output_of(Reals(1), [[np.nan], [-3.0]], [[5.0], [2.0]])
    assert (output.scale, target.scale) == (2, 3) and output.colours == target.colours == "signed"


@pytest.mark.parametrize("axis", [0, 1], ids=["a step", "a row"])
def test_one_vector_of_large_numbers_does_not_whiten_the_rest(axis: int) -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (20, 8))
    assert Cells(values, "signed", title="", height=1).scale == abs(values).max()
    values[(3,) if axis == 0 else (slice(None), 3)] *= 60
    cells = Cells(values, "signed", title="", height=1)
    assert 1 < cells.scale <= 2
    shades = cells.colours_of()  # (8, 20, 3)
    pale = (np.abs(shades - to_rgb(CELL)).max(2) < 0.1).mean()
    assert pale < 0.25


def test_ngrams_are_drawn_beside_the_optimum(tmp_path: Path) -> None:
    task = NGrams(length=12, context=2)
    example = sampled(task)
    panels = episode_panels(LSTM(1, 1, size=6, layers=1), task, example)
    (lines,) = panels.parts
    assert isinstance(lines, Lines) and list(lines.curves) == ["model", "optimum"]
    np.testing.assert_allclose(lines.curves["optimum"][1:], task.solve(example)[0, 1:, 0])
    assert np.isnan(lines.curves["model"][:1]).all() and not np.isnan(lines.curves["model"][1:]).any()
    assert panels.title.startswith("n-grams · LSTM · ") and " the optimum of " in panels.title
    panels.figure().savefig(tmp_path / "episode.png")


def test_an_item_is_found_by_its_query_and_leads_to_the_answer() -> None:
    task = AssociativeRecall(items=(2, 4), rows=2, bits=4)
    example = sampled(task)
    phases = task.scene(example).phases
    assert [phase.name for phase in phases[:4]] == [f"item {item}" for item in (1, 2, 3, 4)]
    query, answer = phases[4:]
    item = phases[phases[query.then or 0].then or 0]  # the one after that which was asked for
    assert answer.name == f"answer: {item.name.split()[1]}" and phases[item.then or 0] is answer
    np.testing.assert_array_equal(
        example.inputs[0, item.start + 1 : item.end, :4], example.targets[0, answer.start + 1 : answer.end]
    )
    figure = draw_episode(LSTM(task.input_size, task.output_size, size=6, layers=1), task, example)
    arrows = [text for text in figure.axes[0].texts if getattr(text, "arrow_patch", None)]
    assert len(arrows) == 3


@pytest.mark.parametrize(
    ("task", "names"),
    [
        (TASK, ["listens", "answers"]),
        (RepeatCopy(lengths=(1, 2), repeats=(1, 3)), ["listens, 3 ×", "answer 1", "answer 2", "answer 3"]),
    ],
    ids=["copy", "repeat copy"],
)
def test_phases_have_names(task: Task, names: list[str]) -> None:
    phases = task.scene(sampled(task)).phases
    assert [phase.name for phase in phases] == names
    assert [phase.start for phase in phases[1:]] == [phase.end for phase in phases[:-1]]


def test_images_stand_by_label_and_showing(tmp_path: Path) -> None:
    task = OneShot(ways=(3, 3), shots=(4, 4))
    example = sampled(task)
    model = MANN(task.input_size, task.output_size, "feedforward", size=8, slots=16, width=5)
    panels = episode_panels(model, task, example)
    gallery = panels.parts[0]
    assert isinstance(gallery, Gallery) and sorted(gallery.places) == [(row, at) for row in range(3) for at in range(4)]
    assert [gallery.names[row] for row, _ in gallery.places] == [str(label) for (label,) in example.targets[0].tolist()]
    said = trace(model, example)["logits"][0].argmax(1)
    assert gallery.wrong == (said != example.targets[0, :, 0]).tolist()
    assert titles(panels, "left")[-1] == "usage"
    panels.figure().savefig(tmp_path / "episode.png")


def test_a_story_is_told_in_words(tmp_path: Path) -> None:
    """A question that is answered wrongly has what would have been right beside it."""
    words = ["mary", "went", ".", "where", "?", "-", "where", "?", "-"]
    targets, said = torch.zeros(9, 1, dtype=torch.int64), torch.zeros(9, 2)
    mask = torch.tensor([word == "-" for word in words])
    said[5, 0] = said[8, 1] = 9.0
    batch = Batch(torch.zeros(1, 9, 2), targets[None], mask[None], torch.tensor([9]))
    phases = [Phase(3 * number, 3 * number + 3, str(number + 1)) for number in range(3)]
    scene = Scene(phases, words=words, symbols=("here", "there"))
    panels = trace_panels(batch, {"logits": said[None]}, {}, Symbols(2), scene=scene)
    (story,) = panels.parts
    assert isinstance(story, Story)
    told = ["".join(text for text, _ in sentence) for sentence in story.sentences]
    assert told == ["mary went.", "where?  here", "where?  there  (right: here)"]
    assert story.sentences[2][1][1] == WRONG != story.sentences[1][1][1]
    panels.figure().savefig(tmp_path / "episode.png")


def test_an_animation_has_a_frame_for_every_step(ntm: NTM, batch: Batch, tmp_path: Path) -> None:
    """The answers are uncovered one after the other."""
    with Image.open(animate_episode(ntm, TASK, batch, tmp_path / "copy.gif")) as animation:
        assert animation.format == "GIF" and animation.n_frames == 9  # type: ignore[attr-defined]
        frames = []
        for step in (4, 8):
            animation.seek(step)
            frames.append(np.asarray(animation.convert("RGB"), dtype=int))
    first, last = frames
    high, wide = first.shape[:2]
    answers = np.s_[int(0.8 * high) : int(0.9 * high), int(0.35 * wide) : int(0.55 * wide)]
    assert (first[answers] == 255).mean() > 0.9 > (last[answers] == 255).mean()


def test_a_notebook_shows_it(batch: Batch) -> None:
    """By the method that IPython asks for where pyplot has not told it how to show figures."""
    figure: Any = draw_episode(LSTM(TASK.input_size, TASK.output_size, size=5), TASK, batch)
    assert figure._repr_png_().startswith(b"\x89PNG")
