"""Statistics of how a memory is addressed, which show a collapse to a uniform weighting."""

from collections.abc import Mapping

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from ntm_lab.checks import at_least
from ntm_lab.training.learner import Learner
from ntm_lab.training.penalties import entropy_bits
from ntm_lab.types import Batch, Kind

SUMMARISED = (Kind.WEIGHTING, Kind.GATE, Kind.SCALAR, Kind.USAGE)


class AddressingStatistics(pl.Callback):
    """Logs `addressing_statistics` of the model's weightings, gates, other single numbers and usage.

    Measured on the hardest sequences of the validation set; a model without such signals logs nothing.
    """

    def __init__(self, sequences: int = 16) -> None:
        self.sequences = at_least("callbacks.addressing.sequences", sequences, 1)

    @rank_zero_only
    def on_validation_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        kinds = {name: kind for name, kind in learner.model.signals.items() if kind in SUMMARISED}
        if not kinds:
            return
        batch = learner.as_trained(Batch(*(part[: self.sequences] for part in learner.data.validation[-1])))
        with torch.no_grad():
            signals = learner.model.trace(batch.inputs, lengths=batch.lengths, signals=[*kinds])
        learner.log_now(addressing_statistics(signals, kinds, batch))


def addressing_statistics(signals: Mapping[str, Tensor], kinds: Mapping[str, Kind], batch: Batch) -> dict[str, float]:
    """Means over the steps of a batch, from a trace of a model and the kinds of the signals in it.

    ========================================  ==========================================================================
    ``addressing/read_0/entropy_storing``     entropy in bits of a weighting, here of ``read_weighting``, head 0 (log₂ N
                                              if uniform, see `entropy_bits`), while storing
    ``addressing/read_0/entropy_recalling``   while recalling, which are the scored steps; all others are storing
    ``addressing/read_0/strength``            a gate or number of a head, here ``read_strength``, or ``strength`` where
                                              there is one for every head that has a weighting
    ``addressing/free_gate_0``                one that belongs to no such head by its name or number
    ``addressing/usage``                      the sum over the slots
    ========================================  ==========================================================================
    """
    phases = {"storing": batch.exists & ~batch.mask, "recalling": batch.mask}
    entropies: dict[str, Tensor] = {}  # of every head, (B, T)
    for name, kind in kinds.items():
        if kind == Kind.WEIGHTING:
            stem = name.removesuffix("_weighting")
            entropies |= {f"{stem}_{head}": part for head, part in enumerate(entropy_bits(signals[name]).unbind(2))}
    values = {
        f"addressing/{head}/entropy_{phase}": float(entropy[steps].mean())
        for head, entropy in entropies.items()
        for phase, steps in phases.items()
    }
    for name, kind in kinds.items():
        if kind == Kind.USAGE:
            values[f"addressing/{name}"] = float(signals[name].sum(2)[batch.exists].mean())
        elif kind in (Kind.GATE, Kind.SCALAR):
            parts = signals[name].unbind(2)
            for column, part in zip(_columns(name, len(parts), [*entropies]), parts, strict=True):
                values[f"addressing/{column}"] = float(part[batch.exists].mean())
    return values


def _columns(name: str, count: int, heads: list[str]) -> list[str]:
    """The columns of a signal with ``count`` heads, given the names of the heads that have weightings."""
    if count == len(heads):
        return [f"{head}/{name}" for head in heads]
    stem, _, rest = name.partition("_")
    own = [head for head in heads if head.rpartition("_")[0] == stem]
    if len(own) == count:
        return [f"{head}/{rest}" for head in own]
    return [f"{name}_{head}" for head in range(count)]
