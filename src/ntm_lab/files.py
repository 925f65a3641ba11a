"""Files that are written whole or not at all, and locks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)


@contextmanager
def held(lock: Path) -> Iterator[int]:
    """Waits until no other process holds the lock, then holds it; gives its file descriptor.

    However a process ends, the system takes its locks back. A child that is passed the descriptor holds the lock too.
    """
    import fcntl  # not on Windows, where all but sweeps works

    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{lock.parent}: another process works there; waiting for it to end", flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
