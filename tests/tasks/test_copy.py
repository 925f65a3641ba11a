import inspect

import pytest
import torch
from torch import tensor

from ntm_lab.tasks import Copy

VECTORS = tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])


def strings(task, length, count, seed=0):
    """The sequences in a large sample, as a set of tuples."""
    batch = task.sample(count, {"length": length}, torch.Generator().manual_seed(seed))
    return {tuple(sequence) for sequence in batch.inputs[:, :length, : task.bits].flatten(1).tolist()}


def test_the_drawing_in_the_docstring_is_true(draw):
    batch = Copy(bits=2).layout(VECTORS, tensor([3]))
    assert draw(batch, ["bit 0", "bit 1", "delimiter"], ["bit 0", "bit 1"]) in inspect.getdoc(Copy)


def test_start_code_opens_the_sequence_on_a_channel_of_its_own():
    batch = Copy(bits=2, start_code=True).layout(VECTORS[:, :2], tensor([2]))
    assert batch.inputs[0].T.tolist() == [
        [0, 1, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],
        [0, 0, 0, 1, 0, 0],
        [1, 0, 0, 0, 0, 0],
    ]
    assert batch.targets[0].T.tolist() == [[0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]]
    assert batch.mask[0].tolist() == [False] * 4 + [True] * 2
    assert batch.lengths.tolist() == [6]


def test_coding_of_collier_and_beel_has_eight_channels():
    assert Copy(bits=6, start_code=True).input_size == 8


def test_mixed_lengths_lay_out_as_alone(alone):
    task = Copy(bits=2, start_code=True)
    length = tensor([2, 3, 1])
    mixed = task.layout(VECTORS.expand(3, -1, -1), length)
    for row, count in enumerate(length):
        expected = task.layout(VECTORS[:, :count], count[None])
        assert all(torch.equal(*parts) for parts in zip(alone(mixed, row), expected, strict=True))


@pytest.mark.parametrize("held_out", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("length", [1, 2])
def test_parts_have_no_sequence_in_common(length, held_out):
    task = Copy(held_out=held_out)
    training, testing = (strings(task.split(part), length, 5000) for part in ("training", "testing"))
    assert training
    assert testing
    assert not training & testing


def test_every_sequence_of_length_one_belongs_to_a_part():
    task = Copy(held_out=0.1)
    training, testing = (strings(task.split(part), 1, 10_000) for part in ("training", "testing"))
    assert len(training) + len(testing) == 256
    assert strings(task, 1, 10_000) == training | testing


def test_training_finds_the_few_sequences_that_are_not_held_out(generator):
    task = Copy(held_out=0.99).split("training")
    vectors = task.sample(64, {"length": 5}, generator).inputs[:, :5, :8]
    assert not task.is_held_out(vectors, torch.full((64,), 5)).any()


@pytest.mark.parametrize("held_out", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("length", [1, 2, 20, 100])
def test_held_out_is_a_fraction_of_all_sequences(length, held_out, generator):
    task = Copy(held_out=held_out)
    if length <= 2:
        numbers = torch.arange(task.strings(length))  # every one
        vectors = (numbers[:, None] >> torch.arange(8 * length) & 1).float().unflatten(1, (length, 8))
    else:
        vectors = torch.randint(2, (5000, length, 8), generator=generator).float()
    fraction = task.is_held_out(vectors, torch.full((len(vectors),), length)).double().mean()
    deviation = (held_out * (1 - held_out) / len(vectors)) ** 0.5
    assert abs(fraction - held_out) < 4 * deviation


def test_hash_is_the_same_on_every_machine_and_whatever_the_padding():
    """Against Python's integers, of any size, from the formula."""
    task = Copy(bits=3, held_out=0.3)
    length = tensor([1, 2, 4] * 20)
    vectors = torch.randint(2, (60, 4, 3), generator=torch.Generator().manual_seed(3)).float()
    vectors *= (torch.arange(4) < length[:, None])[..., None]

    def held_out(sequence, count):
        digits = [count, *(int(bit) for vector in sequence[:count] for bit in vector)]
        hashed = sum(digit * 742938285 ** (place + 1) for place, digit in enumerate(digits)) % (2**31 - 1)
        return hashed / (2**31 - 1) < 0.3

    expected = [held_out(*pair) for pair in zip(vectors.tolist(), length.tolist(), strict=True)]
    assert task.is_held_out(vectors, length).tolist() == expected
    assert True in expected and False in expected


def test_parts_keep_the_settings_of_the_task_and_leave_it_alone():
    task = Copy(lengths=[2, 5], bits=3, start_code=True, held_out=0.5)
    training = task.split("training")
    assert training is not task
    assert task.part is None
    assert {**vars(training), "part": None} == vars(task)
    assert strings(training.split("testing"), 2, 500) == strings(task.split("testing"), 2, 500)


@pytest.mark.parametrize("part", ["training", "testing"])
def test_parts_of_a_mixed_batch_are_kept_apart_too(part, generator):
    task = Copy(held_out=0.3)
    length = torch.randint(1, 21, (300,), generator=generator)
    batch = task.split(part).sample(300, {"length": length}, generator)
    said = (torch.arange(20) < length[:, None])[..., None] * batch.inputs[:, :20, :8]
    assert (task.is_held_out(said, length) == (part == "testing")).all()


def test_a_part_without_sequences_says_so(generator):
    task = Copy(bits=1, held_out=0.01)  # two sequences of length 1, both for training
    assert strings(task.split("training"), 1, 100) == {(0,), (1,)}
    with pytest.raises(ValueError, match=r"task.held_out=0.01: found no sequence of length 1 for testing"):
        task.split("testing").sample(4, {"length": 1}, generator)


@pytest.mark.parametrize("length, drawn", [(1, 100), (1, 1000), (2, 30_000), (2, 100_000)])
def test_overlap_is_what_is_counted(length, drawn):
    task = Copy()
    counted = len(strings(task, length, drawn)) / task.strings(length)  # test sequences are uniform over all
    assert counted == pytest.approx(task.overlap({"length": length}, drawn), abs=0.05 if length == 1 else 0.005)


def test_overlap_at_its_extremes():
    assert Copy().strings(2) == 65_536
    assert Copy().overlap({"length": 1}, 0) == 0
    assert Copy().overlap({"length": 1}, 10**9) == 1
    assert Copy().overlap({"length": 10}, 10**6) == pytest.approx(
        10**6 / 2**80, rel=1e-9, abs=0
    )  # where 1 − 1/S rounds to 1
    assert Copy().overlap({"length": 1000}, 10**6) == 0
    assert Copy(held_out=0.1).overlap({"length": 1}, 10**9) == 0
