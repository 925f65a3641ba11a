"""`ntm-lab …`, one module a command."""

import argparse
import atexit
import gc
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from ntm_lab.cli.output import lasting_output

COMMANDS = {
    "train": "train a model; the arguments are those of train.py, such as task=sort model=lstm",
    "evaluate": "cost, wrong bits and exact sequences at any difficulty",
    "generalise": "how far a model holds beyond its training, as a table and a figure",
    "models": "the trained models that come with the package",
    "demo": "draw what a model does with an unseen sequence",
    "show": "a page in the browser, in which one watches a model at work and takes its memory apart",
    "compare": "any runs as a table and a figure, with the statistics of several seeds",
    "reproduce": "every figure and claim of a report: train, draw, judge, and write a page",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors a person can mend are one line on stderr and exit status 2.

    A command's module has ``add_arguments(parser)`` and ``run(arguments)``, or ``main(arguments)`` if it reads them by
    itself. Only the one that was asked for is imported, as most of them bring torch and Lightning in.
    """
    parser = argparse.ArgumentParser(prog="ntm-lab", description="Train neural networks with memory, and look at them.")
    parser.add_argument(
        "command", choices=COMMANDS, metavar="COMMAND", help="; ".join(f"{n}: {h}" for n, h in COMMANDS.items())
    )
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="…", help="ntm-lab COMMAND --help tells")
    chosen = parser.parse_args(arguments)
    command = import_quickly(f"ntm_lab.cli.{chosen.command}")
    if hasattr(command, "main"):
        command.main(chosen.rest)
        return 0
    own = argparse.ArgumentParser(prog=f"ntm-lab {chosen.command}", description=COMMANDS[chosen.command])
    command.add_arguments(own)
    try:
        with lasting_output():
            command.run(own.parse_args(chosen.rest))
    except (ValueError, FileNotFoundError) as error:
        print(f"ntm-lab {chosen.command}: {error}", file=sys.stderr)
        return 2
    return 0


def import_quickly(module: str) -> ModuleType:
    """Import a module without looking for garbage on the way, which takes a fifth of the time of PyTorch and Lightning.

    There is none: what modules consist of stays. So the collector leaves it out from then on, until the process ends.
    """
    if module in sys.modules:
        return sys.modules[module]
    enabled = gc.isenabled()
    gc.disable()
    try:
        return import_module(module)
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # or some extensions complain of leaks at the end
        if enabled:
            gc.enable()
