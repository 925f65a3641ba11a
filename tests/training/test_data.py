"""Where batches come from: the same for the same seed, heard of by the curriculum, apart from the validation set."""

import copy
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from ntm_lab.tasks import Copy, NGrams, RepeatCopy
from ntm_lab.tasks.difficulties import hardest, label, ladder, seeded
from ntm_lab.training.curricula import Growing, LookBack, PredictionGain, Uniform
from ntm_lab.training.data import Data
from ntm_lab.types import Batch, Difficulty, Task


class Listener(Uniform):
    """Remembers what it drew and what it heard."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.drawn: list[Difficulty] = []
        self.heard: list[tuple[Difficulty, float, float | None]] = []

    def draw(self, generator: torch.Generator) -> Difficulty:
        self.drawn.append(super().draw(generator))
        return self.drawn[-1]

    def observe(self, difficulty: Difficulty, cost: float, cost_after: float | None = None) -> None:
        self.heard.append((difficulty, cost, cost_after))


def make(task: Task | None = None, curriculum: Callable[[Task], Any] = Uniform, seed: int = 0, **settings: Any) -> Data:
    task = Copy(lengths=(1, 6), bits=3) if task is None else task
    given = {"max_sequences": 100, "batch_size": 4, "validation_sequences": 5} | settings
    return Data(task, curriculum(task), seed=seed, **given)


def trainer_of(rank: int = 0, processes: int = 1, accumulated: int = 1, step: int = 0) -> Any:
    """What Data asks of the trainer, in one of several processes."""
    return SimpleNamespace(
        global_step=step, global_rank=rank, world_size=processes, accumulate_grad_batches=accumulated
    )


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(left, right) for left, right in zip(one, other, strict=True))


@pytest.mark.parametrize("mixed", [False, True], ids=["alike", "mixed"])
def test_the_same_seed_gives_the_same_batches(mixed: bool) -> None:
    one, other, third = (make(seed=seed, mixed_lengths=mixed) for seed in (3, 3, 4))
    batches = [[data.next_batch() for _ in range(10)] for data in (one, other, third)]
    assert all(same(left, right) for left, right in zip(batches[0], batches[1], strict=True))
    assert not all(same(left, right) for left, right in zip(batches[0], batches[2], strict=True))


def test_one_difficulty_for_the_batch_or_one_for_each_sequence() -> None:
    alike, mixed = make(), make(mixed_lengths=True)
    lengths = [[data.next_batch().lengths for _ in range(10)] for data in (alike, mixed)]
    assert all(len(set(batch.tolist())) == 1 for batch in lengths[0])
    assert len({int(batch[0]) for batch in lengths[0]}) > 1
    assert any(len(set(batch.tolist())) > 1 for batch in lengths[1])


def test_the_curriculum_hears_the_mean_cost_of_a_batch() -> None:
    data = make(curriculum=Listener)
    for _ in range(2):
        data.next_batch()
        data.observe(torch.tensor([1.0, 2.0, 3.0, 6.0]), torch.tensor([1.0, 1.0, 1.0, 3.0]))
    assert isinstance(data.curriculum, Listener)
    assert data.curriculum.heard == [(point, 3.0, 1.5) for point in data.curriculum.drawn]
    assert len(data.curriculum.heard) == 2


def test_with_mixed_lengths_it_hears_the_cost_of_every_sequence() -> None:
    """In the order drawn, each cost beside the difficulty of its own sequence."""
    data = make(curriculum=Listener, mixed_lengths=True)
    assert isinstance(data.curriculum, Listener)
    for _ in range(5):
        batch = data.next_batch()
        data.observe(batch.lengths.float())  # a cost that tells which sequence it is of
        assert [cost for _, cost, _ in data.curriculum.heard[-4:]] == batch.lengths.tolist()
    assert [point for point, _, _ in data.curriculum.heard] == data.curriculum.drawn
    assert all(cost == 2 * point["length"] + 1 for point, cost, _ in data.curriculum.heard)
    assert len({cost for _, cost, _ in data.curriculum.heard}) > 2


def live(data: Data, batches: int) -> list[Batch]:
    """Draw batches, whose costs fall with time and depend on the sequences."""
    drawn = []
    for _ in range(batches):
        drawn.append(data.next_batch())
        costs = drawn[-1].targets.sum((1, 2)) / (1 + sum(data.counts.values()))
        data.observe(costs, 0.9 * costs if data.curriculum.measures_gain else None)
    return drawn


@pytest.mark.parametrize("curriculum", [Uniform, LookBack, PredictionGain])
@pytest.mark.parametrize("mixed", [False, True], ids=["alike", "mixed"])
def test_a_state_taken_midway_continues_identically(curriculum: Callable[[Task], Any], mixed: bool) -> None:
    data = make(curriculum=curriculum, mixed_lengths=mixed)
    live(data, 12)
    state = copy.deepcopy(data.state_dict())
    expected = live(data, 30)
    resumed = make(curriculum=curriculum, mixed_lengths=mixed, seed=99)
    resumed.load_state_dict(state)
    assert all(same(left, right) for left, right in zip(live(resumed, 30), expected, strict=True))
    assert resumed.counts == data.counts


def test_the_validation_set_does_not_depend_on_the_run() -> None:
    one, other = make(seed=0, batch_size=2), make(seed=7, mixed_lengths=True, curriculum=Growing)
    live(one, 3)
    assert all(same(left, right) for left, right in zip(one.validation, other.validation, strict=True))
    assert [len(batch.inputs) for batch in one.validation] == [5] * 4
    assert [int(batch.mask.sum(1).max()) for batch in one.validation] == [rung["length"] for rung in one.rungs]


def strings(batch: Batch, bits: int) -> set[tuple[float, ...]]:
    """What is to be copied in each sequence of a batch."""
    return {
        tuple(inputs[: int(scored.sum()), :bits].flatten().tolist())
        for inputs, scored in zip(batch.inputs, batch.mask, strict=True)
    }


def test_what_is_held_out_is_never_trained_on() -> None:
    """Of 8 + 64 + 512 strings half is held out; 2,000 draws would meet those of the validation set."""
    settings = {"validation_sequences": 50, "validation_rungs": 3, "batch_size": 50}
    trained: dict[float, set[Any]] = {}
    validated: dict[float, set[Any]] = {}
    for share in (0.0, 0.5):
        data = make(Copy(lengths=(1, 3), bits=3, held_out=share), **settings)
        trained[share] = set().union(*(strings(data.next_batch(), 3) for _ in range(40)))
        validated[share] = set().union(*(strings(batch, 3) for batch in data.validation))
    assert trained[0.0] & validated[0.0]
    assert trained[0.5] and validated[0.5] and not trained[0.5] & validated[0.5]


@pytest.mark.parametrize(
    ("task", "rungs", "expected"),
    [
        (Copy(lengths=(1, 20)), 4, [6, 10, 15, 20]),
        (Copy(lengths=(1, 20)), 1, [20]),
        (Copy(lengths=(3, 4)), 5, [3, 4]),
        (Copy(lengths=(7, 7)), 4, [7]),
    ],
    ids=["four", "only the hardest", "coinciding", "one point"],
)
def test_the_ladder_ends_at_the_hardest(task: Task, rungs: int, expected: list[int]) -> None:
    assert [rung["length"] for rung in ladder(task, rungs)] == expected
    assert ladder(task, rungs)[-1] == hardest(task)


def test_the_ladder_climbs_all_axes_together() -> None:
    task = RepeatCopy(lengths=(1, 3), repeats=(1, 5))
    assert [tuple(rung.values()) for rung in ladder(task, 2)] == [(2, 3), (3, 5)]


def test_labels_sort_as_numbers_do() -> None:
    assert label({"length": 5, "repeats": 12}) == "length_005,repeats_012"
    assert label({"length": 9}) < label({"length": 10}) < label({"length": 100})


@pytest.mark.parametrize(
    ("max_sequences", "batch_size", "validate_every"),
    [(100, 4, 20), (100, 8, 20), (101, 8, 24), (3, 8, 800), (50, 1, 7), (64, 16, 16)],
    ids=str,
)
def test_the_rounds_add_up_to_the_budget(max_sequences: int, batch_size: int, validate_every: int) -> None:
    """One loader a round; the last is as long as what is left, and a round is `validate_every` rounded up."""
    data = make(max_sequences=max_sequences, batch_size=batch_size, validate_every=validate_every)
    trainer = data.trainer = trainer_of()
    rounds = []
    while trainer.global_step < data.total_steps:
        loader = data.train_dataloader()
        batches = list(loader)
        assert len(batches) == len(loader)
        assert all(len(batch.inputs) == batch_size for batch in batches)
        rounds.append(len(batches))
        trainer.global_step += len(batches)
    assert sum(rounds) == -(-max_sequences // batch_size)
    assert set(rounds[:-1]) <= {-(-validate_every // batch_size)} and rounds[-1] <= -(-validate_every // batch_size)


def test_batches_are_drawn_when_they_are_asked_for() -> None:
    """Not one ahead of time: the curriculum must have heard of the batch before."""
    data = make()
    data.trainer = trainer_of()
    iterator = iter(data.train_dataloader())
    assert sum(data.counts.values()) == 0
    next(iterator)
    assert sum(data.counts.values()) == 4


@pytest.mark.parametrize(("processes", "accumulated"), [(1, 2), (2, 1), (2, 3)], ids=str)
def test_the_parts_of_all_processes_are_the_batches_of_one(processes: int, accumulated: int) -> None:
    """And the costs of the parts come together in the order of the sequences."""
    settings = {"batch_size": 12, "mixed_lengths": True, "validation_sequences": 6}
    alone, *sharing = (make(**settings) for _ in range(1 + processes))
    alone.trainer = trainer_of()
    parts = []
    for rank, data in enumerate(sharing):
        data.trainer = trainer_of(rank, processes, accumulated)
        data.setup("fit")
        loader = data.train_dataloader()
        parts.append(list(loader))
        assert len(loader) == len(parts[-1]) == accumulated * len(alone.train_dataloader())
    for step, batch in enumerate(alone.train_dataloader()):
        now = [part[accumulated * step :][:accumulated] for part in parts]
        assert {len(part.inputs) for own in now for part in own} == {12 / processes / accumulated}
        costs = torch.stack([torch.cat([part.inputs.sum((1, 2)) for part in own]) for own in now])  # (P, B / P)
        assert sharing[0].in_order(costs).tolist() == batch.inputs.sum((1, 2)).tolist()
    assert all(data.counts == alone.counts for data in sharing)
    validated = [[part.inputs for part in data.val_dataloader()] for data in sharing]
    assert all(
        torch.equal(torch.cat(own), batch.inputs) for *own, batch in zip(*validated, alone.validation, strict=True)
    )


def test_validation_sequences_that_cannot_be_divided_are_all_for_everybody() -> None:
    data = make(batch_size=4, validation_sequences=5)
    data.trainer = trainer_of(rank=1, processes=2)
    assert all(same(own, batch) for own, batch in zip(data.val_dataloader(), data.validation, strict=True))


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    data = make(batch_size=6)
    data.trainer = trainer_of(processes=2, accumulated=2)
    with pytest.raises(ValueError, match=r"^data\.batch_size=6: must be a multiple of 4, 2 processes × trainer\."):
        data.setup("fit")


def test_a_round_that_was_left_is_taken_up() -> None:
    """A loader is as long as the round, since the trainer counts the steps that were made before."""
    data = make(max_sequences=40, batch_size=4, validate_every=16)
    lengths = []
    for step in (0, 3, 4, 7, 8, 9):
        data.trainer = trainer_of(step=step)
        lengths.append(len(data.train_dataloader()))
    assert lengths == [4, 4, 4, 4, 2, 2]


@pytest.mark.parametrize("mixed", [False, True], ids=["alike", "mixed"])
def test_counts_and_overlaps(mixed: bool) -> None:
    """Of S strings a test sequence is among n drawn ones with probability 1 − (1 − 1/S)ⁿ."""
    data = make(Copy(lengths=(1, 3), bits=2), mixed_lengths=mixed)
    drawn: dict[int, int] = dict.fromkeys((1, 2, 3), 0)
    for _ in range(25):
        for length in ((data.next_batch().lengths - 1) // 2).tolist():
            drawn[length] += 1
    assert data.counts == {f"length_00{length}": count for length, count in drawn.items()}
    expected = {f"length_00{length}": 1 - (1 - 4.0**-length) ** count for length, count in drawn.items()}
    assert data.overlaps() == pytest.approx(expected)


def test_overlaps_are_unknown_or_none() -> None:
    assert make(RepeatCopy(lengths=(1, 2), repeats=(1, 2))).overlaps() == {}
    apart = make(Copy(lengths=(1, 2), bits=4, held_out=0.3))
    apart.next_batch()
    assert apart.overlaps() == {"length_001": 0, "length_002": 0}


def test_a_task_that_cannot_be_mixed_says_so() -> None:
    with pytest.raises(ValueError, match=r"^data\.mixed_lengths=true: .* only false is allowed$"):
        make(NGrams(length=12, context=2), mixed_lengths=True)


@pytest.mark.parametrize("key", ["batch_size", "validate_every", "validation_rungs", "validation_sequences"])
@pytest.mark.parametrize("value", [0, -1, 2.5, True], ids=str)
def test_a_bad_setting_is_named(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^data\.{key}={value}: must be a whole number of at least 1$"):
        make(**{key: value})


def test_streams_differ_by_seed_and_purpose() -> None:
    def first(seed: int, purpose: str) -> Tensor:
        return torch.rand(4, generator=seeded(seed, purpose))

    streams: Mapping[str, Tensor] = {f"{seed}{use}": first(seed, use) for seed in (0, 1) for use in ("a", "b")}
    assert torch.equal(first(0, "a"), streams["0a"])
    assert len({tuple(stream.tolist()) for stream in streams.values()}) == 4
