"""What a trained memory network still knows when its memory fails it: before it answers, or while it does.

An ablation takes over when the first answer is due. The model runs on by its own equations, from a state that is
changed before its steps, so that there is no second machine here that could differ from the first. Of that state only
the contents change: they change places, are cleared, or are frozen. Weightings, and a DNC's usage, links and precedence
or a MANN's usage, stay those of the slots as they were, for they say where to look and not what is there.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import torch
from torch import Tensor

from ntm_lab.evaluation.fresh import evaluate
from ntm_lab.nn import MemoryNetwork, NetworkState
from ntm_lab.tasks.difficulties import seeded
from ntm_lab.types import Access, Batch, Difficulty, Kind, SequenceModel, Task

Change = Callable[[NetworkState], NetworkState]
Outcome = tuple[Tensor, NetworkState]
Ablation = Callable[[SequenceModel, Tensor, NetworkState, torch.Generator], Outcome]
"""Logits (B, T, O) and last state of the steps of answering, from their inputs (B, T, I), the state after storing and a
source of chance."""


def intact(model: SequenceModel, inputs: Tensor, stored: NetworkState, chance: torch.Generator) -> Outcome:
    """Nothing is taken away."""
    return model(inputs, stored)


def reads_zeroed(model: SequenceModel, inputs: Tensor, stored: NetworkState, chance: torch.Generator) -> Outcome:
    """Controller and output layer get 0 for what the read heads return, and for what they last returned.

    Emptying the memory would not do: a DNC reads what it wrote in the same step.
    """
    blind = cast(MemoryNetwork, copy.copy(model))  # another network of the same parts
    blind._modules = {**model._modules, "access": Unread(blind.access)}
    blind.backend = "reference"
    return blind(inputs, stored._replace(reads=torch.zeros_like(stored.reads)))


class Unread(Access):
    """An access that goes on as it does, but for its reads, which are 0."""

    def __init__(self, access: Access) -> None:
        super().__init__()
        self.access, self.layout = access, access.layout
        self.signals, self.slots, self.width = access.signals, access.slots, access.width
        self.read_heads = access.read_heads

    def initial_state(self, batch_size: int, slots: int | None = None) -> Any:
        return self.access.initial_state(batch_size, slots)

    def step(self, heads: Mapping[str, Tensor], state: Any) -> tuple[Tensor, Any, dict[str, Tensor]]:
        reads, after, signals = self.access.step(heads, state)
        return torch.zeros_like(reads), after, signals


def memory_frozen(model: SequenceModel, inputs: Tensor, stored: NetworkState, chance: torch.Generator) -> Outcome:
    """What a step writes is gone before the next; a DNC, which writes and then reads, still reads it in that step."""
    return by_steps(model, inputs, stored, lambda state: state.with_memory(stored.memory))


def slots_shuffled(model: SequenceModel, inputs: Tensor, stored: NetworkState, chance: torch.Generator) -> Outcome:
    """The slots of each memory change places at random; the heads look where they looked.

    What was stored is still there, to be found by what it is and no longer by where it is.
    """
    return model(inputs, shuffle(stored, chance))


def memory_cleared(model: SequenceModel, inputs: Tensor, stored: NetworkState, chance: torch.Generator) -> Outcome:
    """The memory is again what it was before the first step; controller, heads and last reads go on as they are."""
    initial = model.initial_state(len(inputs), stored.memory.shape[1])
    return model(inputs, stored.with_memory(initial.memory))


ABLATIONS: Mapping[str, Ablation] = {
    "intact": intact,
    "reads zeroed": reads_zeroed,
    "memory frozen": memory_frozen,
    "slots shuffled": slots_shuffled,
    "memory cleared": memory_cleared,
}


def shuffle(state: NetworkState, chance: torch.Generator) -> NetworkState:
    """The slots of each memory (B, N, W) in another order."""
    batch, slots, width = state.memory.shape
    places = torch.rand(batch, slots, generator=chance).argsort(1).to(state.memory.device)  # (B, N)
    return state.with_memory(state.memory.gather(1, places.unsqueeze(2).expand(-1, -1, width)))


def by_steps(model: SequenceModel, inputs: Tensor, state: NetworkState, change: Change) -> Outcome:
    """One step after the other, each from the changed state."""
    logits = []
    for present in inputs.split(1, dim=1):
        answer, state = model(present, change(state))
        logits.append(answer)
    return torch.cat(logits, 1), state


class Ablated(SequenceModel):
    """A memory network that hears the first ``storing`` steps as ever and answers the others under an ablation.

    A sequence has to come whole, and all sequences of a batch to be of the same length.
    """

    signals: Mapping[str, Kind] = {}

    def __init__(self, model: SequenceModel, ablation: Ablation, storing: int, seed: int = 0) -> None:
        super().__init__()
        self.input_size, self.output_size = model.input_size, model.output_size
        self.model, self.ablation, self.storing = model, ablation, storing
        self.chance = seeded(seed, "ablation")

    def initial_state(self, batch_size: int, slots: int | None = None) -> NetworkState:
        state: NetworkState = self.model.initial_state(batch_size, slots)
        return state

    def forward(
        self, inputs: Tensor, state: NetworkState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, NetworkState]:
        if lengths is not None:
            raise ValueError("lengths: an ablation needs sequences of one length, without padding")
        heard, stored = self.model(inputs[:, : self.storing], state)
        answered, last = self.ablation(self.model, inputs[:, self.storing :], stored, self.chance)
        return torch.cat((heard, answered), 1), last

    def trace(
        self, inputs: Tensor, state: Any = None, lengths: Tensor | None = None, signals: Any = None
    ) -> dict[str, Tensor]:
        return {"logits": self(inputs, state, lengths)[0]}


def evaluate_ablations(
    model: SequenceModel,
    task: Task,
    difficulties: Iterable[Difficulty],
    sequences: int = 1000,
    seed: int = 2,
    ablations: Mapping[str, Ablation] = ABLATIONS,
) -> list[dict[str, Any]]:
    """Rows of `evaluate`, of the same sequences for every ablation, whose name stands under ``ablation``.

    Recalling are the scored steps, storing all before them. Raises ValueError for a model without a memory, and for a
    task that asks between telling.
    """
    if model.slots is None:
        raise ValueError(f"ablations: a {type(model).__name__} has no memory to take away")
    rows = []
    for difficulty in difficulties:
        storing = storing_steps(task.sample(1, difficulty, seeded(seed, "size")))
        for name, ablation in ablations.items():
            (row,) = evaluate(Ablated(model, ablation, storing, seed), task, [difficulty], sequences, seed)
            rows.append({"ablation": name} | row)
    return rows


def storing_steps(batch: Batch) -> int:
    """The steps before the first that is scored, of sequences all of which are scored from there to the end.

    Raises ValueError where the two take turns, or begin at another step in every sequence.
    """
    storing = int((~batch.mask[0]).sum())
    if batch.mask[:, :storing].any() or not batch.mask[:, storing:].all() or not storing:
        raise ValueError("ablations: need sequences that are first told and then asked for, all from the same step")
    return storing
