"""Speed, parameters and bits of state of every model, side by side: `python benchmarks/models.py [MODEL…]`.

Each model is what `model=MODEL` gives with its general recipe, and some are shown in variants too. A step is forward,
backward, clipping by norm at 10 and Adam, of 16 sequences of random bits with the widths of copy, 9 in and 8 out. All
models are timed in turn at T = 41 and T = 241, round after round in one process, after a warm-up that includes
compilation. Printed are medians.

`--save` of all models keeps what was measured in benchmarks/results/models, and writes the table into docs/models.md.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from results import FOLDER, Row, save, surroundings
from timing import time_in_turn, training_step
from workloads import WORKLOADS

from ntm_lab.checks import at_least, positive
from ntm_lab.runs.search import CONF
from ntm_lab.studies import tables
from ntm_lab.types import SequenceModel

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
BEGIN, END = "<!-- models -->\n", "<!-- /models -->"
COPY, BATCH, STEPS = WORKLOADS["ntm"], 16, (41, 241)
FIRST = ("ntm", "dnc", "mann", "lstm")  # in the table; the others follow by name
VARIANTS = {
    "ntm": ["controller=feedforward"],
    "linear_memory": ["model.forget=none model.delta=false"],
    "xlstm": ["model.kind=mlstm", "model.kind=slstm"],
}
GROWS = " · T"  # after the bits of a model that keeps its past


def names() -> list[str]:
    """Every choice of `model`."""
    found = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
    return [*FIRST, *(name for name in found if name not in FIRST)]


def contestants(chosen: Sequence[str]) -> list[str]:
    """The chosen models and their variants, as one writes them on the command line after ``model=``."""
    return [" ".join(filter(None, (name, more))) for name in chosen for more in ("", *VARIANTS.get(name, []))]


def build(contestant: str) -> SequenceModel:
    """A model of copy's widths, by its general recipe."""
    name, *overrides = contestant.split()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", [f"model={name}", f"recipe={name}/general", "task=copy", *overrides])
    model: SequenceModel = instantiate(config.model)(COPY.inputs, COPY.outputs)
    return model


def measure(models: dict[str, SequenceModel], rounds: int, seconds: float) -> list[Row]:
    """The time of a step of every model at both lengths, in turn."""
    functions = {
        (name, steps): training_step(COPY._replace(steps=steps), model, BATCH, 1, False)
        for (name, model), steps in itertools.product(models.items(), STEPS)
    }
    times = time_in_turn(functions, rounds, seconds)
    return [Row(f"T = {steps}", name, BATCH, 1, False, *each) for (name, steps), each in times.items()]


def bits(model: SequenceModel) -> str:
    """Those of its state; for a model that keeps its past, those of a step of it, times T."""
    one, two = model.state_bits(1), model.state_bits(2)
    return f"{one:,}" + GROWS * (two > one)


def table(rows: Sequence[Row], models: dict[str, SequenceModel]) -> str:
    """A line for every model."""
    times = {(row.contestant, row.workload): row.ms for row in rows}
    lines = []
    for name, model in models.items():
        parameters = sum(part.numel() for part in model.parameters() if part.requires_grad)
        speeds = (f"{times[name, f'T = {steps}']:.1f}" for steps in STEPS)
        lines.append([f"`{name}`", f"{parameters:,}", bits(model), *speeds])
    head = ["`model=`", "parameters", "bits of state", *(f"ms a step, T = {steps}" for steps in STEPS)]
    return tables.markdown(head, lines, [False, *[True] * (len(head) - 1)])


def filled(text: str, made: str) -> str:
    """The page with its table made anew; ValueError if it has no place for one."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE}: has no {BEGIN.strip()} … {END}")
    return f"{before}{begin}{made}\n{end}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"{', '.join(names())} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, metavar="R")
    parser.add_argument("--seconds", type=float, default=0.3, help="of each turn, about")
    parser.add_argument("--save", action="store_true", help="in benchmarks/results/models and docs/models.md")
    arguments = parser.parse_args()
    for name in arguments.models:
        if name not in names():
            parser.error(f"{name}: must be among {', '.join(names())}")
    if arguments.save and arguments.models:
        parser.error(f"--save: the table is of all models, not of {', '.join(arguments.models)} alone")
    try:
        at_least("--rounds", arguments.rounds, 1)
        positive("--seconds", arguments.seconds)
    except ValueError as error:
        parser.error(str(error))

    torch.set_flush_denormal(True)  # as in training
    torch.manual_seed(0)
    models = {name: build(name) for name in contestants(arguments.models or names())}
    rows = measure(models, arguments.rounds, arguments.seconds)
    made = table(rows, models)
    print(f"\n{made}\n")
    if arguments.save:
        about = surroundings("cpu")
        saved = save(rows, about, FOLDER / "models" / f"{about['date']}.json")
        where = f"`{about['command']}`, one thread of {about['device']} ({about['vectors']}), {about['date']}:"
        PAGE.write_text(filled(PAGE.read_text(), f"{where}\n\n{made}"))
        print(f"{saved}\n{PAGE}")


if __name__ == "__main__":
    main()
