"""`ntm-lab evaluate MODEL`: cost, wrong answers and exact sequences at any difficulty."""

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

SEQUENCES = 1000  # per difficulty


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common_arguments(parser)
    parser.add_argument("--slots", type=int, metavar="N", help="memory slots (default: as trained)")
    parser.add_argument(
        "--ablate", action="store_true", help="a row for every ablation of the memory: reads zeroed, links cut, …"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows with all details to this file")


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that `ntm-lab generalise` has, too."""
    add_model_argument(parser)
    parser.add_argument(
        "--difficulty",
        nargs="+",
        metavar="AXIS=VALUES",
        help="e.g. length=20,40 or length=10:120:10, both ends included; several axes make a grid (default of an axis: "
        "its hardest value in training)",
    )
    add_trust_argument(parser)
    parser.add_argument(
        "--sequences", type=int, metavar="N", help=f"sequences per difficulty (default: {SEQUENCES}; fixed data: all)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=2,
        metavar="N",
        help="seed of the sequences (default: %(default)s, as after training)",
    )


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    """The model, as every command that loads one takes it, and where its data is."""
    parser.add_argument("model", metavar="MODEL", help="a run's folder, or a name from `ntm-lab models`")
    parser.add_argument(
        "--root", type=Path, metavar="FOLDER", help="your copy of the data, for bAbI and Omniglot (default: as trained)"
    )


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """``--trust``, for every command that loads a model."""
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="a further package whose classes a shared model may use; may be repeated",
    )


def run(arguments: argparse.Namespace) -> None:
    check(arguments)
    folder, _, task, model = find(arguments.model, arguments.slots, arguments.trust, arguments.root)
    sequences = how_many(arguments, task)
    difficulties = parse(arguments.difficulty, task) if arguments.difficulty else [hardest(task)]
    seed, ablations = arguments.seed, len(ablations_of(model)) if arguments.ablate else 1
    cache = open_cache(folder, model) if arguments.root is None else None  # its rows are of the run's own data
    with progress(len(difficulties) * sequences * ablations) as bar:
        if arguments.ablate:
            rows = evaluate_ablations(model, task, difficulties, sequences, seed, details=True, advance=bar.update)
        else:
            rows = evaluate_cached(model, task, difficulties, sequences, seed, cache, bar.update)
    print(table(rows))
    if arguments.json:
        with writing(arguments.json, "--json FILE"):
            write_whole(arguments.json, json.dumps(rows, indent=2) + "\n")


def check(arguments: argparse.Namespace) -> None:
    """Raise ValueError for numbers out of range, and set this process up for speed as a run does."""
    if arguments.sequences is not None:
        at_least("--sequences", arguments.sequences, 1)
    at_least("--seed", arguments.seed, 0)
    torch.set_flush_denormal(True)  # as in training: a near-empty memory is full of denormals


def how_many(arguments: argparse.Namespace, task: Task) -> int:
    """Sequences per difficulty: as given, else `SEQUENCES`, or the whole test set of a task with fixed data."""
    if arguments.sequences is not None:
        return int(arguments.sequences)
    stored = task.split("testing").stored(hardest(task))
    return SEQUENCES if stored is None else len(stored)


@contextmanager
def writing(path: Path, option: str) -> Iterator[None]:
    """Turn an error of writing into a ValueError that names the option to use."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{path}: cannot be written ({error.strerror}); give another place with {option}") from error


def progress(sequences: int) -> "tqdm[NoReturn]":
    """A progress bar over this number of sequences, on stderr if that is a terminal."""
    return tqdm(total=sequences, unit=" sequences", disable=None, leave=False)
