"""The signals of a model, by name."""

from collections.abc import Mapping

from torch import Tensor


def signal(signals: Mapping[str, Tensor], name: str) -> Tensor:
    """The named one; ValueError tells which there are."""
    if name not in signals:
        raise ValueError(f"signal {name!r}: this model has only {', '.join(signals)}")
    return signals[name]
