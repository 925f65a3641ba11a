"""The tasks in JavaScript lay their content out as the tasks in Python do, and know the same answers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ntm_lab import tasks
from ntm_lab.tasks.base import BaseTask, EvenTask
from ntm_lab.tasks.difficulties import hardest, seeded
from ntm_lab.types import Batch
from ntm_lab.viewer.sequences import SETTINGS, describe_task

DRAW = """
return given.map(({ described, difficulty }) => {
  const task = taskOf(decode(described));
  const content = task.draw(difficulty, seeded(5));
  const laid = task.layout(content, difficulty);
  const painted = laid.inputs.map((row, t) => row.map((value, channel) => laid.cell(t, channel)));
  const optimum = laid.optimum ? laid.inputs.map((_, t) => laid.optimum(t)) : null;
  const { inputs, targets, mask, channels } = laid;
  return { content, inputs, targets, mask, channels, painted, optimum };
});
"""

STORIES = """
return given.map(({ described, difficulty }) => {
  const task = taskOf(decode(described));
  return task.layout(task.draw(difficulty), difficulty);
});
"""

POINTS: dict[str, tuple[BaseTask, dict[str, int]]] = {
    "copy": (tasks.Copy((1, 20), 5), {"length": 7}),
    "copy-start_code": (tasks.Copy((1, 20), 6, start_code=True), {"length": 3}),
    "repeat_copy": (tasks.RepeatCopy((1, 10), (1, 3), 4), {"length": 3, "repeats": 4}),
    "associative_recall": (tasks.AssociativeRecall((2, 6), 2, 5), {"items": 5}),
    "ngrams": (tasks.NGrams(40, 3), {"length": 40, "context": 3}),
    "sort": (tasks.Sort(20, 16, 2, 4), {"items": 8}),
    "sort-half": (tasks.Sort(4, 2, 1, 4), {"items": 5}),
    "one_shot": (tasks.OneShot((5, 5), (3, 3)), {"ways": 4, "shots": 3}),
}


@pytest.fixture(scope="module")
def drawn(engine: Any) -> dict[str, Any]:
    given = [{"described": describe_task(task), "difficulty": difficulty} for task, difficulty in POINTS.values()]
    told = engine("machine.js tasks.js", DRAW, given=given)
    return dict(zip(POINTS, told, strict=True))


def laid_out(task: Any, content: dict[str, Any], difficulty: dict[str, int]) -> Batch:
    """The same content by Python's layout."""
    cells = torch.tensor(content["cells"])
    match task:
        case tasks.Copy():
            return task.layout(cells[None], torch.tensor([difficulty["length"]]))
        case tasks.RepeatCopy():
            return task.layout(cells[None], *(torch.tensor([value]) for value in difficulty.values()))
        case tasks.AssociativeRecall():
            items = cells.unflatten(0, (-1, task.rows))
            return task.layout(items[None], torch.tensor([content["asked"]]), torch.tensor([len(items)]))
        case tasks.NGrams():
            return task.layout(cells.float().mT, difficulty["context"])
        case tasks.Sort():
            return task.layout(cells[None, :, :-1], cells[None, :, -1], torch.tensor([len(cells)]))
        case tasks.OneShot():
            return task.layout(cells[None], torch.tensor([content["labels"]]), torch.tensor([len(cells)]))
    raise AssertionError(task)


@pytest.mark.parametrize("name", POINTS)
def test_the_layout_is_that_of_python(name: str, drawn: dict[str, Any]) -> None:
    task, difficulty = POINTS[name]
    ours = drawn[name]
    batch = laid_out(task, ours["content"], difficulty)
    close: Any = lambda values, expected: torch.testing.assert_close(  # noqa: E731
        torch.tensor(values, dtype=expected.dtype), expected[0], rtol=0, atol=1e-6
    )
    close(ours["inputs"], batch.inputs)
    close(ours["targets"], batch.targets)
    close(ours["mask"], batch.mask)
    assert len(ours["channels"]) == task.input_size
    if ours["optimum"]:
        close(ours["optimum"], task.solve(batch)[..., 0])


@pytest.mark.parametrize("name", POINTS)
def test_a_painted_cell_is_what_the_input_shows(name: str, drawn: dict[str, Any]) -> None:
    ours = drawn[name]
    cells: set[tuple[int, ...]] = set()
    for row, places in zip(ours["inputs"], ours["painted"], strict=True):
        for value, place in zip(row, places, strict=True):
            if place is not None:
                assert ours["content"]["cells"][place[0]][place[1]] == value
                cells.add(tuple(place))
    count = sum(map(len, ours["content"]["cells"]))
    assert len(cells) == count - (name == "ngrams")  # whose last bit is only predicted


@pytest.mark.parametrize("steps", ["words", "sentences"])
def test_stories_are_laid_out_as_in_python(steps: str, babi: Path, engine: Any) -> None:
    task = tasks.Babi(babi, tasks=(1, 4, 8), steps=steps, partial=True)
    given = [{"described": describe_task(task), "difficulty": {"story": 1 + row}} for row in range(8)]
    batch = task.split("testing").sample(8, hardest(task), seeded(0, "page"))
    told = engine("machine.js tasks.js", STORIES, given=given)
    for row, (ours, length) in enumerate(zip(told, batch.lengths.tolist(), strict=True)):
        mask = batch.mask[row, :length]
        assert torch.equal(torch.tensor(ours["inputs"]).float(), batch.inputs[row, :length])
        assert torch.equal(torch.tensor(ours["mask"]), mask)
        assert torch.equal(torch.tensor(ours["targets"])[mask], batch.targets[row, :length][mask])
        assert ours["phases"][0]["name"] == f"task {(1, 4, 8)[row % 3]}"
        assert " ".join(ours["said"][0]).startswith(("mary", "john", "sandra", "the"))


def test_images_come_from_the_classes_for_testing(drawn: dict[str, Any]) -> None:
    task, _ = POINTS["one_shot"]
    pool = task.split("testing").images.draw(4, 5, 20, seeded(0, "page")).flatten(0, 2)
    images = torch.tensor(drawn["one_shot"]["content"]["cells"])
    assert bool((images[:, None] == pool).all(-1).any(1).all())


def test_every_task_is_known() -> None:
    ours = {getattr(tasks, name) for name in tasks.__all__}
    drawn = {tasks.Babi, *(task for task in ours if issubclass(task, EvenTask))}  # which come with some sequences
    assert {*SETTINGS} == {task for task in ours if issubclass(task, BaseTask)} - drawn


class Backwards(BaseTask):
    """A task that the page does not know."""

    def __init__(self) -> None:
        self.ranges, self.input_size, self.answer = {"length": (1, 4)}, 2, tasks.Bits(1)

    def draw(self, batch_size: int, difficulty: Any, generator: torch.Generator) -> Batch:
        (length,) = self.expand(difficulty, batch_size)
        steps = torch.arange(int(length.max()))
        bits = torch.randint(2, (batch_size, len(steps), 2), generator=generator).float()
        mask = steps < length[:, None]
        return Batch(bits, bits.flip(1)[..., :1].masked_fill(~mask[..., None], torch.nan), mask, length)

    def solve(self, batch: Batch) -> Tensor:
        return batch.targets


def test_of_any_other_task_there_are_drawn_sequences(engine: Any) -> None:
    described = describe_task(Backwards())
    drawn = described["settings"]["examples"]
    assert [example["inputs"]["shape"] for example in drawn] == [[steps, 2] for steps in (2, 2, 3, 3, 4, 4)]
    (told,) = engine("machine.js tasks.js", DRAW, given=[{"described": described, "difficulty": {"example": 6}}])
    assert told["targets"] == drawn[-1]["targets"] == [[row[0]] for row in told["inputs"][::-1]]
