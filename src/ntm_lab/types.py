"""The types that everything else is written in: a batch, a task, a curriculum, a sequence model, an access.

Shapes use B batch, T time steps, I input width, O output width.
"""

import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree

Difficulty = Mapping[str, int]
"""One point of a task's difficulty, e.g. ``{"length": 12}`` or ``{"length": 4, "repeats": 7}``."""

Ranges = Mapping[str, tuple[int, int]]
"""The lowest and the highest value of every axis of a difficulty, both inclusive."""


class Batch(NamedTuple):
    """Sequences and their targets. Steps past a sequence's length are padding."""

    inputs: Tensor  # (B, T, I)
    targets: Tensor  # (B, T, ·), of the kind that the task's answer says
    mask: Tensor  # (B, T) bool, the steps that are scored
    lengths: Tensor  # (B,) int64, the steps that exist

    @property
    def exists(self) -> Tensor:
        """The steps that exist, (B, T) bool."""
        return torch.arange(self.inputs.shape[1], device=self.lengths.device) < self.lengths.unsqueeze(1)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name}: {tuple(part.shape)}" for name, part in self._asdict().items())
        return f"Batch({shapes})"


class Phase(NamedTuple):
    """Steps of a sequence that people have a name for, such as ``item 3``."""

    start: int  # its first step
    end: int  # the step after its last
    name: str
    then: int | None = None  # the number of the phase in which one goes on looking for the answer


class Scene(NamedTuple):
    """What a person sees in a sequence besides numbers; what does not apply is empty."""

    phases: Sequence[Phase] = ()  # in the order of time
    channels: Sequence[str] = ()  # names of the input's last channels, such as ``delimiter``
    images: Tensor | None = None  # (T, height, width) in [0, 1]: shown at each step
    words: Sequence[str] = ()  # said at each step
    symbols: Sequence[str] = ()  # what the symbols of the answer are called; their numbers by default


ControllerState = tuple[Tensor, ...]
"""A controller's state: tensors whose first dimension is the batch; empty where it keeps none."""


class Layer(NamedTuple):
    """A layer of a controller as plain weights: tanh(below · x + own · h + bias), or with four times as many rows an
    LSTM's gates input, forget, candidate, output in PyTorch's order."""

    below: Tensor  # (rows, ·), of the inputs, the lowest layer's followed by the reads
    own: Tensor | None  # (rows, size), of its own last output, if it sees it
    bias: Tensor  # (rows,)


class Measure(NamedTuple):
    """A number that says how well a sequence was answered."""

    name: str  # in rows of results, e.g. ``cost_bits``
    kind: str  # ``cost``, which every answer has, or ``wrong`` or ``exact``, of answers that are right or wrong
    words: str  # above a column of a table, e.g. ``cost, bits``

    @property
    def logged(self) -> str:
        """Its name in metrics.csv and TensorBoard, where a cost of any kind is ``cost``."""
        return self.kind if self.kind == "cost" else self.name

    @property
    def interval(self) -> str:
        """The name of its interval in rows of results."""
        return f"{self.kind}_interval"

    @property
    def title(self) -> str:
        """The label of an axis."""
        return "exact sequences" if self.kind == "exact" else f"{self.words} per sequence"


class Answer(ABC):
    """The kind of answer that a task wants at a scored step, and all that follows from it.

    Training, measures and pictures use these methods and know no kind. Outputs are those of a model, (B, T, O);
    targets (B, T, ·) are of the kind's own shape; a solution is what `Task.solve` returns. Values at a step
    outside the mask (B, T), even NaN, count for nothing and get no gradient.
    """

    measures: tuple[Measure, ...]  # the cost first
    unit: str  # of the cost, as in ``gap_bits``
    error_rate: str  # what the error rate is called: see `errors`
    solved: float = 2e-4  # an error rate below this is a solved task: on copy 4 wrong bits in 256 sequences
    bounded: bool = True  # whether what `image` returns is in [0, 1]
    shiftable: bool = False  # whether one step's answer carries enough information to detect a skipped or repeated one

    @property
    @abstractmethod
    def size(self) -> int:
        """O, the outputs of a model."""

    @abstractmethod
    def cost(self, outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """What each sequence costs, summed over its scored steps; differentiable -> (B,)."""

    @abstractmethod
    def solution_cost(self, solution: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """As `cost`, for the solution that the task's `solve` returns: the optimum -> (B,)."""

    @abstractmethod
    def wrong(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """Which answers are wrong, (B, T, A) bool for A answers a step; None if answers are not right or wrong."""

    @abstractmethod
    def outputs_of(self, solution: Tensor) -> Tensor:
        """Outputs whose decisions are those of a solution; their cost may differ."""

    @abstractmethod
    def chance(self, targets: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Cost and expected errors of an answer made without seeing the sequence, (B,) by name of measure."""

    @abstractmethod
    def worst(self, targets: Tensor, mask: Tensor) -> Tensor:
        """The denominator of the error rate, (B,): the scored answers, or the cost of chance if none are counted."""

    @abstractmethod
    def check(self, targets: Tensor, mask: Tensor) -> None:
        """Raise ValueError, which names the values seen and allowed, for targets that are not of this kind."""

    @abstractmethod
    def image(self, outputs: Tensor) -> Tensor:
        """Outputs (T, O) as the rows of a picture (T, rows): probabilities, or the numbers themselves."""

    @abstractmethod
    def image_of_targets(self, targets: Tensor) -> Tensor:
        """The same rows of targets (T, ·)."""

    def marks(self, outputs: Tensor, targets: Tensor, mask: Tensor) -> list[tuple[int, int]]:
        """Steps and rows of that picture with a wrong answer, from one sequence (T, ·); none by default."""
        return []

    @abstractmethod
    def in_words(self, outputs: Tensor, targets: Tensor, mask: Tensor) -> str:
        """One line on how well one sequence (1, T, ·) was answered."""

    def measure(self, outputs: Tensor, targets: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Every measure of each sequence, (B,), by its name and in their order."""
        return {self.measures[0].name: self.cost(outputs, targets, mask)} | self.counts(outputs, targets, mask)

    def measure_solution(self, solution: Tensor, targets: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """As `measure`, for the solution that the task's `solve` returns."""
        cost = self.solution_cost(solution, targets, mask)
        return {self.measures[0].name: cost} | self.counts(self.outputs_of(solution), targets, mask)

    def counts(self, outputs: Tensor, targets: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """The measures except the cost: the number of wrong answers of each sequence (B,), and whether it is 0."""
        wrong = self.wrong(outputs, targets)
        if wrong is None:
            return {}
        number = (wrong & mask.unsqueeze(-1)).flatten(1).sum(1)
        _, errors, exact = self.measures
        return {errors.name: number, exact.name: number == 0}

    @property
    def errors(self) -> Measure:
        """The measure whose share of `worst` is the error rate: wrong answers, or the cost where none are counted."""
        return next((measure for measure in self.measures if measure.kind == "wrong"), self.measures[0])


def phases_of(scored: Tensor) -> list[Phase]:
    """The stretches of a mask (T,): ``listens`` where nothing is scored, ``answers`` where something is."""
    names = ["answers" if step else "listens" for step in scored.tolist()]
    starts = [step for step, name in enumerate(names) if step == 0 or name != names[step - 1]]
    return [Phase(start, end, names[start]) for start, end in zip(starts, [*starts[1:], len(names)], strict=True)]


class Task(Protocol):
    """A source of sequences whose difficulty can be chosen."""

    input_size: int
    answer: Answer
    ranges: Ranges
    mixable: bool  # whether sequences of different difficulty fit into one batch

    @property
    def output_size(self) -> int:
        """O, which follows from the answer."""
        return self.answer.size

    @property
    def title(self) -> str:
        """What people call it; by default the words in the name of its class, such as ``repeat copy``."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(self).__name__).lower()

    def scene(self, batch: Batch) -> Scene:
        """What a person sees in the first sequence of a batch; by default where it is scored and where not."""
        return Scene(phases_of(batch.mask[0, : int(batch.lengths[0])]))

    def sample(self, batch_size: int, difficulty: Mapping[str, int | Tensor], generator: torch.Generator) -> Batch:
        """Draw a batch; an axis of the difficulty is one int for all sequences or a tensor (B,), one int for each."""
        ...

    def solve(self, batch: Batch) -> Tensor:
        """The perfect (or Bayes-optimal) answer, computed without learning, (B, T, O): probabilities of a 1 for
        `Bits`, of each symbol for `Symbols`, the values for `Reals`."""
        ...

    def groups(self, batch: Batch) -> dict[str, Tensor]:
        """Groups of answers by name, each as the steps (B, T) bool at which its answers end; none by default.

        Accuracy is reported for each group, such as the first, second, … showing of a class. Groups may
        overlap. A scored step at which no group ends belongs to the answer that ends next: an answer of several steps
        is right if all of them are.
        """
        return {}

    def stored(self, difficulty: Difficulty) -> Tensor | None:
        """The number of steps (n,) of every sequence of a task whose data is fixed; None, the default, for a task that
        makes sequences without end."""
        return None

    def take(self, numbers: Tensor, difficulty: Difficulty) -> Batch:
        """The sequences of these numbers, in the order of `stored`."""
        raise ValueError(f"{type(self).__name__}: has no fixed data")

    def rungs(self, count: int) -> list[Difficulty]:
        """At most this number of difficulties to validate at, from easy to the hardest."""
        ...

    def harder(self, difficulty: Difficulty) -> Difficulty:
        """The next step of a naive curriculum, not beyond the ranges."""
        ...

    def split(self, part: str) -> Self:
        """The task restricted to sequences of ``"training"``, ``"validation"`` or ``"testing"``; the task itself if it
        does not separate them."""
        ...

    def overlap(self, difficulty: Difficulty, drawn: int) -> float | None:
        """The expected fraction of test sequences that are among `drawn` training sequences; None if not known."""
        ...


class Curriculum(Protocol):
    """Chooses the next difficulty, and may learn from its cost."""

    measures_gain: bool  # whether `observe` wants the cost of the same batch after the update

    def draw(self, generator: torch.Generator) -> Difficulty: ...

    def observe(self, difficulty: Difficulty, cost: float, cost_after: float | None = None) -> None:
        """Receive the costs (bits per sequence) of the drawn sequences before and, if requested, after the update."""
        ...

    def validated(self, error_rates: Sequence[tuple[Difficulty, float]]) -> None:
        """Receive the error rates of a validation, from the easiest difficulty to the hardest; ignored by default."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Controller(nn.Module, ABC):
    """The part of a memory network that sees the inputs and sets the heads; built from its input width."""

    size: int  # of its output

    @abstractmethod
    def initial_state(self, batch_size: int) -> ControllerState:
        """The learned state before the first step."""

    @abstractmethod
    def forward(self, inputs: Tensor, state: ControllerState) -> tuple[Tensor, ControllerState]:
        """One step: output (B, size) and the state after it, from inputs (B, ·)."""

    def weights(self) -> Sequence[Layer] | None:
        """The whole of `forward` as layers of one size and kind, whose state is (), (hidden,) or (hidden, cell), each
        (B, layers, size). None if this is not possible: the network then runs on the reference equations."""
        return None


class Encoder(nn.Module, ABC):
    """A map of the inputs before the recurrence, step by step, learned with it; built from the input width.

    It maps 0, which is padding, to 0.
    """

    size: int  # of its output

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """The inputs of the recurrence (B, T, size), from inputs (B, T, I)."""


class Kind(StrEnum):
    """The kind of a signal, which decides how it is drawn, penalised and summarised. Shapes are those of one step."""

    WEIGHTING = "weighting"  # (heads, N), non-negative, sums to at most 1
    DISTRIBUTION = "distribution"  # (heads, n), non-negative, sums to 1
    VECTOR = "vector"  # (heads, W)
    GATE = "gate"  # (heads,), in [0, 1]
    SCALAR = "scalar"  # (heads,), any number
    USAGE = "usage"  # (N,), non-negative: one number for every slot
    MEMORY = "memory"  # (N, W)
    MATRIX = "matrix"  # (N, N), from slot to slot


class SequenceModel(nn.Module, ABC):
    """A recurrent network with explicit state: a sequence fed in two pieces gives the same result as in one.

    ``state=None`` is the initial state; with ``lengths`` (B,) the state of a sequence freezes when it has ended.
    """

    input_size: int  # I
    output_size: int  # O
    signals: Mapping[str, Kind]  # the signals of `trace` beside the logits, in the order in which a step computes them

    @property
    def title(self) -> str:
        """What people call it, such as ``NTM, LSTM controller``; by default the name of its class."""
        return type(self).__name__

    @property
    def slots(self) -> int | None:
        """How many slots the memory has; None for a model without one."""
        return None

    @property
    def slot_width(self) -> int | None:
        """How many numbers a slot holds; None for a model without a memory."""
        return None

    def resize(self, slots: int) -> None:
        """Use another number of slots from now on. Raises ValueError where the model does not allow it."""
        raise ValueError(f"slots={slots}: a {type(self).__name__} has no memory")

    @abstractmethod
    def initial_state(self, batch_size: int, slots: int | None = None) -> Any:
        """The state before the first step: a NamedTuple of tensors (B, …), possibly nested.

        ``slots`` replaces the model's own number; ValueError if it has no memory or does not allow that.
        """

    def state_bits(self, steps: int = 1) -> int:
        """Bits that a sequence carries on after this many steps: 32 for each number of its state but counts of steps.

        The same for every number of steps, except for a model that keeps its past.
        """
        parts = pytree.tree_leaves(self.initial_state(1))
        return 32 * sum(part.numel() for part in parts if part.is_floating_point())

    @abstractmethod
    def forward(self, inputs: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        """Logits (B, T, O) and the state after the last step, from inputs (B, T, I)."""

    @abstractmethod
    def trace(
        self,
        inputs: Tensor,
        state: Any = None,
        lengths: Tensor | None = None,
        signals: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """``"logits"`` and the named signals that `forward` computes on the way (default: all), each (B, T, …)."""


BOUNDS = {
    "none": lambda emitted: emitted,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "oneplus": lambda emitted: 1 + F.softplus(emitted),
    "softmax": lambda emitted: emitted.softmax(-1),
}
"""The functions that bring a controller's output into a field's range, by name."""


class Field(NamedTuple):
    """A parameter of a memory head: ``size`` numbers, bounded by one of `BOUNDS`; GATE and SCALAR have size 1."""

    name: str
    size: int
    bound: str
    kind: Kind


class Group(NamedTuple):
    """``heads`` memory heads, each with the same fields, one after the other."""

    heads: int
    fields: tuple[Field, ...]

    @property
    def size(self) -> int:
        """The size of the whole group."""
        return self.heads * sum(field.size for field in self.fields)


class Place(NamedTuple):
    """The place of a field among the P numbers: head h has ``start + h · stride`` to ``… + size``."""

    start: int
    stride: int
    size: int
    heads: int


class Layout:
    """What a controller emits for a memory access: P numbers, group by group, head by head, field by field.

    The order is defined only here; the equations and the kernels use it.
    """

    def __init__(self, *groups: Group) -> None:
        self.groups = groups
        self.fields = {field.name: field for group in groups for field in group.fields}

    @property
    def size(self) -> int:
        """P."""
        return sum(group.size for group in self.groups)

    def places(self) -> dict[str, Place]:
        """The place of every field."""
        places, start = {}, 0
        for group in self.groups:
            within, stride = start, group.size // group.heads
            for field in group.fields:
                places[field.name] = Place(within, stride, field.size, group.heads)
                within += field.size
            start += group.size
        return places

    def split(self, emitted: Tensor) -> dict[str, Tensor]:
        """The fields as views, by name: (…, P) -> (…, heads, size) each."""
        named: dict[str, Tensor] = {}
        for group, part in zip(self.groups, emitted.split([group.size for group in self.groups], -1), strict=True):
            heads = part.unflatten(-1, (group.heads, -1))
            fields = heads.split([field.size for field in group.fields], -1)
            named |= {field.name: values for field, values in zip(group.fields, fields, strict=True)}
        return named

    def bound(self, emitted: Tensor) -> dict[str, Tensor]:
        """As `split`, each field brought into its range."""
        return {name: BOUNDS[self.fields[name].bound](values) for name, values in self.split(emitted).items()}


class Access(nn.Module, ABC):
    """How a memory is read and written: the parameters that a controller emits for it, its state, and one step.

    `ntm_lab.nn.MemoryNetwork` runs the loop around it. A new access needs this class only; contract tests,
    pictures, penalties, statistics and ablations use what it declares.
    """

    layout: Layout  # of the heads' parameters
    signals: Mapping[str, Kind]  # of a step, beside the heads' parameters and the reads; in the order of computation
    read_heads: int  # R
    slots: int  # N
    width: int  # W
    machine: str | None = None  # the name of its fast kernels; None: there are none

    def __init_subclass__(cls, **settings: Any) -> None:
        """Allow ``torch.load(…, weights_only=True)`` of a saved state.

        Its pickle names the class ``State``, which must therefore be in a module: ``NTMAccess.State`` is also
        ``NTMAccessState`` there.
        """
        super().__init_subclass__(**settings)
        state, module = vars(cls).get("State"), sys.modules.get(cls.__module__)
        if isinstance(state, type) and module is not None:
            state.__qualname__ = f"{cls.__name__}State"
            setattr(module, state.__qualname__, state)
            torch.serialization.add_safe_globals([state])

    @abstractmethod
    def initial_state(self, batch_size: int, slots: int | None = None) -> Any:
        """The state before the first step: a NamedTuple of tensors (B, …), one of which is ``memory`` (B, N, W).

        ``slots`` replaces the access's own number; ValueError if that is not allowed.
        """

    @abstractmethod
    def step(self, heads: Mapping[str, Tensor], state: Any) -> tuple[Tensor, Any, dict[str, Tensor]]:
        """The reads (B, R, W), the state after the step, and its signals, from the heads' fields (B, heads, size)."""

    def initialise(self, weight: Tensor, bias: Tensor) -> None:
        """Initialise the heads in place: the layer (P, size) and (P,) that emits their parameters."""

    def resize(self, slots: int) -> None:
        """Use another number of slots from now on; ValueError if there is a learned value for each of the old ones."""
        self.initial_state(1, slots)
        self.slots = slots
