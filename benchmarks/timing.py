"""Timing things in turn."""

import itertools
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import NamedTuple, TypeVar

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm
from workloads import Workload, loss_of

from ntm_lab.training import optim
from ntm_lab.types import SequenceModel

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
    """A function that trains for one step, and returns when it is done: forward, backward, clipping by norm, Adam.

    A machine is trained as by `train.py`, what stands beside it by PyTorch's own clipping and fused Adam.
    """
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(batch)
    pool = [workload.draw(batch, mixed, generator) for _ in range(POOL)]
    endless = itertools.cycle([each.to(device) for each in pool])
    adam: type[torch.optim.Adam] = torch.optim.Adam
    clip: Callable[..., torch.Tensor] = partial(clip_grad_norm_, max_norm=10.0)
    if isinstance(model, SequenceModel):
        adam, clip = getattr(optim, "Adam", adam), optim.ClipNorm(10.0)  # an older commit has no Adam of its own
    parameters = [*model.parameters()]
    optimizer = adam(parameters, lr=1e-4, betas=(0.9, 0.95), fused=True)

    def step() -> None:
        torch.set_num_threads(threads)
        loss = loss_of(model, next(endless))
        optimizer.zero_grad()
        loss.backward()
        clip(parameters)
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
