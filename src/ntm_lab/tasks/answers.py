"""The kinds of answers: independent bits, one of several symbols, real numbers; each with its cost and its errors.

Shapes: outputs of a model (B, T, O), mask (B, T) bool, the steps that are scored. Values at a step that is not
scored, even infinity or NaN, count for nothing and get no gradient.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ntm_lab.checks import at_least, number
from ntm_lab.types import Answer, Batch, Measure, Task

EXACT = Measure("exact", "exact", "exact")
COST_BITS = Measure("cost_bits", "cost", "cost, bits")
SQUARED_ERROR = Measure("squared_error", "cost", "squared error")
WRONG_BITS = Measure("wrong_bits", "wrong", "wrong bits")
WRONG_SYMBOLS = Measure("wrong_symbols", "wrong", "wrong symbols")
MEASURES = (COST_BITS, SQUARED_ERROR, WRONG_BITS, WRONG_SYMBOLS, EXACT)


def measures_of(row: Mapping[str, Any]) -> list[Measure]:
    """The measures that a row of results has, the cost first."""
    return [measure for measure in MEASURES if measure.name in row]


def wrong_of(row: Mapping[str, Any]) -> str:
    """The name of the wrong answers in a row of results."""
    return next(measure.name for measure in measures_of(row) if measure.kind == "wrong")


def unit_of(row: Mapping[str, Any]) -> str:
    """The unit of the cost in a row of results, as in ``gap_bits``."""
    return Reals.unit if SQUARED_ERROR.name in row else Bits.unit


def check_targets(task: Task, batch: Batch) -> None:
    """Raise ValueError, which names the task, if the targets of a batch are not of the kind of its answer."""
    try:
        task.answer.check(batch.targets, batch.mask)
    except ValueError as error:
        raise ValueError(f"task {type(task).__name__}: {error}") from error


def by_group(task: Task, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
    """The number of right answers and of all answers of each sequence, in each group of `Task.groups`: (B, 2) by name.

    An answer is right if it is right at all of its steps. Empty for a task without groups, and for answers that are
    not right or wrong.
    """
    groups = {name: steps & batch.mask for name, steps in task.groups(batch).items()}
    wrong = task.answer.wrong(outputs, batch.targets)  # (B, T, A)
    if not groups or wrong is None:
        return {}
    ends = torch.stack([*groups.values()]).any(0)  # (B, T)
    errors = (wrong.any(2) & batch.mask).cumsum(1)  # (B, T), of all steps so far
    before = F.pad((errors * ends).cummax(1).values, (1, -1))  # up to the end of the answer before
    right = errors == before
    return {name: torch.stack(((right & steps).sum(1), steps.sum(1)), 1) for name, steps in groups.items()}


def accuracy(groups: Mapping[str, Tensor]) -> dict[str, float]:
    """The share of right answers in each group, from its counts (2,); groups without answers are left out."""
    counts = {name: pair.tolist() for name, pair in groups.items()}
    return {name: right / asked for name, (right, asked) in counts.items() if asked}


def cost_bits(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of bits in bits, Σ −log₂ P(target) over the scored steps and the channels; differentiable -> (B,).

    Logits and targets are (B, T, n).
    """
    scored = mask.unsqueeze(-1)  # (B, T, 1)
    # A weight of 0 alone would let NaN through (0 · NaN = NaN), so the logits behind it are replaced as well.
    nats = F.binary_cross_entropy_with_logits(
        logits.masked_fill(~scored, 0),
        targets.masked_fill(~scored, 0).to(logits.dtype),
        weight=scored.to(logits.dtype),
        reduction="none",
    )
    return nats.flatten(1).sum(1) / math.log(2)


def cost_bits_of_probabilities(probabilities: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """As `cost_bits`, for P(1) as a task's `solve` returns it: 0 if exactly right, inf if exactly wrong -> (B,).

    A certain answer would need an infinite logit, hence two functions.
    """
    of_target = torch.where(targets > 0.5, probabilities, 1 - probabilities)
    return _scored_sum(-torch.log2(of_target), mask)


def wrong_bits(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """How many scored outputs are on the wrong side of 0.5; a logit of NaN is always wrong -> (B,) int64.

    A logit of 0, a probability of exactly 0.5, counts as a 0.
    """
    return _scored_sum(_bits_wrong(logits, targets), mask)


def _bits_wrong(logits: Tensor, targets: Tensor) -> Tensor:
    return ~torch.where(targets > 0.5, logits > 0, logits <= 0)


def _scored_sum(values: Tensor, mask: Tensor) -> Tensor:
    """The sum of values (B, T, ·) over the scored steps -> (B,)."""
    return values.masked_fill(~mask.unsqueeze(-1), 0).flatten(1).sum(1)


class _Counted(Answer):
    """What bits and symbols share: answers that are right or wrong, and a cost in bits."""

    unit = "bits"
    noun: str  # the name of an answer, in the plural

    @property
    @abstractmethod
    def answers(self) -> int:
        """A, the answers at a step."""

    def worst(self, targets: Tensor, mask: Tensor) -> Tensor:
        return mask.sum(1) * self.answers

    def in_words(self, outputs: Tensor, targets: Tensor, mask: Tensor) -> str:
        cost, wrong, _ = self.measure(outputs, targets, mask).values()
        asked = int(self.worst(targets, mask))
        return f"{int(wrong)} of {asked} {self.noun} wrong, cost {float(cost):.4g} bits"


@dataclass(frozen=True)
class Bits(_Counted):
    """``n`` independent bits a step: their cross-entropy in bits, and those on the wrong side of 0.5.

    Outputs are logits of a 1, (B, T, n), targets 0 or 1, (B, T, n) of a floating dtype. Chance always says 0.5.

    >>> answer = Bits(2)
    >>> targets, mask = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[True]])
    >>> {name: float(value) for name, value in answer.chance(targets, mask).items()}
    {'cost_bits': 2.0, 'wrong_bits': 1.0}
    """

    n: int
    measures = (COST_BITS, WRONG_BITS, EXACT)
    error_rate = "bit_error_rate"
    noun = "bits"
    shiftable = True

    def __post_init__(self) -> None:
        at_least("Bits.n", self.n, 1)

    @property
    def size(self) -> int:
        return self.n

    @property
    def answers(self) -> int:
        return self.n

    def cost(self, outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        return cost_bits(outputs, targets, mask)

    def solution_cost(self, solution: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        return cost_bits_of_probabilities(solution, targets, mask)

    def wrong(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return _bits_wrong(outputs, targets)

    def outputs_of(self, solution: Tensor) -> Tensor:
        return solution - 0.5

    def chance(self, targets: Tensor, mask: Tensor) -> dict[str, Tensor]:
        bits = self.worst(targets, mask).double()
        return {COST_BITS.name: bits, WRONG_BITS.name: bits / 2}

    def check(self, targets: Tensor, mask: Tensor) -> None:
        _check_form(self, targets, mask, self.n, floating=True)
        _check_values(self, targets[mask], lambda values: (values == 0) | (values == 1), "0 or 1")

    def image(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid()

    def image_of_targets(self, targets: Tensor) -> Tensor:
        return targets

    def marks(self, outputs: Tensor, targets: Tensor, mask: Tensor) -> list[tuple[int, int]]:
        return [(step, bit) for step, bit in (self.wrong(outputs, targets) & mask.unsqueeze(-1)).nonzero().tolist()]


@dataclass(frozen=True)
class Symbols(_Counted):
    """``count`` symbols a step, each one of ``k``: their cross-entropy in bits, and those that are wrong.

    Outputs are logits, symbol by symbol, (B, T, count · k); targets the numbers of the symbols, 0 to k − 1, int64
    (B, T, count); a solution the probabilities of all symbols, (B, T, count · k). The answer is the symbol with the
    largest logit, the lowest of several; with a logit of NaN it is always wrong. Chance always says 1 / k.

    >>> Symbols(4).measure(torch.zeros(1, 1, 4), torch.tensor([[[3]]]), torch.tensor([[True]]))
    {'cost_bits': tensor([2.]), 'wrong_symbols': tensor([1]), 'exact': tensor([False])}
    """

    k: int
    count: int = 1
    measures = (COST_BITS, WRONG_SYMBOLS, EXACT)
    error_rate = "symbol_error_rate"
    noun = "symbols"

    def __post_init__(self) -> None:
        at_least("Symbols.k", self.k, 2)
        at_least("Symbols.count", self.count, 1)

    @property
    def size(self) -> int:
        return self.count * self.k

    @property
    def answers(self) -> int:
        return self.count

    def _apart(self, values: Tensor) -> Tensor:
        """(…, count · k) as (…, count, k)."""
        return values.unflatten(-1, (self.count, self.k))

    def cost(self, outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        unscored = ~mask.unsqueeze(-1)  # (B, T, 1)
        logits = self._apart(outputs.masked_fill(unscored, 0)).log_softmax(-1)
        nats = -logits.gather(-1, targets.masked_fill(unscored, 0).unsqueeze(-1)).squeeze(-1)  # (B, T, count)
        return _scored_sum(nats, mask) / math.log(2)

    def solution_cost(self, solution: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        chosen = targets.masked_fill(~mask.unsqueeze(-1), 0).unsqueeze(-1)
        return _scored_sum(-torch.log2(self._apart(solution).gather(-1, chosen).squeeze(-1)), mask)

    def wrong(self, outputs: Tensor, targets: Tensor) -> Tensor:
        logits = self._apart(outputs)
        return (logits.argmax(-1) != targets) | logits.isnan().any(-1)

    def outputs_of(self, solution: Tensor) -> Tensor:
        return solution

    def chance(self, targets: Tensor, mask: Tensor) -> dict[str, Tensor]:
        asked = self.worst(targets, mask).double()
        return {COST_BITS.name: asked * math.log2(self.k), WRONG_SYMBOLS.name: asked * (1 - 1 / self.k)}

    def check(self, targets: Tensor, mask: Tensor) -> None:
        _check_form(self, targets, mask, self.count, floating=False)
        within = f"from 0 to {self.k - 1}"
        _check_values(self, targets[mask], lambda values: (values >= 0) & (values < self.k), within)

    def image(self, outputs: Tensor) -> Tensor:
        return self._apart(outputs).softmax(-1).flatten(-2)

    def image_of_targets(self, targets: Tensor) -> Tensor:
        rows = torch.arange(self.k, device=targets.device)
        return (targets.unsqueeze(-1) == rows).flatten(-2).float()

    def marks(self, outputs: Tensor, targets: Tensor, mask: Tensor) -> list[tuple[int, int]]:
        said = self._apart(outputs).argmax(-1)  # (T, count)
        wrong = self.wrong(outputs, targets) & mask.unsqueeze(-1)
        return [(step, which * self.k + int(said[step, which])) for step, which in wrong.nonzero().tolist()]


@dataclass(frozen=True)
class Reals(Answer):
    """``n`` real numbers a step: the squared error, summed over steps and numbers. None is right or wrong.

    Outputs, targets and a solution are the numbers themselves, (B, T, n). Chance always says ``guess``, such as
    the mean of all targets; the error rate is the share of its squared error.

    >>> answer = Reals(1, guess=1.0)
    >>> targets, mask = torch.tensor([[[3.0], [torch.nan]]]), torch.tensor([[True, False]])
    >>> float(answer.cost(torch.zeros(1, 2, 1), targets, mask)), float(answer.chance(targets, mask)["squared_error"])
    (9.0, 4.0)
    """

    n: int
    guess: float = 0.0
    measures = (SQUARED_ERROR,)
    unit = "squared_error"
    error_rate = "relative_error"
    bounded = False

    def __post_init__(self) -> None:
        at_least("Reals.n", self.n, 1)
        number("Reals.guess", self.guess)

    @property
    def size(self) -> int:
        return self.n

    def cost(self, outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        unscored = ~mask.unsqueeze(-1)
        error = outputs.masked_fill(unscored, 0) - targets.masked_fill(unscored, 0).to(outputs.dtype)
        return error.square().flatten(1).sum(1)

    def solution_cost(self, solution: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        return self.cost(solution, targets, mask)

    def chance(self, targets: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return {SQUARED_ERROR.name: self.cost(torch.full_like(targets, self.guess), targets, mask)}

    def outputs_of(self, solution: Tensor) -> Tensor:
        return solution

    def wrong(self, outputs: Tensor, targets: Tensor) -> None:
        return None

    def worst(self, targets: Tensor, mask: Tensor) -> Tensor:
        return self.chance(targets, mask)[SQUARED_ERROR.name]

    def check(self, targets: Tensor, mask: Tensor) -> None:
        _check_form(self, targets, mask, self.n, floating=True)
        _check_values(self, targets[mask], torch.isfinite, "a finite number")

    def image(self, outputs: Tensor) -> Tensor:
        return outputs

    def image_of_targets(self, targets: Tensor) -> Tensor:
        return targets

    def in_words(self, outputs: Tensor, targets: Tensor, mask: Tensor) -> str:
        return f"squared error {float(self.cost(outputs, targets, mask)):.4g}"


def _check_form(answer: Answer, targets: Tensor, mask: Tensor, last: int, floating: bool) -> None:
    if targets.shape != (*mask.shape, last):
        raise ValueError(f"targets have the shape {tuple(targets.shape)}: {answer} needs {(*mask.shape, last)}")
    if floating != targets.is_floating_point() or not (floating or targets.dtype == torch.int64):
        needed = "a floating dtype" if floating else torch.int64
        raise ValueError(f"targets are of {targets.dtype}: {answer} needs {needed}")


def _check_values(answer: Answer, scored: Tensor, holds: Callable[[Tensor], Tensor], allowed: str) -> None:
    wrong = scored[~holds(scored)]
    if len(wrong):
        raise ValueError(f"a scored target is {wrong[0].item():g}: {answer} allows {allowed}")
