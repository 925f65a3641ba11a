"""A stack whose top alone is seen: Joulin, Mikolov 2015 (arXiv 1503.01007)."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ntm_lab.checks import at_least
from ntm_lab.nn.access.start import begin_heads
from ntm_lab.nn.contents import Constant
from ntm_lab.types import Access, Field, Group, Kind, Layout

PUSH, POP, STAY = range(3)


class StackAccess(Access):
    """A stack of N slots, the first of which is its top, pushed and popped in parts.

    A step is M = a_push [v; M without its last slot] + a_pop [M without its top; 0] + a_stay M, and reads the top.
    Signals: ``memory`` (N, W). Parameters: ``action`` (3), which sums to 1, and ``add`` (W), v. What is pushed is not
    bounded, as in Delétang et al. 2022 (arXiv 2207.02098); Joulin and Mikolov have a sigmoid.

    Args:
        slots, width: N and W.
        init: builds the initial contents, see `ntm_lab.nn.contents`.
    """

    signals: Mapping[str, Kind] = {"memory": Kind.MEMORY}
    read_heads = 1

    class State(NamedTuple):
        """What goes from step to step."""

        memory: Tensor  # (B, N, W)

    def __init__(self, slots: int = 64, width: int = 8, init: Callable[..., nn.Module] = Constant) -> None:
        super().__init__()
        self.slots = at_least("memory.slots", slots, 2)
        self.width = at_least("memory.width", width, 1)
        self.contents = init(slots=slots, width=width)
        action, add = Field("action", 3, "softmax", Kind.DISTRIBUTION), Field("add", width, "none", Kind.VECTOR)
        self.layout = Layout(Group(1, (action, add)))

    def initial_state(self, batch_size: int, slots: int | None = None) -> State:
        return self.State(self.contents(batch_size, self.slots if slots is None else at_least("slots", slots, 2)))

    def step(self, heads: Mapping[str, Tensor], state: State) -> tuple[Tensor, State, dict[str, Tensor]]:
        memory = state.memory
        push, pop, stay = heads["action"].unbind(2)  # (B, 1) each
        pushed = torch.cat((heads["add"], memory[:, :-1]), 1)
        popped = torch.cat((memory[:, 1:], torch.zeros_like(memory[:, :1])), 1)
        memory = push.unsqueeze(2) * pushed + pop.unsqueeze(2) * popped + stay.unsqueeze(2) * memory
        return memory[:, :1], self.State(memory), {"memory": memory}

    def initialise(self, weight: Tensor, bias: Tensor) -> None:
        begin_heads(self.layout, weight, bias)
