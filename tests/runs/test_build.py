"""The parts of a run, made from its config."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ntm_lab.runs.run import Run
from ntm_lab.training.optim import Adam


class Told(Adam):
    """Adam that remembers what it was given."""

    def __init__(self, params: Iterable[Any], lr: float, betas: Sequence[float], eps: float, fused: bool) -> None:
        super().__init__(params, lr, (betas[0], betas[1]), eps, fused=fused)
        self.told = betas


def test_an_optimizer_is_given_plain_lists(started: Callable[..., Run]) -> None:
    """Its settings are in every checkpoint, and one that holds OmegaConf's lists is not read."""
    optimizer = started(f"optimizer._target_={Told.__module__}.Told").learner.optimizer
    assert isinstance(optimizer, Told) and type(optimizer.told) is list
