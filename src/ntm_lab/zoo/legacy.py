"""Models of version 0.1, whose classes, settings and weights had other names."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

MOVED = {
    "ntm_lab.models.": "ntm_lab.nn.",
    "ntm_lab.controllers.": "ntm_lab.nn.controllers.",
    "ntm_lab.memory.Constant": "ntm_lab.nn.contents.Constant",
    "ntm_lab.memory.Random": "ntm_lab.nn.contents.Random",
    "ntm_lab.memory.": "ntm_lab.nn.weightings.",  # the others
}
RENAMED = {"checkpoint_every": "recompute_every"}
MEMORY = "ntm_lab.memory.Memory"


def modern_config(node: Any) -> Any:
    """The node of a task or a model in today's names; a modern node stays as it is.

    What was nested under ``memory`` (slots, width, init, weighting) belongs to the model itself now.
    """
    if isinstance(node, list):
        return [modern_config(part) for part in node]
    if not isinstance(node, Mapping):
        return node
    modern: dict[str, Any] = {}
    for key, value in node.items():
        if key == "memory" and isinstance(value, Mapping) and value.get("_target_") == MEMORY:
            modern |= {name: modern_config(part) for name, part in value.items() if not name.startswith("_")}
        else:
            modern[RENAMED.get(str(key), str(key))] = _moved(value) if key == "_target_" else modern_config(value)
    return modern


def _moved(target: Any) -> Any:
    for old, new in MOVED.items():
        if isinstance(target, str) and target.startswith(old):
            return new + target.removeprefix(old)
    return target


def modern_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by today's names: the initial memory belongs to the access."""
    return {
        f"access.{name.removeprefix('memory.')}" if name.startswith("memory.") else name: part
        for name, part in weights.items()
    }
