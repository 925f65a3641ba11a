"""`ntm-lab …`, one module a command."""

import argparse
import atexit
import gc
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

import ntm_lab
from ntm_lab.cli.output import lasting_output

COMMANDS = {
    "train": "train a model; takes settings such as task=sort model=lstm, and its --help lists all of them",
    "evaluate": "measure cost, wrong bits and exact sequences at any difficulty",
    "generalise": "measure how far a model works beyond its training, as a table and a figure",
    "compare": "compare runs and sweeps, as a table with statistics over seeds and a figure",
    "show": "watch a model at work in the browser, and take its memory apart",
    "demo": "draw what a model does with an unseen sequence",
    "models": "list the trained models that come with the package, or describe one",
    "reproduce": "train, draw and judge the claims of a report on NTMs, and write the page",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, or print help without one; errors a person can mend are one line on stderr and status 2.

    A command's module has ``add_arguments(parser)`` and ``run(arguments)``, or ``main(arguments)`` if it parses them
    itself. Only the module of that command is imported, as most of them import torch and Lightning.
    """
    lines = "\n".join(f"  {name:<12}{words}" for name, words in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="ntm-lab",
        usage="ntm-lab COMMAND …",
        description="Train neural networks with an external memory, and look at them.",
        epilog=f"commands:\n{lines}\n\n`ntm-lab COMMAND --help` explains a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("command", nargs="?", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.version:
        print(f"ntm_lab {ntm_lab.__version__}")
        return 0
    if chosen.command is None:
        parser.print_help()
        return 0
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
    """Import a module with the garbage collector off, which saves a fifth of the time of PyTorch and Lightning.

    Modules stay, so there is no garbage; the collector then skips their objects until the process ends.
    """
    if module in sys.modules:
        return sys.modules[module]
    enabled = gc.isenabled()
    gc.disable()
    try:
        return import_module(module)
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # otherwise some extensions report leaks at exit
        if enabled:
            gc.enable()
