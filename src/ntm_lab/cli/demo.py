"""`ntm-lab demo MODEL`: draw what a model does with an unseen sequence."""

import argparse
from pathlib import Path

import torch

from ntm_lab.checks import at_least
from ntm_lab.cli.evaluate import add_model_argument, add_trust_argument, writing
from ntm_lab.evaluation.difficulties import parse
from ntm_lab.evaluation.generalisation import slots_needed
from ntm_lab.figures import draw_episode
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


def run(arguments: argparse.Namespace) -> None:
    """Draw one sequence and print how it was answered, and where the picture is.

    Raises FileNotFoundError and ValueError as `find` does, and ValueError for a difficulty that the task has not.
    """
    at_least("--seed", arguments.seed, 0)
    found = find(arguments.model, arguments.slots, arguments.trust)
    difficulties = parse(arguments.difficulty, found.task)
    if len(difficulties) > 1:
        raise ValueError(f"--difficulty {' '.join(arguments.difficulty)}: must be one, not {len(difficulties)}")
    difficulty = difficulties[0]
    if arguments.slots is None:
        _grow(found, difficulty)

    batch = found.task.split("testing").sample(1, difficulty, seeded(arguments.seed, "demo"))
    memory = f", {found.model.slots} slots" if found.model.slots else ""
    name = found.folder.resolve().name
    title = f"{name}: {in_words(difficulty)}{memory}, {_outcome(found, batch)}"

    path = arguments.out or Path(f"{name}-{label(difficulty)}.png")
    with writing(path, "--out FILE"):
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_episode(found.model, found.task, batch, title).savefig(path)
    print(f"{title}\npicture in {path}")


@torch.no_grad()
def _outcome(found: Trained, batch: Batch) -> str:
    """How the sequence was answered; first by how much the cost exceeds the optimum, where that is not 0."""
    answer, rest = found.task.answer, (batch.targets, batch.mask)
    outputs, _ = found.model(batch.inputs)
    told = answer.in_words(outputs, *rest)
    optimum = float(answer.solution_cost(found.task.solve(batch), *rest))
    if not optimum:
        return told
    above = float(answer.cost(outputs, *rest)) - optimum
    return f"{above:.4g} {answer.unit.replace('_', ' ')} above the optimum of {optimum:.4g}, {told}"


def _grow(found: Trained, difficulty: Difficulty) -> None:
    """As many slots as the difficulty needs, where the memory allows it; a line that says so where it does not."""
    needed = slots_needed(found.task, difficulty)
    if found.model.slots is not None and needed > found.model.slots:
        try:
            found.model.resize(needed)
        except ValueError as error:
            print(f"{needed} slots would be needed; {error}")
