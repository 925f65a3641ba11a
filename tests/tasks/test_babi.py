"""bAbI as a task, on small stories of our own; and on the publishers', where they lie beside the project."""

import inspect

import pytest
import torch
from torch import tensor

from ntm_lab.tasks import Babi, Symbols
from ntm_lab.tasks.answers import by_group
from ntm_lab.tasks.stories import LONGEST, NUMBERS, WORDS


def make(babi, tasks=(1, 4, 8), **settings):
    return Babi(babi, tasks=tasks, partial=True, **settings)


def said(batch, row):
    """The words of a story, a list a step."""
    steps = batch.inputs[row, : batch.lengths[row]].unflatten(-1, (-1, len(WORDS)))
    return [[WORDS[number] for number in step.nonzero()[:, 1]] for step in steps]


def text(batch, row):
    """A story with its answers, in one line."""
    return " ".join([*(word for step in said(batch, row) for word in step), *answers(batch, row)])


def answers(batch, row):
    return [WORDS[number] for number in batch.targets[row, batch.mask[row], 0]]


def test_the_drawing_in_the_docstring_is_true():
    story = ["mary", "went", "to", "the", "kitchen", ".", "where", "is", "mary", "?", "-"]
    words = tensor([[NUMBERS[word] for word in story]])
    asked = tensor([[0] * 10 + [NUMBERS["kitchen"]]])
    batch = Babi(None).layout(words[..., None], asked, tensor([0]), tensor([11]))
    steps = [step for (step,) in said(batch, 0)]
    lines = [line.split() for line in inspect.getdoc(Babi).splitlines()]
    assert ["input", *steps] in lines
    assert ["target", *answers(batch, 0)] in lines
    assert ["scored", *("x" if scored else "." for scored in batch.mask[0].tolist())] in lines


@pytest.mark.parametrize("steps", ["words", "sentences"])
def test_shapes_types_and_the_answer(babi, steps, generator):
    task = make(babi, steps=steps)
    batch = task.sample(6, {"questions": 5}, generator)
    width = 159 * (LONGEST if steps == "sentences" else 1)
    assert (task.input_size, task.answer, task.ranges) == (width, Symbols(159), {"questions": (1, 5)})
    assert batch.inputs.shape == (6, int(batch.lengths.max()), width)
    assert [part.dtype for part in batch] == [torch.float32, torch.int64, torch.bool, torch.int64]
    assert not batch.inputs[~batch.exists].any() and not batch.targets[~batch.exists].any()
    assert batch.mask.any(1).all() and not batch.mask[~batch.exists].any()
    task.answer.check(batch.targets, batch.mask)
    assert not task.answer.solution_cost(task.solve(batch), batch.targets, batch.mask).any()


def test_words_and_sentences_tell_the_same(babi):
    numbers = torch.arange(8)
    tasks = [make(babi, [8], steps=steps).split("testing") for steps in ("words", "sentences")]
    by_word, by_sentence = (task.take(numbers, {"questions": 5}) for task in tasks)
    for row in range(8):
        assert text(by_word, row) == text(by_sentence, row)
    assert int(by_word.mask.sum(1).max()) == 3  # words of an answer


@pytest.mark.parametrize("steps", ["words", "sentences"])
def test_a_story_ends_after_its_first_questions(babi, steps):
    task = make(babi, [1], steps=steps).split("testing")
    one, both, more = (task.take(torch.arange(4), {"questions": count}) for count in (1, 2, 5))
    assert one.mask.sum(1).tolist() == [1] * 4 and both.mask.sum(1).tolist() == [2] * 4
    assert all(map(torch.equal, both, more))
    for row in range(4):
        assert said(one, row) == said(both, row)[: one.lengths[row]]
    assert torch.equal(task.stored({"questions": 1}), task.take(torch.arange(12), {"questions": 1}).lengths)
    mixed = make(babi, [1], steps=steps).split("training").sample(3, {"questions": tensor([1, 2, 1])})
    assert mixed.mask.sum(1).tolist() == [1, 2, 1]  # each as it was asked for, whatever its length


@pytest.mark.parametrize("steps", ["words", "sentences"])
def test_groups_are_tasks_and_questions(babi, steps, generator):
    """A question is right if all words of its answer are: the last is said wrongly of every answer of several words."""
    task = make(babi, steps=steps).split("testing")
    batch = task.sample(36, {"questions": 2}, generator)
    assert [batch.targets[row, 0, 0].item() for row in range(3)] == [0, 1, 2]  # one of each task in turn
    groups = {name: ends.sum(1).tolist() for name, ends in task.groups(batch).items()}
    assert groups == {
        "babi_01": [2, 0, 0] * 12,
        "babi_04": [0, 1, 0] * 12,
        "babi_08": [0, 0, 1] * 12,
        "question_01": [1, 1, 1] * 12,
        "question_02": [1, 0, 0] * 12,
    }
    outputs = task.solve(batch)
    several = batch.mask.sum(1) > 1
    several[0::3] = False
    assert several.any() and not several[2::3].all()
    last = batch.lengths - 1
    outputs[several, last[several]] = outputs[several, last[several]].roll(1, -1)
    counts = by_group(task, outputs, batch)
    assert counts["babi_08"][2::3].tolist() == [[0 if many else 1, 1] for many in several[2::3].tolist()]
    assert counts["babi_01"].sum(0).tolist() == [24, 24]


def stories(task):
    """All stories of a part, as one would write them."""
    count = len(task.stored({"questions": 5}))
    batch = task.take(torch.arange(count), {"questions": 5})
    return [text(batch, row) for row in range(count)]


def test_parts_have_no_story_in_common(babi):
    task = make(babi, validation=0.3)
    training, validation = (stories(task.split(part)) for part in ("training", "validation"))
    assert not {*training} & {*validation}
    assert len(training) + len(validation) == 3 * 40
    assert len({*validation}) == pytest.approx(0.3 * len({*training, *validation}), abs=2)
    assert len(stories(task.split("testing"))) == 3 * 12


def test_training_draws_every_task_alike_and_every_story(babi):
    task = make(babi, pool=2).split("training")
    drawn, seen = torch.zeros(3), set()
    generator = torch.Generator().manual_seed(0)
    for _ in range(90):
        batch = task.sample(8, {"questions": 5}, generator)
        drawn += torch.bincount(batch.targets[:, 0, 0], minlength=3)
        seen |= {text(batch, row) for row in range(8)}
    assert (drawn - 240).abs().max() < 80  # a standard deviation is 13, but batches are bucketed
    assert seen == {*stories(task)}


def test_a_batch_of_training_is_of_like_length(babi):
    """Sorted by length four batches of 8 are drawn for one; without that a batch spans all lengths."""

    def spread(pool):
        task, generator = make(babi, pool=pool).split("training"), torch.Generator().manual_seed(0)
        lengths = [task.sample(8, {"questions": 5}, generator).lengths.double() for _ in range(50)]
        return float(torch.stack(lengths).std(1).mean())

    assert spread(4) < 0.5 * spread(1)


def test_the_generator_decides_everything(babi):
    def sample(seed, part):
        return make(babi).split(part).sample(5, {"questions": 2}, torch.Generator().manual_seed(seed))

    for part in ("training", "validation", "testing"):
        assert all(map(torch.equal, sample(1, part), sample(1, part)))
        assert not torch.equal(sample(1, part).inputs, sample(2, part).inputs)


def test_the_overlap_is_of_stories_that_train(tmp_path):
    """Ten training stories, of which one validates; two of the test's three are among the nine."""
    folder = tmp_path / "en-10k"
    folder.mkdir()
    places = ["kitchen", "garden", "office", "hallway", "bathroom", "bedroom", "park", "school", "cinema", "box"]
    story = "1 Mary went to the {0}.\n2 Where is Mary?\t{0}\t1\n".format
    (folder / "qa1_x_train.txt").write_text("".join(map(story, places)))
    task = Babi(tmp_path, tasks=[1], partial=True)
    one, other, *_ = (text.split()[-1] for text in stories(task.split("training")))
    (validates,) = (text.split()[-1] for text in stories(task.split("validation")))
    (folder / "qa1_x_test.txt").write_text("".join(map(story, [one, other, validates])))
    assert task.overlap({"questions": 1}, 5) == pytest.approx(2 / 3)


def test_rungs_are_those_of_the_curriculum():
    task = Babi(None, tasks=[20])
    assert [rung["questions"] for rung in task.rungs(9)] == [1, 2, 4, 8, 12]
    assert [rung["questions"] for rung in task.rungs(2)] == [8, 12]
    assert Babi(None, tasks=[4]).rungs(5) == [{"questions": 1}]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"version": "hn"}, "version=hn: must be one of en, en-10k"),
        ({"tasks": []}, r"tasks=\[\]: must be a list of numbers of tasks"),
        ({"tasks": 1}, "tasks=1: must be a list of numbers of tasks"),
        ({"tasks": [1, True]}, r"tasks=\[1, True\]: must be a list"),
        ({"tasks": [0, 1]}, r"tasks=\[0, 1\]: must be different numbers from 1 to 20"),
        ({"tasks": [2, 2]}, r"tasks=\[2, 2\]: must be different numbers"),
        ({"steps": "letters"}, "steps=letters: must be one of words, sentences"),
        ({"pause": -1}, "pause=-1: must be a whole number of at least 0"),
        ({"validation": 1}, "validation=1: must be between 0 and 1"),
        ({"pool": 0}, "pool=0: must be a whole number of at least 1"),
        ({"partial": 1}, "partial=1: must be true or false"),
    ],
    ids=str,
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=f"^task.{message}"):
        Babi("anywhere", **settings)


def test_no_story_left_for_training(babi):
    with pytest.raises(ValueError, match=r"^task\.validation=0\.999: leaves no story for training"):
        make(babi, [1], validation=0.999).split("training").sample(1)


def test_the_publishers_files(published):
    """What is known of them: numbers of stories, the longest, and the tests that stand in the training file."""
    task = Babi(published, tasks=[1, 4, 19])
    assert len(task.split("testing").stored({"questions": 5})) == 200 + 1000 + 1000
    assert len(task.stored({"questions": 5})) == 2000 + 10_000 + 10_000
    assert int(Babi(published, tasks=[2]).split("testing").stored({"questions": 5}).max()) == 582
    fourth, all_of_it = Babi(published, tasks=[4]), {"questions": 1}
    trained, tested = {*fourth._texts(all_of_it)}, fourth.split("testing")._texts(all_of_it)
    assert len(tested) == 1000 and sum(text in trained for text in tested) == 741
    assert fourth.overlap(all_of_it, 1) == 0.654  # without the tenth that validates


def test_the_publishers_tests_are_whole(published):
    for number in (1, 3, 8):
        assert len(Babi(published, tasks=[number]).split("testing").stored({"questions": 12})) == 200
