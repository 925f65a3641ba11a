"""Train the models of tools/models.txt and put them into the package: `make models`.

    python tools/make_models.py                          # all of them
    python tools/make_models.py copy-ntm-lstm …          # only these
    python tools/make_models.py --package runs/… …       # finished runs, without training

Runs go to runs/models-<time>/<name>, so that none is overwritten; each model is packaged when its run has ended.
"""

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

from ntm_lab.zoo import shipped
from ntm_lab.zoo.card import size_in_bytes, write
from ntm_lab.zoo.find import card_of, find

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_name("models.txt")
LIMIT = 5_000_000  # bytes of all models together, which everyone who installs the package downloads


def listed() -> dict[str, list[str]]:
    """The overrides of every model in the list, by name; ValueError for a line that is no name and command."""
    found: dict[str, list[str]] = {}
    for line in LIST.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, command = line.partition(":")
        words = shlex.split(command)
        if words[:2] != ["python", "train.py"] or name in found:
            raise ValueError(f"{LIST.name}: {line!r} must be '<name>: python train.py …', each name once")
        found[name] = words[2:]
    return found


def train(name: str, overrides: list[str], folder: Path) -> Path:
    """Run train.py to the end; CalledProcessError if it fails."""
    print(f"{name}: {shlex.join(['python', 'train.py', *overrides])}", flush=True)
    command = [sys.executable, "train.py", *overrides, f"hydra.run.dir={folder / name}"]
    subprocess.run(command, cwd=ROOT, check=True)
    return folder / name


def package(run: Path, name: str | None = None) -> Path:
    """Put a finished run into the package, in place of the model of that name.

    Raises FileNotFoundError and ValueError as `find` and `card_of` do, and ValueError if its name is not the expected.
    """
    found = find(run)
    card = card_of(found)
    if name not in (None, card["name"]):
        raise ValueError(f"{run}: is {card['name']}, not {name}")
    folder = shipped.FOLDER / card["name"]
    write(folder, card, found.model.state_dict())
    print(f"{run} is {card['name']} now, {size_in_bytes(folder) / 1000:,.0f} kB in {folder}", flush=True)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help="default: all")
    parser.add_argument("--package", nargs="+", type=Path, default=[], metavar="RUN", help="finished runs")
    arguments = parser.parse_args()
    known = listed()
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        parser.error(f"{', '.join(unknown)}: not in {LIST.name}, which has {', '.join(known)}")
    for run in arguments.package:
        package(run)
    if not arguments.package:
        folder = ROOT / "runs" / time.strftime("models-%Y%m%d-%H%M%S")
        for name in arguments.names or known:
            package(train(name, known[name], folder), name)
    total = sum(size_in_bytes(shipped.FOLDER / name) for name in shipped.cards())
    print(f"all together {total / 1e6:.2f} MB")
    if total > LIMIT:
        parser.exit(1, f"which is more than {LIMIT / 1e6:.0f} MB; make some smaller\n")


if __name__ == "__main__":
    main()
