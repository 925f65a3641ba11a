"""How the functions of this folder are compiled, and where the compiled code is kept.

numba's own cache sees a change only in the file of the function that is called. So its folder is named here after the
content of every source that is compiled in.
"""

import contextlib
import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
from numba import config, njit
from numba.misc.appdirs import AppDirs

from ntm_lab import equations, fast

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
# Sums may be reordered, as wide loops need; NaN and infinity stay.
WIDE = OPTIONS | {"fastmath": {"reassoc", "contract", "nsz", "arcp"}}
# Always compiled into the caller: the process that compiles would otherwise call a version with other roundings than
# the cache has, so that the first run on a machine could not be repeated.
part = njit(**WIDE, forceinline=True)
section = njit(**WIDE, inline="always")  # for large ones: as if written in the caller, and compiled with it only
exact = njit(**OPTIONS, fastmath={"contract"}, forceinline=True)  # keeps the order of operations

SOURCES = {  # of the functions, the plans and states, and the constants
    Path(__file__).parent: "**/*.py",
    Path(fast.__file__).parent: "*.py",
    Path(equations.__file__).parent: "*.py",
}

log = logging.getLogger(__name__)


def entry(function: Function) -> Function:
    """Decorator of what Python calls: compiled on the first call and kept on disk."""
    folder = cache_folder()
    with _kept_in(folder):
        compiled: Function = njit(**WIDE, cache=folder is not None)(function)
    return compiled


def with_globals(template: Function, name: str, values: Mapping[str, Function]) -> Function:
    """The template as an entry of its own, with these values of its global names."""
    function = FunctionType(template.__code__, template.__globals__ | values, template.__name__)
    function.__qualname__ = name  # by which numba's cache tells entries of one template apart
    return entry(function)


@cache
def cache_folder() -> Path | None:
    """Where compiled code is kept; None, said in one line, if no folder is writable.

    The folder is in ``NUMBA_CACHE_DIR``, else in ``__pycache__`` beside the sources, else in the user's cache. Folders
    of earlier contents of the same sources are removed.
    """
    places = [Path(__file__).parent / "__pycache__", Path(AppDirs(appname="numba", appauthor=False).user_cache_dir)]
    if config.CACHE_DIR:
        places.insert(0, Path(config.CACHE_DIR))
    tree = hashlib.sha256(str(Path(__file__).resolve()).encode()).hexdigest()[:8]  # several may share a place
    for place in places:
        folder = place / f"ntm_lab-{tree}-{_fingerprint()}"
        if _writable(folder):
            for other in place.glob(f"ntm_lab-{tree}-*"):
                if other != folder:
                    shutil.rmtree(other, ignore_errors=True)
            return folder
    log.warning(
        "the numba backend is compiled anew in every process: cannot write to %s", " or ".join(map(str, places))
    )
    return None


def _fingerprint() -> str:
    """A hash of the content of all sources."""
    digest = hashlib.sha256()
    for folder, files in SOURCES.items():
        for source in sorted(folder.glob(files)):
            digest.update(f"{source.relative_to(folder)}\n".encode() + source.read_bytes())
    return digest.hexdigest()[:16]


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _kept_in(folder: Path | None) -> Iterator[None]:
    """numba reads the setting when a function is decorated; other people's functions keep their own place."""
    before = config.CACHE_DIR
    config.CACHE_DIR = str(folder or "")
    try:
        yield
    finally:
        config.CACHE_DIR = before
