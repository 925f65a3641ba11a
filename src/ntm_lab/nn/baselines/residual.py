"""What Transformers and linear memories share: residual layers, each a mixer over time and a feedforward part."""

import itertools
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple, Self, cast

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ntm_lab.checks import at_least, share
from ntm_lab.nn.controllers import MOST_LAYERS
from ntm_lab.nn.keywords import show_keywords
from ntm_lab.nn.plain import PlainModel
from ntm_lab.types import Encoder


class Mixer(nn.Module):
    """Lets the steps of a sequence see those before them; built from the model's width and keywords."""

    wider: ClassVar[int] = 4  # how many times as wide as the model the feedforward part after it is; 0: there is none

    @abstractmethod
    def initial_state(self, batch_size: int) -> Any:
        """A NamedTuple of tensors (B, …)."""

    @abstractmethod
    def forward(self, inputs: Tensor, state: Any, positions: Tensor, exists: Tensor | None) -> tuple[Tensor, Any]:
        """One layer of all steps: outputs (B, T, size) and the state after them, from inputs (B, T, size), the number
        of each step (B, T), and which steps exist (B, T), None for all."""


class CausalConvolution(nn.Conv1d):
    """Each channel of a step from its own values at this step and the ``kernel`` − 1 before."""

    def __init__(self, size: int, kernel: int) -> None:
        super().__init__(size, size, at_least("model.kernel", kernel, 1), groups=size)

    def initial_state(self, batch_size: int) -> Tensor:
        """The inputs before the first step, (B, kernel − 1, size)."""
        return self.weight.new_zeros(batch_size, self.kernel_size[0] - 1, self.in_channels)

    def over(self, inputs: Tensor, last: Tensor, exists: Tensor | None) -> tuple[Tensor, Tensor]:
        """Outputs (B, T, size), and the last inputs that exist, (B, kernel − 1, size), from inputs (B, T, size)."""
        before = torch.cat((last, inputs), 1)
        count = inputs.new_full((len(inputs),), inputs.shape[1]) if exists is None else exists.sum(1)
        index = count.long().unsqueeze(1) + torch.arange(last.shape[1], device=inputs.device)
        kept = before.gather(1, index.unsqueeze(2).expand(-1, -1, before.shape[2]))
        return self(before.transpose(1, 2)).transpose(1, 2), kept


class ResidualState(NamedTuple):
    """How many steps each sequence has seen, (B,), and the state of every layer's mixer."""

    position: Tensor
    layers: tuple[Any, ...]

    def detach(self) -> Self:
        """The same state, cut off from the steps that led to it."""
        return pytree.tree_map(lambda part: part.detach(), self)


class Residual(PlainModel):
    """Linear, ``layers`` × (x + mixer(norm x), x + feedforward(norm x)), norm, linear: the usual pre-norm stack.

    A mixer says how wide its feedforward part is, see `Mixer.wider`.

    Args:
        input_size, output_size: I and O.
        size, layers: width and number of the layers.
        encoder: builds, from I, what maps the inputs before the first layer; None: nothing does.
        dropout: the share of what a layer adds that is dropped in training.
        mixer: all other keywords, of the mixers.
    """

    mixer_classes: tuple[type[Mixer], ...]  # which take turns

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        show_keywords(cls, Residual.__init__, *cls.mixer_classes)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        size: int = 64,
        layers: int = 2,
        encoder: Callable[[int], Encoder] | None = None,
        dropout: float = 0.0,
        **mixer: Any,
    ) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, output_size
        at_least("model.size", size, 1)
        at_least("model.layers", layers, 1, MOST_LAYERS)
        self.encoder = None if encoder is None else encoder(input_size)
        self.embedding = nn.Linear(input_size if self.encoder is None else self.encoder.size, size)
        turns = itertools.cycle(self.mixer_classes)
        mixers = [next(turns)(size, **mixer) for _ in range(layers)]
        widths = [one.wider * size for one in mixers if one.wider]
        self.mixers = nn.ModuleList(mixers)
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(layers + len(widths) + 1))
        self.feedforwards = nn.ModuleList(
            nn.Sequential(nn.Linear(size, width), nn.GELU(), nn.Linear(width, size)) for width in widths
        )
        self.dropout = nn.Dropout(share("model.dropout", dropout))
        self.output = nn.Linear(size, output_size)

    def initial_state(self, batch_size: int, slots: int | None = None) -> ResidualState:
        """Nothing has been seen; there are no slots to choose."""
        if slots is not None:
            self.resize(slots)
        position = torch.zeros(batch_size, dtype=torch.int64, device=self.output.weight.device)
        return ResidualState(position, tuple(cast(Mixer, mixer).initial_state(batch_size) for mixer in self.mixers))

    def unroll(self, inputs: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, ResidualState]:
        batch, steps, _ = inputs.shape
        state = self.initial_state(batch) if state is None else state
        if not steps:
            return inputs.new_zeros(batch, 0, self.output.in_features), state
        exists = None
        if lengths is not None:
            exists = torch.arange(steps, device=inputs.device) < lengths.unsqueeze(1)
            inputs = inputs.masked_fill(~exists.unsqueeze(2), 0)
        positions = self.positions(state.position, steps)
        hidden, after = self.embed(inputs, positions), []
        norms, feedforwards = iter(self.norms), iter(self.feedforwards)
        for mixer, before in zip(cast(Iterable[Mixer], self.mixers), state.layers, strict=True):
            mixed, end = mixer(next(norms)(hidden), before, positions, exists)
            hidden = hidden + self.dropout(mixed)
            if mixer.wider:
                hidden = hidden + self.dropout(next(feedforwards)(next(norms)(hidden)))
            after.append(end)
        return next(norms)(hidden), ResidualState(
            state.position + (steps if lengths is None else lengths), tuple(after)
        )

    def positions(self, seen: Tensor, steps: int) -> Tensor:
        """The numbers of the next steps (B, T) of sequences of which this many (B,) have been seen."""
        return seen.unsqueeze(1) + torch.arange(steps, device=seen.device)

    def embed(self, inputs: Tensor, positions: Tensor) -> Tensor:
        """What the first layer sees, (B, T, size)."""
        embedded: Tensor = self.embedding(inputs)
        return embedded
