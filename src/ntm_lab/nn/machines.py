"""The memory networks of the papers: a `MemoryNetwork` with its access, built from plain settings."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from ntm_lab.nn.access import DNCAccess, MANNAccess, NTMAccess, StackAccess, TapeAccess
from ntm_lab.nn.controllers import make_controller
from ntm_lab.nn.keywords import show_keywords
from ntm_lab.nn.network import MemoryNetwork, NetworkState
from ntm_lab.types import Access, Controller, Encoder


class _Machine(MemoryNetwork):
    """A memory network whose access is settled. `access` takes all keywords that are not named here."""

    access_class: type[Access]

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        show_keywords(cls, _Machine.__init__, cls.access_class)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        controller: str | Callable[[int], Controller] = "lstm",
        *,
        size: int | None = None,
        layers: int | None = None,
        backend: str = "auto",
        recompute_every: int = 8,
        encoder: Callable[[int], Encoder] | None = None,
        dropout: float = 0.0,
        **access: Any,
    ) -> None:
        super().__init__(
            input_size,
            output_size,
            make_controller(controller, size, layers),
            partial(self.access_class, **access),
            backend,
            recompute_every,
            encoder,
            dropout,
        )


class NTM(_Machine):
    """The Neural Turing Machine: Graves, Wayne, Danihelka 2014 (arXiv 1410.5401).

    Args:
        input_size, output_size: I and O.
        controller: ``lstm``, ``feedforward``, ``recurrent``, or what builds one from its input width.
        size, layers: of a controller given by name, 100 and 1 by default.
        backend, recompute_every, encoder, dropout: see `MemoryNetwork`.
        access: all other keywords, such as ``slots=128, width=20, read_heads=1``: see `NTMAccess`.

    >>> import torch
    >>> model = NTM(9, 8)
    >>> logits, state = model(torch.zeros(4, 41, 9))
    >>> logits.shape, state.memory.shape
    (torch.Size([4, 41, 8]), torch.Size([4, 128, 20]))
    """

    access_class = NTMAccess


class DNC(_Machine):
    """The Differentiable Neural Computer: Graves et al. 2016 (Nature 538).

    Arguments as of `NTM`; those of the memory are in `DNCAccess`.

    >>> import torch
    >>> model = DNC(9, 8, controller="feedforward", slots=16, links="none")
    >>> model.trace(torch.zeros(4, 5, 9))["usage"].shape
    torch.Size([4, 5, 16])
    """

    access_class = DNCAccess


class MANN(_Machine):
    """The Memory-Augmented Neural Network: Santoro et al. 2016 (arXiv 1605.06065).

    Arguments as of `NTM`; those of the memory are in `MANNAccess`.

    >>> import torch
    >>> model = MANN(405, 5, size=200, slots=64)
    >>> logits, state = model(torch.zeros(2, 50, 405))
    >>> logits.shape
    torch.Size([2, 50, 5])
    """

    access_class = MANNAccess


class StackRNN(_Machine):
    """A network with a stack: Joulin, Mikolov 2015 (arXiv 1503.01007).

    Arguments as of `NTM`; those of the memory are in `StackAccess`.

    >>> import torch
    >>> StackRNN(3, 2, "recurrent", slots=50)(torch.zeros(4, 7, 3))[1].memory.shape
    torch.Size([4, 50, 8])
    """

    access_class = StackAccess


class TapeRNN(_Machine):
    """A network with a tape: Delétang et al. 2022 (arXiv 2207.02098).

    Arguments as of `NTM`; those of the memory are in `TapeAccess`. With ``oracle=True``, as in the paper, it is told
    before the first step how long the input is: the number of steps whose last channel is 0, which is the length of the
    word in a `Language`. A state that is given has been told before, see `told`.

    >>> import torch
    >>> inputs = torch.zeros(1, 5, 3)
    >>> inputs[:, 3:, -1] = 1
    >>> int(TapeRNN(3, 2, oracle=True)(inputs)[1].access.jump.argmax())
    3
    """

    access_class = TapeAccess

    @property
    def title(self) -> str:
        return super().title + ", length oracle" * cast(TapeAccess, self.access).oracle

    def told(self, state: NetworkState, length: Tensor) -> NetworkState:
        """The state that knows how long the inputs are, (B,); without ``oracle`` the state itself."""
        return state._replace(access=cast(TapeAccess, self.access).with_jump(state.access, length))

    def _unroll(
        self, inputs: Tensor, state: NetworkState | None, lengths: Tensor | None, wanted: Sequence[str]
    ) -> tuple[dict[str, Tensor], NetworkState]:
        if state is None:
            in_word = inputs[..., -1] == 0
            if lengths is not None:
                in_word &= torch.arange(inputs.shape[1], device=lengths.device) < lengths.unsqueeze(1)
            state = self.told(self.initial_state(len(inputs)), in_word.sum(1))
        return super()._unroll(inputs, state, lengths, wanted)
