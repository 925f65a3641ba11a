"""`ntm-lab evaluate RUN`: cost, wrong answers and exact sequences at any difficulty."""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import torch
from tqdm import tqdm

from ntm_lab.checks import at_least
from ntm_lab.evaluation import ablations_of, evaluate_ablations, evaluate_cached, open_cache, parse, table
from ntm_lab.files import write_whole
from ntm_lab.tasks.difficulties import hardest
from ntm_lab.types import Task
from ntm_lab.zoo.find import find

SEQUENCES = 1000  # of each difficulty


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common_arguments(parser)
    parser.add_argument("--slots", type=int, metavar="N", help="memory slots, other than the trained ones")
    parser.add_argument(
        "--ablate", action="store_true", help="a row for every ablation of the memory: reads zeroed, links cut, …"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows, with all details, to a file")


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """What `ntm-lab generalise` understands as well."""
    parser.add_argument("run", help="the folder of a run, or the name of a model of `ntm-lab models`")
    parser.add_argument(
        "--difficulty",
        nargs="+",
        metavar="AXIS=VALUES",
        help="e.g. length=20,40 or length=10:120:10 (both ends included); several axes are a grid; an axis left out "
        "has its hardest value of training",
    )
    add_trust_argument(parser)
    parser.add_argument(
        "--sequences", type=int, metavar="N", help=f"of each difficulty (default: {SEQUENCES}; of fixed data all)"
    )
    parser.add_argument("--seed", type=int, default=2, help="of the sequences (default: 2, as after training)")


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """What every command that loads a model understands."""
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="another package that a model with a card may be built from; may be given several times",
    )


def run(arguments: argparse.Namespace) -> None:
    check(arguments)
    folder, _, task, model = find(arguments.run, arguments.slots, arguments.trust)
    sequences = how_many(arguments, task)
    difficulties = parse(arguments.difficulty, task) if arguments.difficulty else [hardest(task)]
    seed, ablations = arguments.seed, len(ablations_of(model)) if arguments.ablate else 1
    with progress(len(difficulties) * sequences * ablations) as bar:
        if arguments.ablate:
            rows = evaluate_ablations(model, task, difficulties, sequences, seed, details=True, advance=bar.update)
        else:
            rows = evaluate_cached(model, task, difficulties, sequences, seed, open_cache(folder, model), bar.update)
    print(table(rows))
    if arguments.json:
        with writing(arguments.json, "--json FILE"):
            write_whole(arguments.json, json.dumps(rows, indent=2) + "\n")


def check(arguments: argparse.Namespace) -> None:
    """ValueError for numbers that make no sense; and sets this process up for speed as a run does."""
    if arguments.sequences is not None:
        at_least("--sequences", arguments.sequences, 1)
    at_least("--seed", arguments.seed, 0)
    torch.set_flush_denormal(True)  # as in training: a near-empty memory is full of denormals


def how_many(arguments: argparse.Namespace, task: Task) -> int:
    """The sequences of each difficulty: as given; else `SEQUENCES`, or of a task with fixed data all of its test."""
    if arguments.sequences is not None:
        return int(arguments.sequences)
    stored = task.split("testing").stored(hardest(task))
    return SEQUENCES if stored is None else len(stored)


@contextmanager
def writing(path: Path, option: str) -> Iterator[None]:
    """ValueError, which names the option that would help, where nothing can be written."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{path}: cannot be written ({error.strerror}); give another place with {option}") from error


def progress(sequences: int) -> "tqdm[NoReturn]":
    """A progress bar over this number of sequences, on stderr if that is a terminal."""
    return tqdm(total=sequences, unit=" sequences", disable=None, leave=False)
