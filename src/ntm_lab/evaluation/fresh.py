"""How well a trained model does on fresh sequences of a given difficulty."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from ntm_lab.checks import at_least
from ntm_lab.evaluation.scores import Scores, brief, detailed
from ntm_lab.tasks.answers import check_targets
from ntm_lab.tasks.difficulties import seeded
from ntm_lab.types import Batch, Difficulty, SequenceModel, Task

STEPS_AT_ONCE = 10_000  # sequences × steps drawn at once; bounds the memory for inputs, outputs and scores
CELLS_AT_ONCE = 2**24  # sequences × slots × width in one forward pass: a memory and a few copies of it, 64 MB each


@torch.no_grad()
def evaluate(
    model: SequenceModel,
    task: Task,
    difficulties: Iterable[Difficulty],
    sequences: int = 1000,
    seed: int = 2,
    details: bool = False,
    advance: Callable[[int], Any] = lambda sequences: None,
) -> list[dict[str, Any]]:
    """A row for every difficulty: ``difficulty``, ``n``, and the mean of every measure of the task's answer: per
    sequence ``cost_bits``, ``wrong_bits`` (`Symbols`: ``wrong_symbols``) and ``exact``; for `Reals` ``squared_error``.

    If even the perfect answer has a cost, ``optimum_bits`` gives it. If the task has groups, ``by_group`` is the share
    of right answers in each. The sequences depend on the seed alone, and no run trains or validates on them. For a task
    with fixed data they are different ones of its test set, at most all. With ``details`` a row also has, with
    intervals of 95 %,

    =====================  ==============================================================================
    ``slots``              of the model's memory, if it has one
    ``cost_interval``      of the mean, normal, as ``wrong_interval``; None for a single sequence
    ``exact_interval``     Wilson's
    ``chance``             cost and expected errors of guessing: see `Answer.chance`
    ``solve``              all measures of the task's own solution
    ``by_group_interval``  of ``by_group``, over sequences
    ``by_group_solve``     the shares of the task's own solution
    ``by_step``            lists of mean cost and errors at each scored step, if all sequences have equally many
    =====================  ==============================================================================

    and for a task of bits whose perfect answer costs nothing

    ===================  ================================================================================
    ``errors``           sequences with ``wrong_bits_only``, and with something ``doubled`` or ``skipped``, which
                         shifts the rest (`find_shifts`); of the wrong bits per sequence those that are local
                         (``local_bits``) and those after a shift (``shifted_bits``); and ``shifts``, the list of
                         [shift, first scored step that is shifted]
    ===================  ================================================================================

    or, for any task whose perfect answer has a cost, ``gap_bits`` (for `Reals` ``gap_squared_error``), the model's cost
    above it, with its ``gap_interval``; ``gap_by_step``, the list of gaps at each scored step; and ``gap_by_window``,
    which has ``steps``, the width of its windows, and the lists ``gap_bits``, per step, and ``gap_interval``.

    Args:
        advance: called with the number of sequences just done, e.g. a progress bar's ``update``.

    Raises ValueError for an invalid difficulty, before the first is evaluated, and for targets that are not of the kind
    of the task's answer.
    """
    at_least("test.sequences", sequences, 1)
    difficulties = list(difficulties)
    examples = task.split("testing")
    steps = [examples.sample(1, difficulty, seeded(seed, "size")).inputs.shape[1] for difficulty in difficulties]
    rows = []
    for difficulty, length in zip(difficulties, steps, strict=True):
        generator = seeded(seed, "test")
        stored = examples.stored(difficulty)
        if stored is None:
            batches = _drawn(examples, difficulty, sequences, length, generator)
        else:
            batches = _taken(examples, difficulty, sequences, stored, generator)
        parts: list[Scores] = []
        for batch in batches:
            if not parts:
                check_targets(task, batch)
            batch = _as_precise(batch, model)
            parts.append(Scores.of(_outputs(model, batch.inputs), batch, task.solve(batch), task, details))
            advance(len(batch.inputs))
        scores = Scores.joined(parts)
        row = brief(difficulty, scores, task.answer)
        if details:
            row |= ({} if model.slots is None else {"slots": model.slots}) | detailed(scores, task.answer)
        rows.append(row)
    return rows


def _as_precise(batch: Batch, model: SequenceModel) -> Batch:
    """The batch in float64 if that is the model's type; scores are never computed in half precision."""
    if next(model.parameters()).dtype != torch.float64:
        return batch
    return Batch(*(part.double() if part.is_floating_point() else part for part in batch))


def _drawn(
    task: Task, difficulty: Difficulty, sequences: int, length: int, generator: torch.Generator
) -> Iterator[Batch]:
    """Sequences of about this length, as many at once as memory allows."""
    while sequences:
        count = min(sequences, max(1, STEPS_AT_ONCE // length))
        yield task.sample(count, difficulty, generator)
        sequences -= count


def _taken(
    task: Task, difficulty: Difficulty, sequences: int, lengths: Tensor, generator: torch.Generator
) -> Iterator[Batch]:
    """Different stored sequences, at most all, the short ones first; their lengths are (n,)."""
    numbers = torch.randperm(len(lengths), generator=generator)[:sequences]
    numbers = numbers[lengths[numbers].argsort(stable=True)]
    while len(numbers):
        steps = lengths[numbers] * torch.arange(1, len(numbers) + 1)  # taken by the first 1, 2, …, padded
        count = max(1, int((steps <= STEPS_AT_ONCE).sum()))
        yield task.take(numbers[:count], difficulty)
        numbers = numbers[count:]


def _outputs(model: SequenceModel, inputs: Tensor) -> Tensor:
    """Outputs (B, T, O) on the CPU, of as many sequences at once as memory allows."""
    weights = next(model.parameters())
    count = len(inputs)
    if model.slots and model.slot_width:
        count = max(1, CELLS_AT_ONCE // (model.slots * model.slot_width))
    outputs = torch.cat([model(part.to(weights))[0].cpu() for part in inputs.split(count)])
    return outputs.to(inputs.dtype)
