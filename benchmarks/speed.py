"""How long a training step takes, beside `nn.LSTM` and a usual NTM: `python benchmarks/speed.py`.

A step is forward, backward, clipping by norm at 10 and RMSprop, on batches of the copy task that were drawn before: all
of length 20, which is 41 time steps, or mixed, with lengths spread evenly over 1 to 20 and padded to the longest. The
contestants:

    reference, numba, triton  ntm_lab's NTM with this backend: LSTM controller of 100, memory 128x20, two heads
    plain                     plain_ntm.py, of the same sizes; it knows no lengths and computes the padding too
    nn.LSTM                   one layer of 100 on the inputs alone, packed where lengths are mixed, with nothing after
                              it: its loss is the sum of its outputs. A yardstick, not a model of the task

All are timed in turn, round after round in one process, after a warm-up that includes compilation. Printed are medians
over the timed steps, in milliseconds, and their ratios; `--json FILE` writes them. `--threads 1,2` compares numbers of
threads in the same run; `--short` is for a first impression.
"""

import argparse
import importlib.util
import itertools
import json
import statistics
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from plain_ntm import PlainNTM
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pack_padded_sequence
from tqdm import tqdm

from ntm_lab.checks import at_least, positive
from ntm_lab.nn import NTM
from ntm_lab.studies import tables
from ntm_lab.tasks import Copy
from ntm_lab.tasks.answers import cost_bits
from ntm_lab.types import Batch

CONTESTANTS = {"cpu": ["reference", "numba", "nn.LSTM", "plain"], "cuda": ["reference", "triton", "nn.LSTM", "plain"]}
LENGTHS = {"fixed": "all of length 20", "mixed": "lengths 1 to 20"}
LONGEST = 20
POOL = 8  # batches of a kind; they take turns
LEAST_STEPS = 3  # in a turn, however slow

RATIOS = [
    ("reference", "numba"),
    ("plain", "numba"),
    ("numba", "nn.LSTM"),
    ("reference", "triton"),
    ("plain", "triton"),
    ("triton", "nn.LSTM"),
    ("plain", "reference"),
]

Key = TypeVar("Key", bound=Hashable)


class Case(NamedTuple):
    """One cell of the tables."""

    threads: int
    lengths: str
    batch: int
    backend: str


def build_ntm(backend: str, slots: int = 128, heads: int = 1, **options: Any) -> NTM:
    """The machine of the main job, with this number of heads of either kind."""
    return NTM(
        Copy().input_size,
        Copy().output_size,
        slots=slots,
        read_heads=heads,
        write_heads=heads,
        read_gate_bias=-4.0,
        backend=backend,
        **options,
    )


def build(contestant: str) -> nn.Module:
    if contestant == "nn.LSTM":
        return nn.LSTM(Copy().input_size, 100, batch_first=True)
    return PlainNTM(Copy().input_size, Copy().output_size) if contestant == "plain" else build_ntm(contestant)


def loss_of(model: nn.Module, batch: Batch, mixed: bool) -> Tensor:
    if isinstance(model, nn.LSTM):
        if not mixed:
            return model(batch.inputs)[0].sum()
        packed = pack_padded_sequence(batch.inputs, batch.lengths.cpu(), batch_first=True, enforce_sorted=False)
        return model(packed)[0].data.sum()
    if isinstance(model, NTM):
        logits, _ = model(batch.inputs, lengths=batch.lengths if mixed else None)
    else:
        logits = model(batch.inputs)
    return cost_bits(logits, batch.targets, batch.mask).mean()


def draw(size: int, lengths: str, device: str) -> list[Batch]:
    """Batches that differ in their bits only. Mixed lengths are not drawn, so that every size gets the same mixture:
    they are spread evenly, and one sequence alone has the middle one."""
    generator = torch.Generator().manual_seed(size)
    length = torch.full((size,), LONGEST)
    if lengths == "mixed":
        length = 1 + LONGEST * (2 * torch.arange(size) + 1) // (2 * size)
        length = length[torch.randperm(size, generator=generator)]
    batches = [Copy().sample(size, {"length": length}, generator) for _ in range(POOL)]
    return [Batch(*(part.to(device) for part in batch)) for batch in batches]


def training_step(model: nn.Module, case: Case, batches: Sequence[Batch], device: str) -> Callable[[], None]:
    """A function that trains for one step, and returns when it is done."""
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-4, alpha=0.95, momentum=0.9, foreach=True)
    endless = itertools.cycle(batches)

    def step() -> None:
        torch.set_num_threads(case.threads)
        loss = loss_of(model, next(endless), case.lengths == "mixed")
        optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return step


def seconds_of(function: Callable[[], None]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def time_in_turn(functions: Mapping[Key, Callable[[], None]], rounds: int, seconds: float) -> dict[Key, float]:
    """The median milliseconds of each function. In every round each is called for about that many seconds."""
    bar = tqdm(total=(1 + rounds) * len(functions), unit=" turns", dynamic_ncols=True)
    calls = {}
    for key, function in functions.items():
        warm = [seconds_of(function) for _ in range(3)]  # compiles, and gives the optimizer its state
        calls[key] = max(LEAST_STEPS, round(seconds / warm[-1]))
        bar.update()
    times: dict[Key, list[float]] = {key: [] for key in functions}
    for _ in range(rounds):
        for key, function in functions.items():
            times[key] += [seconds_of(function) for _ in range(calls[key])]
            bar.update()
    bar.close()
    return {key: 1e3 * statistics.median(each) for key, each in times.items()}


def markdown(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table, numbers to the right."""
    heads = list(heads)
    return tables.markdown(heads, [[*row] for row in rows], [False, *[True] * (len(heads) - 1)])


def report(measured: Mapping[Case, float], lengths: str) -> str:
    """Two tables: milliseconds, then ratios."""
    threads, _, batches, contestants = (list(dict.fromkeys(column)) for column in zip(*measured, strict=True))

    def times(count: int, contestant: str) -> list[float]:
        return [measured[Case(count, lengths, batch, contestant)] for batch in batches]

    def ratio(label: str, above: list[float], below: list[float]) -> list[str]:
        return [label, *(f"{one / other:.2f}" for one, other in zip(above, below, strict=True))]

    slow, ratios = [], []
    for count in threads:
        suffix = f", {count} thread{'s' * (count > 1)}" if len(threads) > 1 else ""
        slow += [[name + suffix, *(f"{each:.2f}" for each in times(count, name))] for name in contestants]
        ratios += [
            ratio(f"{above} / {below}{suffix}", times(count, above), times(count, below))
            for above, below in RATIOS
            if {above, below} <= {*contestants}
        ]
    first, *others = threads
    for count, name in itertools.product(others, contestants):
        ratios.append(
            ratio(f"{name}, speed-up of {count} threads over {first}", times(first, name), times(count, name))
        )
    sizes = [f"B = {batch}" for batch in batches]
    return f"{markdown(['ms per step', *sizes], slow)}\n\n{markdown(['ratio', *sizes], ratios)}"


def whole_numbers(text: str) -> list[int]:
    """Of an option such as ``1,16``."""
    if not all(part.isdecimal() and int(part) > 0 for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text}: must be whole numbers of at least 1, such as 1,16")
    return [int(part) for part in text.split(",")]


def available(device: str) -> list[str]:
    """The contestants that can run on this device, here."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"--device={device}: there is no GPU here, must be cpu")
    wanting = [name for name in ("numba", "triton") if importlib.util.find_spec(name) is None]
    return [name for name in CONTESTANTS[device] if name not in wanting]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=whole_numbers, default=[1], metavar="K,…", help="of torch, on the CPU")
    parser.add_argument("--batches", type=whole_numbers, metavar="B,…", help="default 1,16,32,128; short: 1,16")
    parser.add_argument("--backends", metavar="NAME,…", help="default: all that the device can run")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, metavar="R", help="default 7; short: 3")
    parser.add_argument("--seconds", type=float, default=0.3, help="of each turn, about")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    rounds = (3 if arguments.short else 7) if arguments.rounds is None else arguments.rounds
    try:
        possible = available(arguments.device)
        at_least("--rounds", rounds, 1)
        positive("--seconds", arguments.seconds)
    except ValueError as error:
        parser.error(str(error))
    contestants = arguments.backends.split(",") if arguments.backends else possible
    for name in contestants:
        if name not in possible:
            allowed = ", ".join(possible)
            parser.error(f"--backends={name}: must be among {allowed}, which --device={arguments.device} can run here")
    batches = arguments.batches or ([1, 16] if arguments.short else [1, 16, 32, 128])

    torch.set_flush_denormal(True)  # as in training
    torch.manual_seed(0)
    models = {name: build(name).to(arguments.device) for name in contestants}
    functions = {}
    for lengths, batch, threads in itertools.product(LENGTHS, batches, arguments.threads):
        data = draw(batch, lengths, arguments.device)
        for name, model in models.items():
            case = Case(threads, lengths, batch, name)
            functions[case] = training_step(model, case, data, arguments.device)
    measured = time_in_turn(functions, rounds, arguments.seconds)

    counts = " and ".join(map(str, arguments.threads))
    for lengths, words in LENGTHS.items():
        print(f"\n{lengths.capitalize()}: {words}; {arguments.device}, {counts} thread(s)\n")
        print(report(measured, lengths))
    if arguments.json:
        rows = [
            case._asdict() | {"ms_per_step": milliseconds, "sequences_per_second": 1e3 * case.batch / milliseconds}
            for case, milliseconds in measured.items()
        ]
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
