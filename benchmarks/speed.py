"""How long a training step takes: `python benchmarks/speed.py [WORKLOAD…]`.

A step is forward, backward, clipping by norm at 10 and Adam, on random bits that were drawn before. Machines of ntm_lab
take `ntm_lab.training.optim`'s clipping and Adam, as `train.py` does, all others PyTorch's clipping and fused Adam. The
workloads, each a machine at its sizes, are in workloads.py. The contestants:

    reference, numba, triton  ntm_lab's machine with this backend; "-no-links": a DNC without temporal links
    plain                     plain_ntm.py or plain_dnc.py, of the same sizes, in eager PyTorch; it knows no lengths
    nn.LSTM                   one layer of the controller's size on the inputs alone, packed where lengths are mixed,
                              with nothing after it: its loss is the sum of its outputs. A yardstick, not a model

`--peer pytorch-ntm=FOLDER` (or pytorch-dnc) adds another repository, from a checkout of yours.

All of a workload are timed in turn, round after round in one process, after a warm-up that includes compilation.
Printed are medians in milliseconds and their ratios. `--save` keeps them in benchmarks/results, from where
`python benchmarks/tables.py` makes the tables of the documents.
"""

import argparse
import itertools
from pathlib import Path
from typing import NamedTuple

import torch
from results import Row, save, surroundings, table
from timing import time_in_turn, training_step
from torch import nn
from workloads import PEERS, UNLINKED, WORKLOADS, Workload, contestants, importable

from ntm_lab.checks import at_least, positive

RATIOS = [
    *((slow, fast) for fast in ("numba", "triton") for slow in ("reference", "plain", *PEERS)),
    *((slow + UNLINKED, f"numba{UNLINKED}") for slow in ("reference", "plain")),
    *((fast, "nn.LSTM") for fast in ("numba", "triton", f"numba{UNLINKED}")),
]


class Case(NamedTuple):
    """One cell of the tables."""

    contestant: str
    batch: int
    threads: int
    mixed: bool


def whole_numbers(text: str) -> list[int]:
    """Of an option such as ``1,16``."""
    if not all(part.isdecimal() and int(part) > 0 for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text}: must be whole numbers of at least 1, such as 1,16")
    return [int(part) for part in text.split(",")]


def peer(text: str) -> tuple[str, Path]:
    """Of an option such as ``pytorch-ntm=FOLDER``."""
    name, _, folder = text.partition("=")
    if name not in PEERS or not Path(folder).is_dir():
        known = " or ".join(f"{name}=FOLDER" for name in PEERS)
        raise argparse.ArgumentTypeError(f"{text}: must be {known}, a checkout of that repository")
    return name, Path(folder)


def measure(name: str, chosen: dict[str, nn.Module], arguments: argparse.Namespace) -> list[Row]:
    """All cases of a workload, in turn."""
    workload, functions = WORKLOADS[name], {}
    batches = arguments.batches or workload.batches
    for batch, threads, mixed in itertools.product(batches, arguments.threads, [False, True][: 1 + arguments.mixed]):
        for contestant, model in chosen.items():
            functions[Case(contestant, batch, threads, mixed)] = training_step(workload, model, batch, threads, mixed)
    times = time_in_turn(functions, arguments.rounds, arguments.seconds)
    return [Row(name, case.contestant, case.batch, case.threads, case.mixed, *each) for case, each in times.items()]


def build(workload: Workload, names: list[str], peers: dict[str, Path], device: str) -> dict[str, nn.Module]:
    """The models of a workload by their contestants' names."""
    models = {name: workload.build(name) for name in names}
    for name, folder in peers.items():
        machine, build_peer = PEERS[name]
        if machine is workload.machine:
            with importable(folder):
                models[name] = build_peer(workload)
    return {name: model.to(device) for name, model in models.items()}


def report(rows: list[Row]) -> str:
    """Titles and tables."""
    settings = dict.fromkeys((row.threads, row.mixed) for row in rows)
    parts = [WORKLOADS[rows[0].workload].title]
    for threads, mixed in settings:
        lengths = "lengths from 1 to T, padded" if mixed else "all of full length"
        chosen = [row for row in rows if (row.threads, row.mixed) == (threads, mixed)]
        parts.append(f"{lengths}, {threads} thread{'s' * (threads > 1)}\n\n{table(chosen, RATIOS)}")
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"{', '.join(WORKLOADS)} (default: all)")
    parser.add_argument("--contestants", metavar="NAME,…", help="default: all that the device can run")
    parser.add_argument("--batches", type=whole_numbers, metavar="B,…", help="default: the workload's")
    parser.add_argument("--threads", type=whole_numbers, default=[1], metavar="K,…", help="of torch, on the CPU")
    parser.add_argument("--mixed", action="store_true", help="mixed lengths, too")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--peer", type=peer, action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--rounds", type=int, default=5, metavar="R")
    parser.add_argument("--seconds", type=float, default=0.3, help="of each turn, about")
    parser.add_argument("--short", action="store_true", help="the NTM at B = 1 and 16 in two rounds")
    parser.add_argument("--save", action="store_true", help="in benchmarks/results")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.workloads = arguments.workloads or ["ntm"]
        arguments.batches, arguments.rounds = arguments.batches or [1, 16], 2
    for name in arguments.workloads:
        if name not in WORKLOADS:
            parser.error(f"{name}: must be among {', '.join(WORKLOADS)}")
    try:
        if arguments.device == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"--device={arguments.device}: there is no GPU here, must be cpu")
        at_least("--rounds", arguments.rounds, 1)
        positive("--seconds", arguments.seconds)
    except ValueError as error:
        parser.error(str(error))

    chosen = {name: WORKLOADS[name] for name in arguments.workloads or WORKLOADS}
    possible = {name: contestants(workload, arguments.device) for name, workload in chosen.items()}
    everyone = list(dict.fromkeys(itertools.chain.from_iterable(possible.values())))
    wanted = arguments.contestants.split(",") if arguments.contestants else everyone
    for name in wanted:
        if name not in everyone:
            parser.error(f"--contestants={name}: must be among {', '.join(everyone)}")

    torch.set_flush_denormal(True)  # as in training
    rows: list[Row] = []
    for name, workload in chosen.items():
        torch.manual_seed(0)
        names = [each for each in possible[name] if each in wanted]
        models = build(workload, names, dict(arguments.peer), arguments.device)
        rows += measure(name, models, arguments)
        print(f"\n{report([row for row in rows if row.workload == name])}\n")
    if arguments.save:
        print(save(rows, surroundings(arguments.device)))


if __name__ == "__main__":
    main()
