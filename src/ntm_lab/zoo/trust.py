"""The classes that a card may name, and how to build them: a card can reach nothing else.

A card holds plain values. A mapping with ``_target_`` stands for an object of that class, with ``_partial_: true`` for
the class with these arguments, to be called later. Classes of this package are looked up in a table (`OWN`); those of
another package only if the person who loads trusts that package by name.
"""

import re
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from types import ModuleType
from typing import Any

from torch import nn

from ntm_lab import nn as models
from ntm_lab import tasks
from ntm_lab.nn import baselines, contents, controllers, encoders, image_encoders, weightings
from ntm_lab.tasks import images, languages
from ntm_lab.types import Task

ROOMS: tuple[ModuleType, ...] = (
    *(tasks, images, languages),
    *(models, baselines, controllers, encoders, image_encoders, contents, weightings),
)
OWN: dict[str, Any] = {f"{room.__name__}.{name}": getattr(room, name) for room in ROOMS for name in room.__all__}
TARGET, PARTIAL = "_target_", "_partial_"
PATH = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)+", re.ASCII)  # no part of it begins with an underscore


def names(trust: str | Collection[str]) -> tuple[str, ...]:
    """The trusted packages; one may be given as a string."""
    return (trust,) if isinstance(trust, str) else tuple(trust)


def check(node: Any, trust: str | Collection[str] = ()) -> None:
    """Raise ValueError for a node that might do more than build objects of allowed classes from plain values.

    A check of the beginning of a ``_target_`` is not enough: ``ntm_lab.training.checkpoints.os.system`` is a shell.
    An interpolation ``${…}`` could read the environment.
    """
    for target in targets(node):
        resolve(target, trust)
    for key, value in _leaves(node):
        if isinstance(value, str) and "${" in value:
            raise ValueError(f"{key}={value} is refused: only plain values are allowed")
        if key.startswith("_") and key not in (TARGET, PARTIAL):
            raise ValueError(f"{key} is refused: the only special keys are {TARGET} and {PARTIAL}")


def build(node: Any, trust: str | Collection[str] = ()) -> Any:
    """The object that a checked node describes."""
    if isinstance(node, list):
        return [build(part, trust) for part in node]
    if not isinstance(node, Mapping):
        return node
    arguments = {key: build(value, trust) for key, value in node.items() if key not in (TARGET, PARTIAL)}
    if TARGET not in node:
        return arguments
    found = resolve(node[TARGET], trust)
    return partial(found, **arguments) if node.get(PARTIAL) else found(**arguments)


def resolve(target: Any, trust: str | Collection[str] = ()) -> Any:
    """The class of a ``_target_``.

    Raises ValueError for anything but a class of `OWN` or, from a package that is trusted, a class of its own that is a
    model, a part of one, or a task.
    """
    if not isinstance(target, str) or not PATH.fullmatch(target):
        raise ValueError(f"{TARGET}={target} is refused: it is not the name of a class")
    if target in OWN:
        return OWN[target]
    package = target.partition(".")[0]
    if package == "ntm_lab":
        allowed = ", ".join(OWN)
        raise ValueError(f"{TARGET}={target} is refused, as it might run any code; allowed of ntm_lab are {allowed}")
    if package in sys.stdlib_module_names:
        raise ValueError(f"{TARGET}={target} is refused, as it might run any code")
    if package not in names(trust):
        raise ValueError(
            f"{TARGET}={target} is refused: it runs code of the package {package}; if you trust that, load with "
            f'trust=("{package}",), on the command line --trust {package}'
        )
    return _foreign(target, package)


def _foreign(target: str, package: str) -> type:
    """A class of a trusted package; never what it merely imports from elsewhere."""
    path, _, name = target.rpartition(".")
    try:
        module = import_module(path)
    except ModuleNotFoundError as error:
        if error.name == package:
            raise ValueError(f"{TARGET}={target}: install the package {package}, which is not here") from error
        raise ValueError(f"{TARGET}={target}: there is no module {error.name}") from error
    except Exception as error:
        raise ValueError(f"{TARGET}={target}: {path} cannot be imported ({error})") from error
    found = getattr(module, name, None)
    if (
        not isinstance(found, type)
        or found.__module__.partition(".")[0] != package
        or not (issubclass(found, nn.Module) or Task in found.__mro__)
    ):
        raise ValueError(
            f"{TARGET}={target} is refused: it is not a class that {package} defines and that is a torch.nn.Module or "
            "an ntm_lab task"
        )
    return found


def packages(node: Any) -> dict[str, str]:
    """The other packages that must be installed, and trusted, to build a node, with their installed versions.

    Raises ValueError for a class of a package that is not installed: nobody else could load the model.
    """
    foreign = {target.partition(".")[0] for target in targets(node) if isinstance(target, str)} - {"ntm_lab"}
    known = packages_distributions() if foreign else {}
    needed = {}
    for package in sorted(foreign - sys.stdlib_module_names):
        distribution = known.get(package, [package])[0]  # an editable install does not list its modules
        try:
            needed[package] = version(distribution)
        except PackageNotFoundError as error:
            raise ValueError(
                f"the package {package}, whose classes the model uses, is not installed, so that nobody else "
                "could load it: make it installable, and pip install it"
            ) from error
    return needed


def targets(node: Any) -> Iterator[Any]:
    """All values under ``_target_``, in the order of the node."""
    return (value for key, value in _leaves(node) if key == TARGET)


def _leaves(node: Any, key: str = "card") -> Iterator[tuple[str, Any]]:
    """All values that are no containers, and all under special keys, each with the nearest key above it."""
    if key.startswith("_") or not isinstance(node, Mapping | list):
        yield key, node
    elif isinstance(node, Mapping):
        for name, part in node.items():
            yield from _leaves(part, str(name))
    else:
        for part in node:
            yield from _leaves(part, key)
