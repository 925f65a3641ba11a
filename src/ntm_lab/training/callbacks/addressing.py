"""How sharp the heads' addressing is: the numbers by which a collapse to a uniform weighting is seen."""

import pytorch_lightning as pl
import torch
from torch import Tensor

from ntm_lab.checks import at_least
from ntm_lab.training.learner import Learner
from ntm_lab.training.penalties import entropy_bits
from ntm_lab.types import Batch

SIGNALS = ("read_weighting", "write_weighting", "sharpness")


class AddressingStatistics(pl.Callback):
    """Logs each head's mean entropy (bits; log₂ N is uniform) while storing and while recalling, and its sharpness.

    Measured on the hardest sequences of the validation set. Recalling are the scored steps, storing all others.
    """

    def __init__(self, sequences: int = 16) -> None:
        self.sequences = at_least("callbacks.addressing.sequences", sequences, 1)

    def on_validation_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        if not set(SIGNALS) <= set(learner.model.signals):
            return
        batch = Batch(*(part[: self.sequences].to(learner.device) for part in learner.data.validation[-1]))
        with torch.no_grad():
            signals = learner.model.trace(batch.inputs, lengths=batch.lengths, signals=SIGNALS)
        learner.log_now(addressing_statistics(signals, batch))


def addressing_statistics(signals: dict[str, Tensor], batch: Batch) -> dict[str, float]:
    """``addressing/read_0/entropy_storing`` and so on, from a trace of an NTM."""
    phases = {"storing": batch.exists & ~batch.mask, "recalling": batch.mask}
    entropies = {kind: entropy_bits(signals[f"{kind}_weighting"]) for kind in ("read", "write")}  # (B, T, heads)
    names = [f"{kind}_{head}" for kind, entropy in entropies.items() for head in range(entropy.shape[2])]
    entropy = torch.cat(list(entropies.values()), 2)
    values: dict[str, float] = {}
    for head, name in enumerate(names):
        for phase, steps in phases.items():
            values[f"addressing/{name}/entropy_{phase}"] = float(entropy[..., head][steps].mean())
        values[f"addressing/{name}/sharpness"] = float(signals["sharpness"][..., head][batch.exists].mean())
    return values
