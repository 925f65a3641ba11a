"""The schema of a run's settings, checked before anything is built.

At the top, `Settings` declares them. Below it, the schema of every mapping with ``_target_`` is the signature of its
class. Our own constructors check their values themselves and name the key; for those of other packages the declared
types are checked here.
"""

import inspect
import math
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pkgutil import resolve_name
from typing import Any, Literal, Union, get_args, get_origin

from hydra.errors import InstantiationException
from omegaconf import OmegaConf
from torch import Tensor

from ntm_lab.checks import at_least
from ntm_lab.runs.config import RunError, as_text, one_line

MOST_THREADS = 1024  # of torch, which crashes with more threads than the system allows
LONGEST = 1000  # characters of a text
TARGET, PARTIAL = "_target_", "_partial_"
SPECIAL = (TARGET, PARTIAL, "_args_", "_recursive_", "_convert_")  # Hydra's own keys of a part


class Part:
    """The settings of an object: a mapping with ``_target_``, the name of its class."""


@dataclass(frozen=True)
class Test:
    """The test on fresh sequences, when training has ended."""

    sequences: int = 1000
    difficulties: Sequence[Mapping[str, int]] | None = None
    grow: bool = False  # whether a memory gets the slots that each of them needs

    def __post_init__(self) -> None:
        at_least("test.sequences", self.sequences, 1)


@dataclass(frozen=True)
class Settings:
    """The settings of every run, whatever its model; those that a run needs have no default."""

    seed: int
    threads: int
    max_sequences: int
    stop_at_cost: float | None
    log_every: int
    data: Part
    test: Test
    task: Part
    model: Part
    curriculum: Part
    optimizer: Part
    schedule: Part
    clip: Part
    penalty: Mapping[str, Part]
    trainer: Mapping[str, Any]
    logger: Mapping[str, Part]
    callbacks: Mapping[str, Part]
    # what is kept of how it was asked for
    choices: Mapping[str, str | None] | None = None
    overrides: Sequence[str] = ()
    resume: Any = None
    # what models are made of, which the model's own settings repeat
    backend: str = "auto"
    controller: Part | None = None
    memory: Mapping[str, Any] | None = None
    max_minutes: float | None = None
    training_slots: int | None = None

    def __post_init__(self) -> None:
        at_least("seed", self.seed, 0)
        at_least("threads", self.threads, 1, MOST_THREADS)
        Test(**typing.cast(dict[str, Any], self.test))


REQUIRED = frozenset(field.name for field in fields(Settings) if field.default is MISSING)


def check(settings: Mapping[str, Any]) -> None:
    """Raise RunError or ValueError, which names the key, for the first invalid setting of a run."""
    missing = [one.name for one in fields(Settings) if one.name in REQUIRED and one.name not in settings]
    if missing:
        raise RunError(f"{', '.join(missing)}: missing; every run has {', '.join(sorted(REQUIRED))}")
    for key, value in _values(settings):
        _check_value(key, value)
    _check_signature("", settings, Settings)
    _check_signature("test", settings["test"], Test)
    for key, node in _parts(settings):
        _check_signature(key, node, _class_of(key, node))
    Settings(**settings)


def with_defaults(settings: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Settings with their dotted keys, and of those ``keys`` that they lack the defaults, if there are any.

    A run that was begun before its class, or `Settings`, had a setting is a run with the default of that setting.
    """
    found = dict(settings)
    for key in keys:
        part, _, name = key.rpartition(".")
        with suppress(KeyError, RunError):  # not of a part, or of one that is gone
            made = _class_of(part, {TARGET: settings[f"{part}.{TARGET}"]}) if part else Settings
            default = inspect.signature(made).parameters[name].default
            if default is not inspect.Parameter.empty:
                found.setdefault(key, list(default) if isinstance(default, tuple) else default)
    return found


@contextmanager
def about(key: str, settings: Any) -> Iterator[None]:
    """Turn errors of a constructor into a RunError that names the key, if the error does not."""
    try:
        yield
    except Exception as error:  # what is called with other people's values may raise anything
        if isinstance(error, RunError):
            raise
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        said = one_line(cause)
        if not isinstance(cause, ValueError | TypeError | ImportError | InstantiationException | RuntimeError):
            said = f"{type(cause).__name__}: {said}"
        if "=" not in said.split(":")[0]:
            given = _arguments(settings)
            said = f"{key}: {said}" + (f" (it has {as_text(given)})" if given else "")
        raise RunError(said) from error


def _arguments(node: Any) -> Any:
    plain = OmegaConf.to_container(node) if OmegaConf.is_config(node) else node
    return {key: value for key, value in plain.items() if key not in SPECIAL} if isinstance(plain, Mapping) else plain


def _values(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """All values that hold no others, with their dotted keys; those of a list with the list's."""
    if isinstance(node, Mapping):
        for name, part in node.items():
            yield from _values(part, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list | tuple):
        for part in node:
            yield from _values(part, key)
    else:
        yield key, node


def _check_value(key: str, value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise RunError(f"{key}={value}: must be a finite number")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise RunError(f"{key}={value}: must be a whole number of less than 64 bits")
    if isinstance(value, str) and len(value) > LONGEST:
        raise RunError(f"{key}={value[:20]}…: must be no longer than {LONGEST} characters")


def _parts(node: Any, key: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All mappings with ``_target_``, with their dotted keys."""
    if isinstance(node, Mapping):
        if TARGET in node:
            yield key, node
        for name, part in node.items():
            yield from _parts(part, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list | tuple):
        for part in node:
            yield from _parts(part, key)


def _class_of(key: str, node: Mapping[str, Any]) -> Any:
    """The class, or function, that a part names; RunError if it does not exist."""
    target, partial = node[TARGET], node.get(PARTIAL, False)
    if not isinstance(partial, bool):
        raise RunError(f"{key}.{PARTIAL}={as_text(partial)}: must be true or false")
    try:
        made = resolve_name(target)
    except Exception as error:  # its module may raise anything
        raise RunError(f"{key}.{TARGET}={as_text(target)}: must name a class ({one_line(error)})") from error
    if not callable(made):
        raise RunError(f"{key}.{TARGET}={target}: must name a class")
    return made


def _check_signature(key: str, node: Mapping[str, Any], made: Any) -> None:
    """Raise RunError for a key that a class does not take, and for a value of another type than it declares."""
    try:
        parameters = inspect.signature(made, eval_str=True).parameters
    except Exception:  # some classes have no signature
        return
    names = [one.name for one in parameters.values() if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)]
    open_ended = any(one.kind == one.VAR_KEYWORD for one in parameters.values())
    maker = made.__init__ if inspect.isclass(made) else made  # which may be that of a class of another package
    ours = not is_dataclass(made) and getattr(maker, "__module__", "").startswith("ntm_lab.")
    for name, value in node.items():
        if name in SPECIAL:
            continue
        full = f"{key}.{name}" if key else str(name)
        if name not in names:
            if open_ended:
                continue
            raise RunError(f"{full}={as_text(value)}: unknown; {key or 'a run'} takes {', '.join(names)}")
        kind = parameters[name].annotation
        if (_takes_part(kind) or not ours) and not _fits(value, kind):
            raise RunError(f"{full}={as_text(value)}: must be {_words(kind)}")


def _takes_part(kind: Any) -> bool:
    """Whether the allowed types include a callable."""
    return any(get_origin(one) is Callable for one in (kind, *get_args(kind)))


def _fits(value: Any, kind: Any) -> bool:
    """Whether a plain value is of a declared type; true for any type that is unknown here."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if kind is None or kind is type(None):
        return value is None
    if kind is bool:
        return isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is str:
        return isinstance(value, str)
    if kind in (Part, Tensor) or origin is Callable:
        return isinstance(value, Mapping) and TARGET in value
    if is_dataclass(kind) or (isinstance(origin, type) and issubclass(origin, Mapping) and not inner):
        return isinstance(value, Mapping)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(_fits(part, inner[1]) for part in value.values())
    if isinstance(origin, type) and issubclass(origin, Iterable):
        if not isinstance(value, list | tuple):
            return isinstance(value, Mapping) and TARGET in value
        if origin is tuple and Ellipsis not in inner:
            return len(value) == len(inner) and all(map(_fits, value, inner))
        return all(_fits(part, inner[0]) for part in value) if inner else True
    return True


WORDS: dict[Any, tuple[str, str]] = {  # one, several
    bool: ("true or false", "true or false"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("text", "texts"),
    None: ("null", "null"),
    type(None): ("null", "null"),
    Part: ("a mapping with _target_", "mappings with _target_"),
}


def _words(kind: Any, several: bool = False) -> str:
    """The values that a type allows, in words."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_words(one, several) for one in inner if one is not Tensor))
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is Callable:
        return WORDS[Part][several]
    if kind in WORDS:
        return WORDS[kind][several]
    if is_dataclass(kind):
        return f"a mapping of {', '.join(one.name for one in fields(kind))}"
    if isinstance(origin, type) and issubclass(origin, Iterable) and inner:
        named = "mapping" if issubclass(origin, Mapping) else "list"
        return f"{named}s of {_words(inner[-1], True)}" if several else f"a {named} of {_words(inner[-1], True)}"
    return f"a {getattr(kind, '__name__', kind)}"
