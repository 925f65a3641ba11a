"""`ntm-lab demo MODEL`: draw what a model does with an unseen sequence, as a picture or an animation."""

import argparse
from pathlib import Path

import torch

from ntm_lab.checks import at_least
from ntm_lab.cli.evaluate import add_model_argument, add_trust_argument, writing
from ntm_lab.evaluation.difficulties import parse
from ntm_lab.evaluation.generalisation import slots_needed
from ntm_lab.figures import animate_episode, draw_episode
from ntm_lab.figures.episode import outcome, solution_if_costly
from ntm_lab.tasks.difficulties import in_words, label, seeded
from ntm_lab.types import Batch, Difficulty
from ntm_lab.zoo.find import Trained, find


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_argument(parser)
    parser.add_argument(
        "--difficulty",
        nargs="+",
        default=[],
        metavar="AXIS=VALUE",
        help="e.g. length=60 or length=4 repeats=7 (default of an axis: its hardest value in training)",
    )
    add_trust_argument(parser)
    parser.add_argument(
        "--slots", type=int, metavar="N", help="memory slots (default: as trained, and more where needed)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the sequence (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the picture (default: MODEL-DIFFICULTY.png, here)")
    parser.add_argument("--gif", type=Path, metavar="FILE", help="write an animation to this file, not a picture")


def run(arguments: argparse.Namespace) -> None:
    """Draw one sequence and print how it was answered, and where the picture is.

    Raises FileNotFoundError and ValueError as `find` does, and ValueError for a difficulty that the task does not have
    and for --out beside --gif.
    """
    at_least("--seed", arguments.seed, 0)
    if arguments.gif and arguments.out:
        raise ValueError(f"--gif {arguments.gif}: must not be given beside --out {arguments.out}")
    if arguments.gif and arguments.gif.suffix.lower() != ".gif":
        raise ValueError(f"--gif {arguments.gif}: must end with .gif")
    found = find(arguments.model, arguments.slots, arguments.trust, arguments.root)
    difficulties = parse(arguments.difficulty, found.task)
    if len(difficulties) > 1:
        raise ValueError(f"--difficulty {' '.join(arguments.difficulty)}: must be one, not {len(difficulties)}")
    difficulty = difficulties[0]
    if arguments.slots is None:
        _grow(found, difficulty)

    batch = found.task.split("testing").sample(1, difficulty, seeded(arguments.seed, "demo"))
    memory = f", {found.model.slots} slots" if found.model.slots else ""
    name = found.folder.resolve().name
    title = f"{name}: {in_words(difficulty)}"

    path = arguments.gif or arguments.out or Path(f"{name}-{label(difficulty)}.png")
    with writing(path, "--gif FILE" if arguments.gif else "--out FILE"):
        path.parent.mkdir(parents=True, exist_ok=True)
        if arguments.gif:
            animate_episode(found.model, found.task, batch, path, title)
        else:
            draw_episode(found.model, found.task, batch, title).savefig(path)
    print(f"{title}{memory}, {_outcome(found, batch)}\n{'animation' if arguments.gif else 'picture'} in {path}")


@torch.no_grad()
def _outcome(found: Trained, batch: Batch) -> str:
    """How the sequence was answered."""
    outputs, _ = found.model(batch.inputs)
    return ", ".join(outcome(found.task.answer, outputs, batch, solution_if_costly(found.task, batch)))


def _grow(found: Trained, difficulty: Difficulty) -> None:
    """As many slots as the difficulty needs, where the memory allows it; a line that says so where it does not."""
    needed = slots_needed(found.task, difficulty)
    if found.model.slots is not None and needed > found.model.slots:
        try:
            found.model.resize(needed)
        except ValueError as error:
            print(f"{needed} slots would be needed; {error}")
