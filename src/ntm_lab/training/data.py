"""The data of a run: batches made online for training, fixed sets of sequences for validation."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from ntm_lab.checks import at_least, switch
from ntm_lab.tasks.answers import check_targets
from ntm_lab.tasks.difficulties import label, seeded
from ntm_lab.types import Batch, Curriculum, Difficulty, Task

MOST_RUNGS = 1000  # each is a batch of its own, and a column of the log
VALIDATION_SEED = 1  # of all runs, so that they are validated on the same sequences


class Data(pl.LightningDataModule):
    """Endless training batches, drawn when they are requested, and a validation set made once.

    An epoch of the trainer is one round: ``validate_every`` sequences, then a validation. The state that decides the
    next batch (two generators and the curriculum) is saved with a checkpoint.

    A batch is what one update of the weights sees. Where the trainer has several processes, or accumulates gradients,
    all processes draw the same batches, and each computes its own part, or parts one after the other.

    Args:
        task: the source of sequences.
        curriculum: chooses their difficulty.
        seed: of the training sequences and of the curriculum's choices.
        batch_size: sequences a batch, of all processes together.
        max_sequences: the number of sequences that training may see, rounded up to whole batches.
        mixed_lengths: draw a difficulty for every sequence, and pad, instead of one for the batch.
        validate_every: sequences between validations, rounded up to whole batches.
        validation_rungs: the number of difficulties in the validation set, from easy to the hardest.
        validation_sequences: the number of sequences of each.

    Raises ValueError if the targets of the validation set, or of the first batch, are not of the kind of the task's
    answer.
    """

    def __init__(
        self,
        task: Task,
        curriculum: Curriculum,
        seed: int,
        max_sequences: int,
        batch_size: int = 16,
        mixed_lengths: bool = False,
        validate_every: int = 800,
        validation_rungs: int = 4,
        validation_sequences: int = 64,
    ) -> None:
        super().__init__()
        if switch("data.mixed_lengths", mixed_lengths) and not task.mixable:
            raise ValueError("data.mixed_lengths=true: this task's sequences cannot be mixed, only false is allowed")
        self.task = task.split("training")
        self.curriculum = curriculum
        self.batch_size = at_least("data.batch_size", batch_size, 1)
        self.mixed_lengths = mixed_lengths
        self.total_steps = -(-at_least("max_sequences", max_sequences, 1) // batch_size)
        self.round_steps = -(-at_least("data.validate_every", validate_every, 1) // batch_size)
        self.sequence_generator = seeded(seed, "sequences")
        self.curriculum_generator = seeded(seed, "curriculum")
        self.drawn: list[Difficulty] = []  # of the last batch
        self.parts: list[Batch] = []  # those of the last batch that this process computes
        self.counts: Counter[str] = Counter()  # sequences drawn so far, by the label of their difficulty

        at_least("data.validation_sequences", validation_sequences, 1)
        generator = seeded(VALIDATION_SEED, "validation")
        self.rungs = task.rungs(at_least("data.validation_rungs", validation_rungs, 1, MOST_RUNGS))
        examples = task.split("validation")
        self.validation = [examples.sample(validation_sequences, rung, generator) for rung in self.rungs]
        for batch in self.validation:
            check_targets(task, batch)

    def next_batch(self) -> Batch:
        """Ask the curriculum, then draw a training batch."""
        first, count = not self.counts, self.batch_size if self.mixed_lengths else 1
        self.drawn = [self.curriculum.draw(self.curriculum_generator) for _ in range(count)]
        for point in self.drawn:
            self.counts[label(point)] += self.batch_size // count
        difficulty: Mapping[str, int | Tensor] = self.drawn[0]
        if self.mixed_lengths:
            difficulty = {axis: torch.tensor([point[axis] for point in self.drawn]) for axis in self.drawn[0]}
        batch = self.task.sample(self.batch_size, difficulty, self.sequence_generator)
        if first:
            check_targets(self.task, batch)
        return batch

    def observe(self, costs: Tensor, costs_after: Tensor | None = None) -> None:
        """Pass the costs (B,), in bits, of the last batch to the curriculum, before and after the update."""
        if not self.mixed_lengths:
            costs = costs.mean(0, keepdim=True)
            costs_after = None if costs_after is None else costs_after.mean(0, keepdim=True)
        after = [None] * len(costs) if costs_after is None else costs_after.tolist()
        for point, cost, cost_after in zip(self.drawn, costs.tolist(), after, strict=True):
            self.curriculum.observe(point, cost, cost_after)

    def overlaps(self) -> dict[str, float]:
        """The expected fraction of test sequences that occurred in training, by difficulty; empty where unknown."""
        points = itertools.product(*(range(low, high + 1) for low, high in self.task.ranges.values()))
        found = {}
        for point in (dict(zip(self.task.ranges, values, strict=True)) for values in points):
            overlap = self.task.overlap(point, self.counts[label(point)])
            if overlap is not None:
                found[label(point)] = overlap
        return found

    @property
    def processes(self) -> int:
        """Processes that share the work."""
        return 1 if self.trainer is None else self.trainer.world_size

    @property
    def accumulated(self) -> int:
        """Parts of a batch that this process computes one after the other."""
        return 1 if self.trainer is None else self.trainer.accumulate_grad_batches

    @property
    def part_size(self) -> int:
        """Sequences that the model computes at once."""
        return self.batch_size // (self.processes * self.accumulated)

    def check_parts(self, processes: int, accumulated: int) -> None:
        """Raise ValueError if a batch cannot be divided into equal parts."""
        if self.batch_size % (processes * accumulated):
            raise ValueError(
                f"data.batch_size={self.batch_size}: must be a multiple of {processes * accumulated}, "
                f"{processes} processes × trainer.accumulate_grad_batches={accumulated}"
            )

    def setup(self, stage: str) -> None:
        self.check_parts(self.processes, self.accumulated)

    def train_dataloader(self) -> "Batches":
        assert self.trainer is not None
        begun = self.trainer.global_step % self.round_steps  # of a round in which an earlier run ended
        left = self.total_steps - self.trainer.global_step
        steps = max(1, min(self.round_steps, begun + left))
        return Batches(steps * self.accumulated, self._next_part)

    def _next_part(self, index: int) -> Batch:
        """The part of a batch that this process computes next; the first one draws the batch."""
        if not index % self.accumulated:
            parts = _divide(self.next_batch(), self.processes * self.accumulated)
            self.parts = parts[self._rank :: self.processes]
        return self.parts[index % self.accumulated]

    def in_order(self, costs: Tensor) -> Tensor:
        """The costs (P, B / P) of a batch, one row from each of P processes, in the order of its sequences (B,)."""
        return costs.unflatten(1, (self.accumulated, -1)).transpose(0, 1).flatten()

    def val_dataloader(self) -> "Batches":
        return Batches(len(self.validation), self._validation_part)

    def _validation_part(self, index: int) -> Batch:
        """The process's own part, or all of it if it cannot be divided, which does not change means."""
        batch = self.validation[index]
        return batch if len(batch.inputs) % self.processes else _divide(batch, self.processes)[self._rank]

    @property
    def _rank(self) -> int:
        return 0 if self.trainer is None else self.trainer.global_rank

    def state_dict(self) -> dict[str, Any]:
        return {
            "sequence_generator": self.sequence_generator.get_state(),
            "curriculum_generator": self.curriculum_generator.get_state(),
            "curriculum": self.curriculum.state_dict(),
            "counts": dict(self.counts),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.sequence_generator.set_state(state_dict["sequence_generator"].cpu())
        self.curriculum_generator.set_state(state_dict["curriculum_generator"].cpu())
        self.curriculum.load_state_dict(state_dict["curriculum"])
        self.counts = Counter(state_dict["counts"])


def _divide(batch: Batch, count: int) -> list[Batch]:
    """Equal parts of a batch, in its order."""
    if count == 1:
        return [batch]
    return [Batch(*parts) for parts in zip(*(part.chunk(count) for part in batch), strict=True)]


class Batches:
    """An iterable of known length. The trainer prefetches nothing from it: a prefetched batch would be drawn
    before the curriculum has seen the batch before it, and would be missing in a checkpoint."""

    def __init__(self, count: int, draw: Callable[[int], Batch]) -> None:
        self.count = count
        self.draw = draw

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Batch]:
        return map(self.draw, range(self.count))

    def state_dict(self) -> dict[str, Any]:
        """Empty, since `Data` saves the state that decides the next batch: a round can be resumed at any step."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """There is nothing to load."""
