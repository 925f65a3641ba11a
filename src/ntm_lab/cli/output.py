"""Keep working when standard output cannot be written: the disk is full, or the reader has gone."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


class _Lasting:
    """A text stream that drops what it cannot write, instead of raising an error in the writer."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.error: OSError | None = None  # the first

    def write(self, text: str) -> int:
        with self._noting():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._noting():
            self.stream.flush()

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error
            with suppress(OSError):  # the stream is no file
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())  # for the buffer and all that follows

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def lasting_output() -> Iterator[None]:
    """Go on working when output is lost; at the end a line on stderr says why, and the exit status is 1.

    A reader that has gone, such as ``head``, has seen enough: this is no error.
    """
    before, lasting = sys.stdout, _Lasting(sys.stdout)
    sys.stdout = lasting
    try:
        yield
    finally:
        lasting.flush()
        sys.stdout = before
    if lasting.error is not None and not isinstance(lasting.error, BrokenPipeError):
        sys.exit(f"standard output cannot be written ({lasting.error.strerror}): some of it is lost, nothing else is")
