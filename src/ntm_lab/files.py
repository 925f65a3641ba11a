"""Files that are written whole or not at all, and locks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock file; wait, with a line that says so, while another process holds it.

    However a process ends, the system takes its locks back.
    """
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        print(f"{path.parent}: another process works there; waiting for it to end", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
