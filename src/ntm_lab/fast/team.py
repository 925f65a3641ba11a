"""Tasks shared out among the threads that PyTorch computes with.

After each of its parallel operations PyTorch's OpenMP threads wait for the next one for milliseconds without letting go
of their cores, so that other threads would come too late to them. So the tasks are run by those threads themselves,
where the library can be asked for them as compilers do (`GOMP_parallel`, of GNU's, LLVM's and Intel's OpenMP).
"""

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch

Body = Callable[[], None]


def seats(tasks: int) -> int:
    """How many threads this number of tasks gets."""
    return max(1, min(torch.get_num_threads(), tasks))


def share(work: Callable[[int, int], None], tasks: int) -> None:
    """Call ``work(seat, task)`` for every task; no two threads have the same seat, and what one raises is raised.

    Which tasks a seat has depends on their number alone, so that sums over a seat's tasks are the same every time. It
    pays only where the work lets go of the interpreter's lock.
    """
    count = seats(tasks)
    free: Iterator[int] = iter(range(count))  # its next is one call, which no other thread interrupts
    raised: list[BaseException] = []

    def body() -> None:
        try:
            for seat in free:  # of another thread, too, if the library gave fewer
                for task in range(seat, tasks, count):
                    work(seat, task)
        except BaseException as error:  # an interrupt, too: nothing gets through the library's frames
            raised.append(error)

    if count == 1:
        body()
    else:
        _team(body, count)
    if raised:
        raise raised[0]


def _in_openmp(body: Body, count: int) -> None:
    callback = _Callback(lambda _: body())
    _library.GOMP_parallel(callback, None, ctypes.c_uint(count), ctypes.c_uint(0))


def _in_new_threads(body: Body, count: int) -> None:
    others = [threading.Thread(target=body, name="ntm_lab") for _ in range(count - 1)]
    for other in others:
        other.start()
    body()
    for other in others:
        other.join()


def _after_fork() -> None:
    """A forked process has none of its parent's threads, and OpenMP would wait for them."""
    global _team
    _team = _in_new_threads


_Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_library: Any = ctypes.CDLL(None) if os.name == "posix" else None
_team = _in_openmp if hasattr(_library, "GOMP_parallel") else _in_new_threads
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
