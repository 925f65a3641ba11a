"""A tape under a head that writes and moves at every step: Delétang et al. 2022 (arXiv 2207.02098)."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ntm_lab.checks import at_least, switch
from ntm_lab.nn.access.start import begin_heads
from ntm_lab.nn.contents import Constant
from ntm_lab.types import Access, Field, Group, Kind, Layout


class TapeAccess(Access):
    """A ring of N slots, the first of which is under the head; a head that moves is a tape that turns.

    A step writes v into the slot under the head. It then stays, moves one slot to the right or to the left or, with
    ``oracle``, as many slots as the input is long, to the right or to the left: each in part. It reads the slot under
    the head. Signals: ``memory`` (N, W), from the head on. Parameters: ``action`` (3 or 5), which sums to 1, in that
    order, and ``add`` (W), v.

    Args:
        slots, width: N and W.
        init: builds the initial contents, see `ntm_lab.nn.contents`.
        oracle: whether the head may jump by the length of the input. Somebody has to say it: see `with_jump`.
    """

    signals: Mapping[str, Kind] = {"memory": Kind.MEMORY}
    read_heads = 1

    class State(NamedTuple):
        """What goes from step to step."""

        memory: Tensor  # (B, N, W)
        jump: Tensor  # (B, N), 1 at the slot that a jump to the right brings under the head; (B, 0) without ``oracle``

    def __init__(
        self, slots: int = 64, width: int = 8, init: Callable[..., nn.Module] = Constant, oracle: bool = False
    ) -> None:
        super().__init__()
        self.slots = at_least("memory.slots", slots, 1)
        self.width = at_least("memory.width", width, 1)
        self.oracle = switch("model.oracle", oracle)
        self.contents = init(slots=slots, width=width)
        action = Field("action", 5 if oracle else 3, "softmax", Kind.DISTRIBUTION)
        self.layout = Layout(Group(1, (action, Field("add", width, "none", Kind.VECTOR))))

    def initial_state(self, batch_size: int, slots: int | None = None) -> State:
        memory = self.contents(batch_size, self.slots if slots is None else at_least("slots", slots, 1))
        state = self.State(memory, memory.new_zeros(batch_size, 0))
        return self.with_jump(state, torch.zeros(batch_size, dtype=torch.int64, device=memory.device))

    def with_jump(self, state: State, length: Tensor) -> State:
        """The state of a head that jumps by these lengths (B,), whole numbers; without ``oracle`` the state itself."""
        if not self.oracle:
            return state
        slots = state.memory.shape[1]
        return state._replace(jump=one_hot(length % slots, slots).to(state.memory.dtype))

    def step(self, heads: Mapping[str, Tensor], state: State) -> tuple[Tensor, State, dict[str, Tensor]]:
        written = torch.cat((heads["add"], state.memory[:, 1:]), 1)
        turned = [written, written.roll(-1, 1), written.roll(1, 1)]
        if self.oracle:
            jump = state.jump.argmax(1)
            turned += [_turned(written, jump), _turned(written, -jump)]
        memory = (torch.stack(turned, 1) * heads["action"].transpose(1, 2).unsqueeze(3)).sum(1)
        return memory[:, :1], self.State(memory, state.jump), {"memory": memory}

    def initialise(self, weight: Tensor, bias: Tensor) -> None:
        begin_heads(self.layout, weight, bias)


def _turned(memory: Tensor, by: Tensor) -> Tensor:
    """The tape (B, N, W) when the head has moved this many slots (B,) to the right."""
    slots = torch.arange(memory.shape[1], device=memory.device)
    index = (slots + by.unsqueeze(1)) % memory.shape[1]
    return memory.gather(1, index.unsqueeze(2).expand_as(memory))
