"""A laboratory for neural networks with an external memory.

    >>> import ntm_lab
    >>> model = ntm_lab.NTM(9, 8)  # a torch module; also DNC, MANN, LSTM
    >>> batch = ntm_lab.tasks.Copy().sample(4, length=20)
    >>> logits, state = model(batch.inputs)
    >>> logits.shape
    torch.Size([4, 41, 8])

`train` trains a model, `evaluate` says how good one is, `load` finds a trained one, `show` lets one watch it. All names
are imported when they are first used: PyTorch, Lightning and Hydra take seconds.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ntm_lab import tasks
    from ntm_lab.evaluation.api import evaluate
    from ntm_lab.nn import DNC, LSTM, MANN, NTM
    from ntm_lab.runs.api import train
    from ntm_lab.viewer.page import show
    from ntm_lab.zoo.find import load

__all__ = ["DNC", "LSTM", "MANN", "NTM", "__version__", "evaluate", "load", "show", "tasks", "train"]

_HOMES = {
    **dict.fromkeys(("DNC", "LSTM", "MANN", "NTM"), "ntm_lab.nn"),
    "evaluate": "ntm_lab.evaluation.api",
    "load": "ntm_lab.zoo.find",
    "show": "ntm_lab.viewer.page",
    "train": "ntm_lab.runs.api",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = version("ntm_lab")
    elif name == "tasks":
        value = import_module("ntm_lab.tasks")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
