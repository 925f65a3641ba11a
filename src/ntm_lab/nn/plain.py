"""What the models without a memory of slots share: a hidden vector for every step, and a linear output of it."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from ntm_lab.nn.arguments import accept, chosen
from ntm_lab.types import Kind, SequenceModel


class PlainModel(SequenceModel):
    """A model by its `unroll`; the constructor sets `output`. `trace` knows the signal ``hidden``, (B, T, 1, size)."""

    signals: Mapping[str, Kind] = {"hidden": Kind.VECTOR}
    output: nn.Linear
    packed = True  # whether `trace` minds the ends of sequences too

    @abstractmethod
    def unroll(self, inputs: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        """The hidden vectors (B, T, size), and the state after the last step, from encoded inputs (B, T, ·)."""

    def forward(self, inputs: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        """Logits (B, T, O) of inputs (B, T, I), and the state after the last step.

        Inputs may also be one sequence (T, I) or a PackedSequence; the logits then have the same form.
        """
        given = accept(self, inputs, state, lengths)
        hidden, state = self.unroll(given.inputs, given.state, given.lengths)
        return given.outputs(self.logits(hidden)), given.after(state)

    def trace(
        self,
        inputs: Tensor,
        state: Any = None,
        lengths: Tensor | None = None,
        signals: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """``"logits"`` and the named signals (default: all) of every step; ValueError names one that there is not."""
        given = accept(self, inputs, state, lengths)
        hidden, _ = self.unroll(given.inputs, given.state, given.lengths if self.packed else None)
        traced = {"logits": self.logits(hidden)}
        if chosen(signals, [*self.signals]):
            traced["hidden"] = hidden.unsqueeze(2)
        return {name: given.outputs(part) for name, part in traced.items()}

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (B, T, O) of hidden vectors (B, T, size)."""
        return cast(Tensor, self.output(hidden))
