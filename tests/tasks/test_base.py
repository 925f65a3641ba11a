"""What holds for every task, and the settings they share."""

import pytest
import torch
from omegaconf import OmegaConf
from torch import tensor
from torch.nn.functional import binary_cross_entropy

from ntm_lab.tasks import AssociativeRecall, Copy, NGrams, RepeatCopy, Sort

# A task, difficulties within and beyond its ranges, and one that differs within a batch of five.
MIXABLE = {
    "copy": (Copy(), [{"length": 1}, {"length": 20}, {"length": 300}], {"length": tensor([3, 1, 20, 7, 50])}),
    "copy_with_start_code": (Copy(start_code=True), [{"length": 9}], {"length": tensor([3, 1, 20, 7, 50])}),
    "repeat_copy": (
        RepeatCopy(),
        [{"length": 1, "repeats": 1}, {"length": 7, "repeats": 10}, {"length": 3, "repeats": 500}],
        {"length": tensor([3, 1, 10, 7, 20]), "repeats": tensor([1, 30, 5, 2, 10])},
    ),
    "associative_recall": (
        AssociativeRecall(),
        [{"items": 2}, {"items": 6}, {"items": 40}],
        {"items": tensor([2, 6, 20, 3, 2])},
    ),
    "sort": (Sort(), [{"items": 1}, {"items": 20}, {"items": 70}], {"items": tensor([2, 20, 30, 7, 1])}),
}
NGRAMS = (NGrams(), [{"length": 200, "context": 5}], {"length": tensor([200] * 5), "context": 5})
EVERY = MIXABLE | {"ngrams": NGRAMS}


def cases(tasks: dict, names: str) -> pytest.MarkDecorator:
    rows = [
        pytest.param(task, difficulty, id=f"{name}-{'mixed' if difficulty is mixed else index}")
        for name, (task, shared, mixed) in tasks.items()
        for index, difficulty in enumerate([*shared, mixed])
    ]
    return pytest.mark.parametrize(names, rows)


each_mixable_task = pytest.mark.parametrize("name", MIXABLE)


@cases(MIXABLE, "task, difficulty")
def test_the_solution_has_zero_cost(task, difficulty, generator):
    batch = task.sample(5, difficulty, generator)
    unseen = batch._replace(targets=torch.full_like(batch.targets, torch.nan))  # a solution must not look at them
    answer = task.solve(unseen)
    assert answer.shape == batch.targets.shape
    assert batch.mask.any(1).all()
    assert binary_cross_entropy(answer[batch.mask], batch.targets[batch.mask]) == 0


@cases(EVERY, "task, difficulty")
def test_shapes_and_types(task, difficulty, generator):
    batch = task.sample(5, difficulty, generator)
    steps = int(batch.lengths.max())
    assert batch.inputs.shape == (5, steps, task.input_size)
    assert batch.targets.shape == (5, steps, task.output_size)
    assert batch.mask.shape == (5, steps)
    assert batch.lengths.shape == (5,)
    dtypes = [part.dtype for part in batch]
    assert dtypes == [torch.float32, torch.float32, torch.bool, torch.int64]
    assert ((batch.targets == 0) | (batch.targets == 1)).all()


@cases(EVERY, "task, difficulty")
def test_the_generator_decides_everything(task, difficulty):
    def sample(seed):
        return task.sample(5, difficulty, torch.Generator().manual_seed(seed))

    torch.manual_seed(0)
    first = sample(1)
    torch.manual_seed(1)
    assert all(torch.equal(*parts) for parts in zip(first, sample(1), strict=True))
    assert not torch.equal(first.inputs, sample(2).inputs)


@each_mixable_task
def test_padding_is_zero_and_unscored(name, generator):
    task, _, mixed = MIXABLE[name]
    batch = task.sample(5, mixed, generator)
    padding = torch.arange(batch.inputs.shape[1]) >= batch.lengths[:, None]
    assert padding.any()
    assert not batch.inputs[padding].any()
    assert not batch.targets[padding].any()
    assert not batch.mask[padding].any()


@each_mixable_task
def test_a_sequence_of_a_mixed_batch_looks_as_if_sampled_alone(name, generator, alone):
    task, _, mixed = MIXABLE[name]
    batch = task.sample(5, mixed, generator)
    for row in range(5):
        sequence = alone(batch, row)
        other = task.sample(1, {axis: int(values[row]) for axis, values in mixed.items()}, generator)
        assert sequence.inputs.shape == other.inputs.shape
        assert torch.equal(sequence.mask, other.mask)
        assert torch.equal(sequence.lengths, other.lengths)
        random = task.bits + (name == "sort")  # channels: bits, and a priority in sort; all others are fixed
        assert torch.equal(sequence.inputs[..., random:], other.inputs[..., random:])
        assert torch.equal(task.solve(sequence)[0], task.solve(batch)[row, : len(sequence.mask[0])])


@each_mixable_task
def test_bits_are_fair(name, generator):
    task, shared, _ = MIXABLE[name]
    batch = task.sample(4000, shared[0], generator)
    bits = batch.targets[batch.mask][:, : task.bits].mean(0)  # a standard deviation is below 0.008
    if name == "repeat_copy":
        bits *= 2  # one step of two is the end
    assert (bits - 0.5).abs().max() < 0.05


@pytest.mark.parametrize(
    "task, difficulty, harder",
    [
        pytest.param(Copy(), {"length": 3}, {"length": 6}, id="copy_doubles"),
        pytest.param(Copy(), {"length": 16}, {"length": 20}, id="copy_stops_at_its_range"),
        pytest.param(Copy(lengths=[5, 20]), {"length": 1}, {"length": 5}, id="copy_starts_at_its_range"),
        pytest.param(RepeatCopy(), {"length": 2, "repeats": 10}, {"length": 3, "repeats": 10}, id="repeat_copy"),
        pytest.param(AssociativeRecall(), {"items": 5}, {"items": 6}, id="recall_adds_one"),
        pytest.param(AssociativeRecall(), {"items": 6}, {"items": 6}, id="recall_stops_at_its_range"),
        pytest.param(NGrams(), {"length": 200, "context": 5}, {"length": 200, "context": 5}, id="ngrams_stay"),
        pytest.param(Sort(), {"items": 19}, {"items": 20}, id="sort_adds_one"),
        pytest.param(Sort(), {"items": 20}, {"items": 20}, id="sort_stops_at_its_range"),
    ],
)
def test_harder(task, difficulty, harder):
    assert task.harder(difficulty) == harder


@pytest.mark.parametrize("name", EVERY)
def test_a_task_that_keeps_nothing_apart_is_its_own_split(name):
    task = EVERY[name][0]
    assert task.split("training") is task
    assert task.split("validation") is task
    assert task.split("testing") is task
    with pytest.raises(ValueError, match="part='test': must be one of training, validation, testing"):
        task.split("test")


@pytest.mark.parametrize(
    "difficulty, message",
    [
        pytest.param({}, r"difficulty has the axes \[\]: must be \['length'\]", id="missing_axis"),
        pytest.param({"length": 1, "size": 1}, r"axes \['length', 'size'\]: must be \['length'\]", id="unknown_axis"),
        pytest.param({"length": 0}, "difficulty length=0: must be at least 1", id="zero"),
        pytest.param({"length": tensor([3, -2])}, "difficulty length=-2: must be at least 1", id="negative_in_a_row"),
        pytest.param({"length": 2.5}, "difficulty length=2.5: must be an integer", id="fraction"),
        pytest.param({"length": tensor([1, 2, 3])}, "one for each of 2 sequences", id="wrong_count"),
    ],
)
def test_bad_difficulties(difficulty, message, generator):
    with pytest.raises(ValueError, match=message):
        Copy().sample(2, difficulty, generator)


@pytest.mark.parametrize(
    "lengths, message",
    [
        pytest.param([20, 1], r"task.lengths=\[20, 1\]: the first must not exceed the second", id="reversed"),
        pytest.param([0, 4], r"task.lengths=\[0, 4\]: must be at least 1", id="zero"),
        pytest.param([1, 2, 3], r"task.lengths=\[1, 2, 3\]: must be two integers", id="three"),
        pytest.param([1, 2.5], r"task.lengths=\[1, 2.5\]: must be two integers", id="fraction"),
        pytest.param(OmegaConf.create([1, None]), r"task.lengths=\[1, None\]: must be two integers", id="none"),
        pytest.param(7, "task.lengths=7: must be two integers", id="number"),
        pytest.param("19", "task.lengths=.*: must be two integers", id="text"),
    ],
)
def test_bad_ranges(lengths, message):
    with pytest.raises(ValueError, match=message):
        Copy(lengths=lengths)


def test_a_range_may_come_from_a_config():
    assert Copy(lengths=OmegaConf.create([4, 9])).ranges == {"length": (4, 9)}


@pytest.mark.parametrize(
    "make, message",
    [
        pytest.param(lambda: Copy(bits=0), "task.bits=0: must be at least 1", id="copy_bits"),
        pytest.param(lambda: Copy(bits=2.0), "task.bits=2.0: must be an integer", id="copy_bits_fraction"),
        pytest.param(lambda: Copy(start_code=2), "task.start_code=2: must be true or false", id="copy_start_code"),
        pytest.param(lambda: Copy(held_out=1.0), "task.held_out=1.0: must be .* below 1", id="copy_held_out"),
        pytest.param(lambda: Copy(held_out=-0.1), "task.held_out=-0.1: must be .* at least 0", id="copy_held_out_sign"),
        pytest.param(lambda: RepeatCopy(repeats=[2, 1]), r"task.repeats=\[2, 1\]: the first", id="repeat_copy_repeats"),
        pytest.param(
            lambda: AssociativeRecall(items=[1, 6]), r"task.items=\[1, 6\]: must be at least 2", id="recall_items"
        ),
        pytest.param(lambda: AssociativeRecall(rows=0), "task.rows=0: must be at least 1", id="recall_rows"),
        pytest.param(
            lambda: AssociativeRecall(items=[2, 5], rows=1, bits=2),
            r"task.rows=1, task.bits=2: must allow 5 distinct items \(task.items\), but there are 4",
            id="recall_too_few_items",
        ),
        pytest.param(lambda: NGrams(length=5), "task.length=5: must exceed task.context=5", id="ngrams_length"),
        pytest.param(lambda: NGrams(context=True), "task.context=True: must be an integer", id="ngrams_context"),
        pytest.param(lambda: Sort(outputs=25), "task.outputs=25: must not exceed task.items=20", id="sort_outputs"),
        pytest.param(lambda: Sort(min_items=21), "task.min_items=21: must not exceed task.items=20", id="sort_min"),
        pytest.param(lambda: Sort(items=0), "task.items=0: must be at least 1", id="sort_items"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()
