"""Files that are written whole or not at all, and checked when they are read; and locks."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

LARGEST = 10_000_000  # bytes of a text file; ten times the results of a long curriculum
DEEPEST = 50  # nested lists and mappings; a config has ten at most
# OmegaConf's own parser, a hundred times as fast without OmegaConf
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)


@contextmanager
def held(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold a lock file. While another process holds it, wait, with a line that says so, or raise BlockingIOError.

    The system releases the locks of a process however it ends.
    """
    lock, busy = FileLock(path), f"{path.parent}: another process works there"
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        if not wait:
            raise BlockingIOError(busy) from error
        print(f"{busy}; waiting for it to end", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def read_text(path: Path) -> str:
    """The text of a file; ValueError if it is far too large or not text."""
    if path.stat().st_size > LARGEST:
        raise ValueError(f"it has {path.stat().st_size} bytes, more than {LARGEST}")
    return path.read_text()


def read_yaml_text(path: Path) -> str:
    """The text of a YAML file that is safe to construct: it cannot expand beyond what is written.

    Raises ValueError for anything but YAML, for aliases (``*name``), ten lines of which can stand for billions of
    values, and for nesting that would exhaust the stack.
    """
    text, depth = read_text(path), 0
    try:
        for event in yaml.parse(text, _LOADER):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError(f"it has an alias, *{event.anchor}")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise ValueError(f"it is nested deeper than {DEEPEST}")
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    return text


def read_yaml(path: Path) -> Any:
    """The plain values in a YAML file; ValueError as in `read_yaml_text`, and for tags."""
    try:
        return yaml.load(read_yaml_text(path), _LOADER)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def read_json(path: Path) -> Any:
    """The plain values in a JSON file; ValueError for one that is damaged."""
    try:
        return json.loads(read_text(path))
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
