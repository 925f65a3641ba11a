"""How time and memory grow with the sequence, the slots, the heads and the batch: `python benchmarks/scaling.py`.

One of these is varied at a time, around sequences of length 20 (41 steps), 128 slots of width 20, one head of either
kind and a batch of 16. For each backend: milliseconds of one forward and backward pass, all timed in turn, the median;
and what forward keeps for backward, counted exactly, as the bytes of all distinct storages that autograd saves, less
the parameters and the inputs, per step and sequence. Not in this number are the nodes of the graph (some 80 kB a step
of the reference, whatever the batch) and what a pass uses and frees on its way. The peak of `--long` has it all: a pass
over 10,000 steps with the numba backend, in a process of its own.

Prints a Markdown table and draws `--figure FILE`.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")  # draws to a file, also where there is no screen

import matplotlib.pyplot as plt
import torch
from speed import build_ntm, markdown, time_in_turn
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from ntm_lab.checks import at_least, positive
from ntm_lab.figures.style import BLUE, VERMILION
from ntm_lab.nn import NTM
from ntm_lab.tasks import Copy

BACKENDS = ("reference", "numba")
LONG_STEPS = 10_000


class Setting(NamedTuple):
    """The sizes of one pass."""

    steps: int = 41
    slots: int = 128
    heads: int = 1
    batch: int = 16


class Point(NamedTuple):
    """One backend at one setting."""

    backend: str
    setting: Setting


class Cost(NamedTuple):
    milliseconds: float
    kept: float  # bytes per step and sequence


VARIED = {
    "steps": (5, 11, 21, 41, 81, 161),
    "slots": (16, 32, 64, 128, 256, 512, 1024),
    "heads": (1, 2, 4, 8),
    "batch": (1, 2, 4, 8, 16, 32, 64, 128),
}
WORDS = {"steps": "steps T", "slots": "slots N", "heads": "read heads, and as many write heads", "batch": "batch B"}
STYLES = {
    "reference": {"color": VERMILION, "marker": "s", "linestyle": "--"},
    "numba": {"color": BLUE, "marker": "o"},
}


def prepare(point: Point, **options: Any) -> tuple[NTM, Tensor]:
    """The model, and random bits for it (B, T, I)."""
    torch.manual_seed(0)
    setting = point.setting
    model = build_ntm(point.backend, setting.slots, setting.heads, **options)
    return model, torch.randint(2, (setting.batch, setting.steps, Copy().input_size), dtype=torch.float32)


def one_pass(model: NTM, inputs: Tensor) -> None:
    """Forward and backward."""
    model.zero_grad()
    model(inputs)[0].sum().backward()


def kept_bytes(model: NTM, inputs: Tensor) -> int:
    """What forward keeps for backward."""
    sizes: dict[int, int] = {}  # by the address of the storage, which stays taken while autograd keeps it

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        result = model(inputs)
    for existing in (inputs, *model.parameters()):
        sizes.pop(existing.untyped_storage().data_ptr(), None)
    del result  # until here it held all that was saved
    return sum(sizes.values())


def measure(points: Sequence[Point], rounds: int, seconds: float) -> dict[Point, Cost]:
    passes: dict[Point, Callable[[], None]] = {}
    kept = {}
    for point in points:
        model, inputs = prepare(point)
        passes[point] = partial(one_pass, model, inputs)
        kept[point] = kept_bytes(model, inputs) / inputs[..., 0].numel()
    times = time_in_turn(passes, rounds, seconds)
    return {point: Cost(times[point], kept[point]) for point in points}


def series(backend: str, quantity: str) -> list[Point]:
    """The points of one line: one quantity varied, the others as they are by default."""
    return [Point(backend, Setting()._replace(**{quantity: value})) for value in VARIED[quantity]]


def table(costs: Mapping[Point, Cost], backends: Sequence[str]) -> str:
    heads = [f"{backend}, {unit}" for backend in backends for unit in ("ms", "kB kept per step and sequence")]
    rows = []
    for quantity, values in VARIED.items():
        for index, value in enumerate(values):
            row = [costs[series(backend, quantity)[index]] for backend in backends]
            cells = [text for cost in row for text in (f"{cost.milliseconds:.2f}", f"{cost.kept / 1e3:.1f}")]
            rows.append([f"{quantity} = {value}", *cells])
    return markdown(["one forward and backward pass", *heads], rows)


def draw(costs: Mapping[Point, Cost], backends: Sequence[str], file: Path) -> None:
    figure, axes = plt.subplots(2, len(VARIED), figsize=(13, 6), sharex="col", sharey="row", layout="constrained")
    for column, (quantity, values) in zip(axes.T, VARIED.items(), strict=True):
        for backend in backends:
            line = [costs[point] for point in series(backend, quantity)]
            column[0].plot(values, [cost.milliseconds for cost in line], label=backend, **STYLES[backend])
            column[1].plot(values, [cost.kept for cost in line], label=backend, **STYLES[backend])
        for axis in column:
            axis.set_xscale("log", base=2)
            axis.set_yscale("log")
            axis.grid(alpha=0.3)
        column[1].set_xticks(values, [str(value) for value in values])
        column[1].set_xlabel(WORDS[quantity])
    axes[0, 0].set_ylabel("one forward and backward pass (ms)")
    axes[1, 0].set_ylabel("kept per step and sequence (bytes)")
    axes[0, 0].legend()
    figure.savefig(file, dpi=150)
    plt.close(figure)


def peak_gigabytes() -> float:
    """The most memory this process has had so far."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def long_pass(steps: int, options: Mapping[str, int], threads: int) -> tuple[float, float, float]:
    """Seconds of one pass over this number of steps with numba, peak memory, and what of it was there before."""
    configure(threads)
    one_pass(*prepare(Point("numba", Setting(steps=41)), **options))  # compiles
    before = peak_gigabytes()
    model, inputs = prepare(Point("numba", Setting(steps=steps)), **options)
    started = time.perf_counter()
    one_pass(model, inputs)
    return time.perf_counter() - started, peak_gigabytes(), before


def configure(threads: int) -> None:
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # as in training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path, default=Path("scaling.png"), metavar="FILE")
    parser.add_argument("--backends", default=",".join(BACKENDS), metavar="NAME,…")
    parser.add_argument("--threads", type=int, default=1, metavar="K", help="of torch")
    parser.add_argument("--rounds", type=int, default=5, metavar="R")
    parser.add_argument("--seconds", type=float, default=0.2, help="of each turn, about")
    parser.add_argument("--long", action="store_true", help=f"also {LONG_STEPS:,} steps with numba, in a child process")
    parser.add_argument("--recompute-every", type=int, metavar="STEPS", help="in the long case; default: the model's")
    arguments = parser.parse_args()
    backends = arguments.backends.split(",")
    try:
        at_least("--threads", arguments.threads, 1)
        at_least("--rounds", arguments.rounds, 1)
        positive("--seconds", arguments.seconds)
        if arguments.recompute_every is not None:
            at_least("--recompute-every", arguments.recompute_every, 1)
    except ValueError as error:
        parser.error(str(error))
    for backend in backends:
        if backend not in BACKENDS:
            parser.error(f"--backends={backend}: must be among {', '.join(BACKENDS)}")

    if arguments.long:  # first: a child process inherits the peak that its parent has had
        options = {} if arguments.recompute_every is None else {"recompute_every": arguments.recompute_every}
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
            seconds, peak, before = child.submit(long_pass, LONG_STEPS, options, arguments.threads).result()
        print(
            f"{LONG_STEPS:,} steps, batch {Setting().batch}, forward and backward: {seconds:.1f} s, "
            f"peak {peak:.2f} GB, of which {before:.2f} GB were there before\n"
        )

    configure(arguments.threads)
    points = list(dict.fromkeys(point for name in VARIED for backend in backends for point in series(backend, name)))
    costs = measure(points, arguments.rounds, arguments.seconds)
    print(table(costs, backends))
    draw(costs, backends, arguments.figure)
    print(f"\n{arguments.figure}")


if __name__ == "__main__":
    main()
