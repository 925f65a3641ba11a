"""Ablations of a trained memory network: its memory fails before it answers, or while it does.

An ablation takes over when the first answer is due. The model runs on by its own equations, from a state that is
changed before its steps, so that there is no second machine here that could differ from the first. What each changes:

==================  ===================================  ===============================================================
ablation            contents of the memory               weightings, a DNC's or MANN's usage, a DNC's precedence, links
==================  ===================================  ===============================================================
reads zeroed        go on                                go on; controller and output layer get 0 for the reads
memory frozen       before every step as when it began   go on
memory cleared      as before the first step             stay
slots shuffled      change places                        stay: they now point at other contents
slots renumbered    change places                        change places with the contents
links cut           go on                                links and precedence are 0 before every step, others go on
==================  ===================================  ===============================================================

A machine that looks by content is not lost when slots are shuffled; one that only goes on from slot to slot is. Where
slots are renumbered, a DNC and a MANN have to answer as ever, since nothing in them depends on the number of a slot; an
NTM, whose shift goes to the slot of the next number, does not. Cut links leave a DNC its content: what its modes give
to the links then reads nothing.

Some tasks ask between telling (one-shot classification, bAbI). There an ablation acts before every step, from the first
on: a memory cleared so has never stored anything, and one frozen is the same.
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
    """Controller and output layer see 0 in place of the reads, the last ones before the answer included.

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
    """Each step's write is undone before the next; a DNC, which writes and then reads, still reads it in that step."""
    return by_steps(model, inputs, stored, lambda state: state.with_memory(stored.memory))


def slots_shuffled(model: SequenceModel, inputs: Tensor, stored: NetworkState, chance: torch.Generator) -> Outcome:
    """The slots of each memory change places at random; the heads look where they looked.

    The stored vectors are still there, to be found by content and no longer by location.
    """
    return model(inputs, shuffle(stored, chance))


def slots_renumbered(model: SequenceModel, inputs: Tensor, stored: NetworkState, chance: torch.Generator) -> Outcome:
    """All that a slot has changes places with its contents: only its number is another."""
    return model(inputs, renumber(stored, chance))


def links_cut(model: SequenceModel, inputs: Tensor, stored: NetworkState, chance: torch.Generator) -> Outcome:
    """No slot is linked to another, and none comes to be: forward and backward weightings are 0."""
    return by_steps(model, inputs, stored, without_links)


def memory_cleared(model: SequenceModel, inputs: Tensor, stored: NetworkState, chance: torch.Generator) -> Outcome:
    """The memory has its initial contents again; controller, heads and last reads go on as they are."""
    initial = model.initial_state(len(inputs), stored.memory.shape[1])
    return model(inputs, stored.with_memory(initial.memory))


ABLATIONS: Mapping[str, Ablation] = {
    "intact": intact,
    "reads zeroed": reads_zeroed,
    "memory frozen": memory_frozen,
    "slots shuffled": slots_shuffled,
    "memory cleared": memory_cleared,
    "slots renumbered": slots_renumbered,
    "links cut": links_cut,
}


def ablations_of(model: SequenceModel, throughout: bool = False) -> dict[str, Ablation]:
    """The ablations that change something in a model: links are cut where it has some, and a memory is not both frozen
    and cleared before every step, ``throughout``.

    Raises ValueError for a model without a memory.
    """
    if model.slots is None:
        raise ValueError(f"ablations: a {type(model).__name__} has no memory to take away")
    state: NetworkState = model.initial_state(1)
    links = getattr(state.access, "link", None)
    absent = {"memory frozen"} if throughout else set()
    if links is None or not links.numel():
        absent.add("links cut")
    return {name: ablation for name, ablation in ABLATIONS.items() if name not in absent}


def shuffle(state: NetworkState, chance: torch.Generator) -> NetworkState:
    """The slots of each memory (B, N, W) in another order."""
    return state.with_memory(_taken(state.memory, _places(state, chance), 1))


def renumber(state: NetworkState, chance: torch.Generator) -> NetworkState:
    """Contents, weightings, usage, precedence and links of the slots in another order, the same for all: every part of
    the access's state whose last dimension is that of the slots."""
    places, slots = _places(state, chance), state.memory.shape[1]
    moved = {"memory": _taken(state.memory, places, 1)}
    for name, part in state.access._asdict().items():
        if name == "link":
            moved[name] = _taken(_taken(part, places, 1), places, 2) if part.numel() else part
        elif name != "memory" and part.shape[-1:] == (slots,):
            moved[name] = _taken(part, places, part.dim() - 1)
    return state._replace(access=state.access._replace(**moved))


def _places(state: NetworkState, chance: torch.Generator) -> Tensor:
    """An order of the slots for every memory, (B, N)."""
    batch, slots, _ = state.memory.shape
    return torch.rand(batch, slots, generator=chance).argsort(1).to(state.memory.device)


def _taken(part: Tensor, places: Tensor, dimension: int) -> Tensor:
    """A tensor (B, …) with the entries of one dimension in the order of places (B, N)."""
    view = [1] * part.dim()
    view[0], view[dimension] = places.shape
    return part.gather(dimension, places.view(view).expand_as(part))


def without_links(state: NetworkState) -> NetworkState:
    """Links and precedence are 0; without precedence the next write makes no link either."""
    access = state.access
    return state._replace(
        access=access._replace(link=torch.zeros_like(access.link), precedence=torch.zeros_like(access.precedence))
    )


def by_steps(model: SequenceModel, inputs: Tensor, state: NetworkState, change: Change) -> Outcome:
    """One step after the other, each from the changed state."""
    logits = []
    for present in inputs.split(1, dim=1):
        answer, state = model(present, change(state))
        logits.append(answer)
    return torch.cat(logits, 1), state


class Ablated(SequenceModel):
    """A memory network under an ablation: it hears the first ``storing`` steps as ever and answers the others under it.

    With ``storing=0`` the ablation acts anew before every step. Otherwise a sequence has to come whole, and all
    sequences of a batch to be of the same length.
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
        if not self.storing:
            return self._throughout(inputs, self.initial_state(len(inputs)) if state is None else state)
        heard, stored = self.model(inputs[:, : self.storing], state)
        answered, last = self.ablation(self.model, inputs[:, self.storing :], stored, self.chance)
        return torch.cat((heard, answered), 1), last

    def _throughout(self, inputs: Tensor, state: NetworkState) -> Outcome:
        """The ablation anew at every step."""
        logits = []
        for present in inputs.split(1, dim=1):
            answer, state = self.ablation(self.model, present, state, self.chance)
            logits.append(answer)
        return torch.cat(logits, 1), state

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
    ablations: Mapping[str, Ablation] | None = None,
    details: bool = False,
    advance: Callable[[int], Any] = lambda sequences: None,
) -> list[dict[str, Any]]:
    """Rows of `evaluate`, of the same sequences for every ablation, whose name stands under ``ablation``.

    An ablation begins with the first scored step; of a task that asks between telling it acts at every step.

    Args:
        ablations: those to make; default all of `ablations_of`.
        details, advance: as in `evaluate`.

    Raises ValueError for a model without a memory.
    """
    rows = []
    for difficulty in difficulties:
        storing = storing_steps(task.sample(2, difficulty, seeded(seed, "size")))
        chosen = ablations_of(model, throughout=not storing) if ablations is None else ablations
        for name, ablation in chosen.items():
            ablated = Ablated(model, ablation, storing, seed)
            (row,) = evaluate(ablated, task, [difficulty], sequences, seed, details, advance)
            rows.append({"ablation": name} | row)
    return rows


def storing_steps(batch: Batch) -> int:
    """The steps before the first that is scored, of sequences all of which are scored from there to the end; 0 where
    asking and telling take turns, or where asking begins at another step in every sequence."""
    storing = int((~batch.mask[0]).sum())
    first_told = not batch.mask[:, :storing].any() and batch.mask[:, storing:].all()
    return storing if first_told else 0
