"""Tasks are done once each, by as many threads as PyTorch has, and in a forked process too."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from ntm_lab.fast import team


@pytest.fixture(params=["openmp", "new threads"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Sets the number of torch's threads, which is set back."""
    if request.param == "new threads":
        monkeypatch.setattr(team, "_team", team._in_new_threads)
    elif team._team is not team._in_openmp:
        pytest.skip("no OpenMP here that can be asked")
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("tasks", [0, 1, 2, 7])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_task_is_done_once_and_always_in_the_same_seat(
    threads: Callable[[int], None], number: int, tasks: int
) -> None:
    threads(number)
    done = []
    for _ in range(20):
        found: list[tuple[int, int]] = []
        team.share(lambda seat, task, found=found: found.append((task, seat)), tasks)  # type: ignore[misc]
        done.append(sorted(found))
    assert [task for task, _ in done[0]] == list(range(tasks))
    assert all(seat < team.seats(tasks) <= number for _, seat in done[0])
    assert all(each == done[0] for each in done)


def test_two_threads_work_at_once(threads: Callable[[int], None]) -> None:
    """Each waits for the other."""
    threads(2)
    both = threading.Barrier(2, timeout=30)
    team.share(lambda seat, task: both.wait() and None, 2)


def test_what_a_task_raises_is_raised(threads: Callable[[int], None]) -> None:
    threads(2)
    begun = []

    def work(seat: int, task: int) -> None:
        begun.append(task)
        if task == 1:
            raise KeyError("task 1")

    with pytest.raises(KeyError, match="task 1"):
        team.share(work, 2)
    assert sorted(begun) == [0, 1]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_does_not_wait_for_its_parents_threads(threads: Callable[[int], None]) -> None:
    threads(2)
    done = multiprocessing.get_context("fork").Value("i", 0)

    def work(seat: int, task: int) -> None:
        with done.get_lock():
            done.value += 1
        time.sleep(0.01)

    team.share(work, 4)
    child = multiprocessing.get_context("fork").Process(target=team.share, args=(work, 4))
    child.start()
    child.join(30)
    hung = child.is_alive()
    child.kill()
    assert not hung and done.value == 8
