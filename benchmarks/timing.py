"""Timing things in turn."""

import itertools
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple, TypeVar

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm
from workloads import Workload, loss_of

LEAST_STEPS = 3  # in a turn, however slow
POOL = 8  # batches of a kind; they take turns

Key = TypeVar("Key", bound=Hashable)


class Times(NamedTuple):
    """Milliseconds of one function: the median and the quartiles of its calls, and their number."""

    ms: float
    low: float
    high: float
    calls: int


def training_step(workload: Workload, model: nn.Module, batch: int, threads: int, mixed: bool) -> Callable[[], None]:
    """A function that trains for one step, and returns when it is done: forward, backward, clipping by norm, Adam."""
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(batch)
    pool = [workload.draw(batch, mixed, generator) for _ in range(POOL)]
    endless = itertools.cycle([each.to(device) for each in pool])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, betas=(0.9, 0.95), fused=True)  # as in training

    def step() -> None:
        torch.set_num_threads(threads)
        loss = loss_of(model, next(endless))
        optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def seconds_of(function: Callable[[], None]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def time_in_turn(functions: Mapping[Key, Callable[[], None]], rounds: int, seconds: float) -> dict[Key, Times]:
    """In every round each function is called for about that many seconds, after a warm-up that includes compilation."""
    bar = tqdm(total=(1 + rounds) * len(functions), unit=" turns", dynamic_ncols=True)
    calls = {}
    for key, function in functions.items():
        warm = [seconds_of(function) for _ in range(3)]  # compiles, and gives the optimizer its state
        calls[key] = max(LEAST_STEPS, round(seconds / warm[-1]))
        bar.update()
    times: dict[Key, list[float]] = {key: [] for key in functions}
    for _ in range(rounds):
        for key, function in functions.items():
            times[key] += [1e3 * seconds_of(function) for _ in range(calls[key])]
            bar.update()
    bar.close()
    return {key: _summary(each) for key, each in times.items()}


def _summary(times: list[float]) -> Times:
    low, median, high = statistics.quantiles(times, n=4)
    return Times(median, low, high, len(times))
