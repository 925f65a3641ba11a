"""A laboratory for neural networks with an external memory."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ntm_lab.zoo.find import load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    """`load` comes with Lightning and Hydra, which take seconds to import: only when it is asked for."""
    if name == "load":
        from ntm_lab.zoo.find import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
