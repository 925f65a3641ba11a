import inspect
import itertools
import math

import pytest
import torch
from sklearn.datasets import load_digits
from torch import tensor
from torch.nn.functional import one_hot

from ntm_lab.tasks import OneShot, Symbols
from ntm_lab.tasks.images import Digits
from ntm_lab.tasks.images.base import choose

A, B = [1.0, 0.0], [0.0, 1.0]


@pytest.fixture
def task():
    return OneShot(ways=[2, 5], shots=[2, 10])


def test_the_drawing_in_the_docstring_is_true(draw):
    task = OneShot(ways=[2, 2], shots=[3, 3])
    batch = task.layout(tensor([[A, B, A, B, B, A]]), tensor([[1, 0, 1, 0, 0, 1]]), tensor([6]))
    shown = batch._replace(targets=one_hot(batch.targets.squeeze(-1)))
    text = draw(shown, ["pixel 0", "pixel 1", "label 0", "label 1"], ["label 0", "label 1"])
    assert text in inspect.getdoc(OneShot)


def test_shapes_types_and_the_answer(task, generator):
    batch = task.sample(4, {"ways": 5, "shots": 10}, generator)
    assert task.answer == Symbols(5)
    assert (task.input_size, task.output_size) == (64 + 5, 5)
    assert batch.inputs.shape == (4, 50, 69)
    assert batch.targets.shape == (4, 50, 1)
    assert [part.dtype for part in batch] == [torch.float32, torch.int64, torch.bool, torch.int64]
    assert batch.mask.all()
    assert batch.lengths.tolist() == [50] * 4
    task.answer.check(batch.targets, batch.mask)
    assert task.solve(batch).shape == (4, 50, 5)
    assert task.overlap({"ways": 5, "shots": 10}, drawn=10_000) == 0


def test_a_label_is_in_the_input_one_step_late(task, generator):
    batch = task.sample(8, {"ways": 4, "shots": 5}, generator)
    heard = batch.inputs[..., 64:]
    assert not heard[:, 0].any()
    assert torch.equal(heard[:, 1:], one_hot(batch.targets[:, :-1, 0], 5).float())


def test_every_class_is_shown_as_often_as_it_should_be(task, generator):
    ways, shots = tensor([2, 5, 3, 4]), tensor([10, 2, 7, 3])
    batch = task.sample(4, {"ways": ways, "shots": shots}, generator)
    for row in range(4):
        _, counts = batch.targets[row][batch.mask[row]].unique(return_counts=True)
        assert counts.tolist() == [shots[row]] * ways[row]
    assert torch.equal(batch.lengths, ways * shots)
    assert torch.equal(batch.mask, batch.exists)
    assert batch.inputs.shape[1] == 21
    for part in (batch.inputs, batch.targets):
        assert not part[~batch.mask].any()


def test_steps_of_a_label_are_images_of_one_digit(generator):
    """And those of another label of another one; the images themselves differ. Digits are not disguised here."""
    data = load_digits()
    number = {
        tuple(image.tolist()): digit for image, digit in zip(tensor(data.data / 16).float(), data.target, strict=True)
    }
    batch = OneShot(images=Digits(disguise="none")).sample(200, {"ways": 5, "shots": 10}, generator)
    seen = set()
    for inputs, targets in zip(batch.inputs[..., :64], batch.targets[..., 0], strict=True):
        shown = [tuple(image) for image in inputs.tolist()]
        assert len(set(shown)) == 50
        pairs = {(number[image], label) for image, label in zip(shown, targets.tolist(), strict=True)}
        assert len(pairs) == len({digit for digit, _ in pairs}) == len({label for _, label in pairs}) == 5
        seen |= pairs
    assert len(seen) == 50  # over the episodes every digit has every label


def test_the_order_and_the_labels_are_uniform(generator):
    """2 ways and 2 shots have 6 orders of showings and 2 bindings; only their product is seen: 6 rows of labels."""
    batch = OneShot(ways=[2, 2], shots=[2, 2]).sample(6000, {"ways": 2, "shots": 2}, generator)
    rows, counts = batch.targets.squeeze(-1).unique(dim=0, return_counts=True)
    assert len(rows) == 6
    assert (counts - 1000).abs().max() < 150  # a standard deviation is 29


def test_with_fewer_ways_than_labels_all_labels_are_used(task, generator):
    batch = task.sample(5000, {"ways": 2, "shots": 1}, generator)
    rows, counts = batch.targets.squeeze(-1).unique(dim=0, return_counts=True)
    assert len(rows) == 20  # ordered pairs of 5 labels
    assert (counts - 250).abs().max() < 80  # a standard deviation is 15


def test_the_optimum_of_2_ways_2_shots_by_enumeration():
    """Every episode of 2 classes and 2 images each: 6 orders of the classes, 12 bindings of 2 of 4 labels.

    The best guess at a step is the share of episodes, among those that agree with what was seen so far, that have
    each label there; what was seen are the classes so far (as numbers in order of appearance) and the labels before.
    """
    episodes = []
    for order in sorted(set(itertools.permutations([0, 0, 1, 1]))):
        for binding in itertools.permutations(range(4), 2):
            episodes.append(([order.index(shown) for shown in order], [binding[shown] for shown in order]))
    targets = tensor([labels for _, labels in episodes])
    task = OneShot(ways=[2, 4], shots=[2, 2])
    batch = task.layout(torch.zeros(len(episodes), 4, 2), targets, torch.full((len(episodes),), 4))
    answer = task.solve(batch)
    for row, (classes, labels) in enumerate(episodes):
        for step in range(4):
            alike = [
                other_labels[step]
                for other_classes, other_labels in episodes
                if other_classes[: step + 1] == classes[: step + 1] and other_labels[:step] == labels[:step]
            ]
            expected = [alike.count(label) / len(alike) for label in range(4)]
            assert answer[row, step].tolist() == pytest.approx(expected)
    cost = task.answer.solution_cost(answer, batch.targets, batch.mask)
    assert cost.tolist() == pytest.approx([math.log2(4 * 3)] * len(episodes))


@pytest.mark.parametrize("ways, shots", [(5, 10), (2, 2), (3, 7)])
def test_the_optimum_costs_the_labels_of_new_classes(ways, shots, task, generator):
    batch = task.sample(6, {"ways": ways, "shots": shots}, generator)
    cost = task.answer.solution_cost(task.solve(batch), batch.targets, batch.mask)
    assert cost.tolist() == pytest.approx([math.log2(math.perm(5, ways))] * 6)


def test_labels_of_five_letters(generator):
    """A label is 25 numbers of the input one step late; its letters are the digits of one of 3,125 numbers."""
    task = OneShot(ways=[10, 10], shots=[2, 2], labels="letters")
    batch = task.sample(8, {"ways": 10, "shots": 2}, generator)
    assert (task.answer, task.input_size, task.output_size) == (Symbols(5, 5), 64 + 25, 25)
    assert batch.targets.shape == (8, 20, 5)
    task.answer.check(batch.targets, batch.mask)
    assert torch.equal(batch.inputs[:, 1:, 64:], one_hot(batch.targets[:, :-1], 5).flatten(2).float())
    for targets in batch.targets:
        _, counts = targets.unique(dim=0, return_counts=True)
        assert counts.tolist() == [2] * 10
    assert batch.targets.unique().tolist() == [0, 1, 2, 3, 4]


def test_the_optimum_for_letters_by_enumeration():
    """At the third step, a new class, all labels but the two given are left, which counts their letters."""
    task = OneShot(ways=[3, 3], shots=[2, 2], labels="letters")
    labels = [7, 3124, 1500]
    batch = task.layout(torch.zeros(1, 4, 64), tensor([[*labels, 7]]), tensor([4]))
    assert batch.targets[0].tolist() == [[0, 0, 0, 1, 2], [4, 4, 4, 4, 4], [2, 2, 0, 0, 0], [0, 0, 0, 1, 2]]
    answer = task.solve(batch).view(4, 5, 5)
    for place, digits in enumerate(zip(*itertools.product(range(5), repeat=5), strict=True)):
        left = [digit for label, digit in enumerate(digits) if label not in labels[:2]]
        assert answer[2, place].tolist() == pytest.approx([left.count(letter) / len(left) for letter in range(5)])
    assert torch.equal(answer[3], one_hot(batch.targets[0, 3], 5).float())


def test_showings_are_counted(task):
    labels = tensor([[2, 0, 2, 2, 0, 1], [4, 4, 0, 0, 0, 0]])
    batch = task.layout(torch.zeros(2, 6, 64), labels, tensor([6, 2]))
    assert {name: steps.int().tolist() for name, steps in task.groups(batch).items()} == {
        "showing_01": [[1, 1, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0]],
        "showing_02": [[0, 0, 1, 0, 1, 0], [0, 1, 0, 0, 0, 0]],
        "showing_03": [[0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0]],
    }


def test_the_generator_decides_everything(task):
    def sample(seed):
        return task.sample(5, {"ways": 3, "shots": 4}, torch.Generator().manual_seed(seed))

    torch.manual_seed(0)
    first = sample(1)
    torch.manual_seed(1)
    assert all(torch.equal(*parts) for parts in zip(first, sample(1), strict=True))
    assert not torch.equal(first.inputs, sample(2).inputs)


def test_a_split_keeps_the_task_and_takes_its_images(task, generator):
    testing = task.split("testing")
    assert (testing.ranges, testing.input_size, testing.answer) == (task.ranges, task.input_size, task.answer)
    assert (testing.images.per_class, task.split("training").images.per_class, task.images.per_class) == (54, 120, 174)
    with pytest.raises(ValueError, match="part='test': must be one of training, validation, testing"):
        task.split("test")


@pytest.mark.parametrize(
    "settings, message",
    [
        pytest.param({"ways": [1, 5]}, r"task.ways=\[1, 5\]: must be at least 2", id="one_way"),
        pytest.param({"shots": [0, 5]}, r"task.shots=\[0, 5\]: must be at least 1", id="no_shots"),
        pytest.param({"labels": "words"}, "task.labels=words: must be one of one_hot, letters", id="labels"),
        pytest.param({"shots": 5}, "task.shots=5: must be two integers", id="shots_not_a_range"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        OneShot(**settings)


@pytest.mark.parametrize(
    "difficulty, message",
    [
        pytest.param(
            {"ways": 6, "shots": 2}, r"ways=6: must be at most 5, the labels there are \(task.ways\)", id="ways"
        ),
        pytest.param({"ways": 2, "shots": 175}, "task.shots=175: must be at most 174, the images of a", id="shots"),
        pytest.param({"ways": 2}, r"difficulty has the axes \['ways'\]: must be \['ways', 'shots'\]", id="axis"),
    ],
)
def test_bad_difficulties(difficulty, message, task, generator):
    with pytest.raises(ValueError, match=message):
        task.sample(2, difficulty, generator)


def test_more_ways_than_classes_are_refused(generator):
    with pytest.raises(ValueError, match=r"task\.ways=11: must be at most 10, the classes of task\.images"):
        OneShot(ways=[2, 11]).sample(1, {"ways": 11, "shots": 1}, generator)


def test_chosen_numbers_are_distinct_and_uniform(generator):
    chosen = choose([6000], 2, 3, generator)
    rows, counts = chosen.unique(dim=0, return_counts=True)
    assert rows.tolist() == [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]
    assert (counts - 1000).abs().max() < 150  # a standard deviation is 29
