"""How time and memory grow with the sequence, the slots, the heads and the batch: `python benchmarks/scaling.py`.

One of these is varied at a time, around sequences of 41 steps, 128 slots of width 20, one read head and a batch of 16,
for an NTM, a DNC and a MANN on their compiled backend and on the reference, with nn.LSTM beside them. Of each:
milliseconds of one forward and backward pass, all timed in turn, the median; and what forward keeps for backward,
counted exactly, as the bytes of all distinct storages that autograd saves, less the parameters and the inputs, per step
and sequence. Not in this number are the nodes of the graph (some 80 kB a step of the reference, whatever the batch) and
what a pass uses and frees on its way. The peak of `--long` has it all: a pass over 10,000 steps with the numba backend,
in a process of its own.

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
from timing import time_in_turn
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from workloads import COPY, LSTM, Workload

import ntm_lab
from ntm_lab.checks import at_least, positive
from ntm_lab.figures.style import BLACK, BLUE, GREEN, VERMILION
from ntm_lab.studies import tables

MACHINES = {"NTM": ntm_lab.NTM, "DNC": ntm_lab.DNC, "MANN": ntm_lab.MANN}
BACKENDS = ("numba", "reference")
LONG_STEPS = 10_000
MOST = 2e9  # bytes that a pass may keep: the links of a large DNC on the reference are left out


class Setting(NamedTuple):
    """The sizes of one pass."""

    steps: int = 41
    slots: int = 128
    heads: int = 1
    batch: int = 16


class Point(NamedTuple):
    """One model at one setting: a machine and its backend, or nn.LSTM."""

    machine: str
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
WORDS = {"steps": "steps T", "slots": "slots N", "heads": "read heads (NTM: and write heads)", "batch": "batch B"}
COLOURS = {"NTM": BLUE, "DNC": VERMILION, "MANN": GREEN, "nn.LSTM": BLACK}
STYLES: dict[str, dict[str, Any]] = {"numba": {"marker": "o"}, "reference": {"marker": "s", "linestyle": "--"}}


def prepare(point: Point, **options: Any) -> tuple[nn.Module, Tensor]:
    """The model, and random bits for it (B, T, I)."""
    torch.manual_seed(0)
    setting = point.setting
    if point.machine == "NTM":
        options["write_heads"] = setting.heads
    sizes = {**COPY, "steps": setting.steps, "slots": setting.slots, "heads": setting.heads}
    machine = MACHINES.get(point.machine, nn.Module)
    workload = Workload("", machine, **sizes, batches=(setting.batch,), others=LSTM, options=options)
    model = workload.build(point.backend if point.machine in MACHINES else point.machine)
    return model, workload.draw(setting.batch, False, torch.Generator().manual_seed(0)).inputs


def one_pass(model: nn.Module, inputs: Tensor) -> None:
    """Forward and backward."""
    model.zero_grad()
    model(inputs)[0].sum().backward()


def kept_bytes(model: nn.Module, inputs: Tensor) -> int:
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
    return {point: Cost(times[point].ms, kept[point]) for point in points}


def series(machine: str, backend: str, quantity: str) -> list[Point]:
    """The points of one line: one quantity varied, the others as they are by default."""
    points = [Point(machine, backend, Setting()._replace(**{quantity: value})) for value in VARIED[quantity]]
    if machine == "nn.LSTM":
        return points if quantity in ("steps", "batch") else []
    return [point for point in points if _fits(point)]


def _fits(point: Point) -> bool:
    """Whether the reference keeps no more than `MOST`: some three copies of the links a step."""
    steps, slots, _heads, batch = point.setting
    return point.backend != "reference" or point.machine != "DNC" or 12 * steps * slots**2 * batch < MOST


def lines(backends: Sequence[str]) -> list[tuple[str, str]]:
    return [*((machine, backend) for machine in MACHINES for backend in backends), ("nn.LSTM", "")]


def table(costs: Mapping[Point, Cost], backends: Sequence[str]) -> str:
    head = ["one forward and backward pass: ms, kB kept per step and sequence"]
    head += [f"{machine} {backend}".strip() for machine, backend in lines(backends)]
    rows = []
    for quantity, values in VARIED.items():
        for value in values:
            setting = Setting()._replace(**{quantity: value})
            row = [costs.get(Point(*line, setting)) for line in lines(backends)]
            cells = ["–" if cost is None else f"{cost.milliseconds:.2f}, {cost.kept / 1e3:.1f}" for cost in row]
            rows.append([f"{quantity} = {value}", *cells])
    return tables.markdown(head, rows, [False, *[True] * len(lines(backends))])


def draw(costs: Mapping[Point, Cost], backends: Sequence[str], file: Path) -> None:
    figure, axes = plt.subplots(2, len(VARIED), figsize=(14, 6.5), sharex="col", sharey="row", layout="constrained")
    for column, (quantity, values) in zip(axes.T, VARIED.items(), strict=True):
        for machine, backend in lines(backends):
            points = series(machine, backend, quantity)
            at = [getattr(point.setting, quantity) for point in points]
            style = {"color": COLOURS[machine], "markersize": 4} | STYLES.get(backend, {"marker": "^"})
            label = f"{machine}, {backend}" if backend else machine
            column[0].plot(at, [costs[point].milliseconds for point in points], label=label, **style)
            column[1].plot(at, [costs[point].kept for point in points], **style)
        for axis in column:
            axis.set_xscale("log", base=2)
            axis.set_yscale("log")
            axis.grid(alpha=0.3)
        column[1].set_xticks(values, [str(value) for value in values])
        column[1].set_xlabel(WORDS[quantity])
    axes[0, 0].set_ylabel("one forward and backward pass (ms)")
    axes[1, 0].set_ylabel("kept per step and sequence (bytes)")
    named = axes[0, 0].get_legend_handles_labels()  # all are in the first panel
    figure.legend(*named, loc="outside upper center", ncols=len(lines(backends)), frameon=False)
    figure.savefig(file, dpi=130)
    plt.close(figure)


def peak_gigabytes() -> float:
    """The most memory this process has had so far."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def long_pass(machine: str, options: Mapping[str, int], threads: int) -> tuple[float, float, float]:
    """Seconds of one pass over `LONG_STEPS` steps with numba, peak memory, and how much of it was there before."""
    configure(threads)
    one_pass(*prepare(Point(machine, "numba", Setting()), **options))  # compiles
    before = peak_gigabytes()
    model, inputs = prepare(Point(machine, "numba", Setting(steps=LONG_STEPS)), **options)
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
    parser.add_argument("--seconds", type=float, default=0.1, help="of each turn, about")
    parser.add_argument(
        "--long", choices=list(MACHINES), metavar="MACHINE", help=f"only {LONG_STEPS:,} steps of one, with numba"
    )
    parser.add_argument("--recompute-every", type=int, metavar="STEPS", help="of --long; default: the model's")
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

    if arguments.long:  # in a process of its own, whose peak is of this alone
        options = {} if arguments.recompute_every is None else {"recompute_every": arguments.recompute_every}
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
            seconds, peak, before = child.submit(long_pass, arguments.long, options, arguments.threads).result()
        print(
            f"{arguments.long}, {LONG_STEPS:,} steps, batch {Setting().batch}, forward and backward: {seconds:.1f} s, "
            f"peak {peak:.2f} GB, of which {before:.2f} GB were there before"
        )
        return

    configure(arguments.threads)
    points = [point for line in lines(backends) for quantity in VARIED for point in series(*line, quantity)]
    costs = measure(list(dict.fromkeys(points)), arguments.rounds, arguments.seconds)
    print(table(costs, backends))
    draw(costs, backends, arguments.figure)
    print(f"\n{arguments.figure}")


if __name__ == "__main__":
    main()
