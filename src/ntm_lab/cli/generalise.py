"""`ntm-lab generalise MODEL`: how far a model works beyond its training, as a table and a figure."""

import argparse
import json
from pathlib import Path

from ntm_lab.cli.evaluate import add_common_arguments, check, how_many, progress, writing
from ntm_lab.evaluation import far_beyond, generalise, is_shipped, open_cache, parse, table
from ntm_lab.figures import draw_generalisation
from ntm_lab.files import write_whole
from ntm_lab.zoo.find import find

FIGURE, NUMBERS = "generalise.png", "generalise.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common_arguments(parser)
    parser.add_argument(
        "--slots", type=int, metavar="N", help="memory slots (default: as trained, and more where needed)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help=f"where {FIGURE} and {NUMBERS} go (default: the run's folder)"
    )


def run(arguments: argparse.Namespace) -> None:
    check(arguments)
    folder, _, task, model = find(arguments.model, arguments.slots, arguments.trust, arguments.root)
    sequences = how_many(arguments, task)
    difficulties = parse(arguments.difficulty, task) if arguments.difficulty else far_beyond(task)
    with progress(len(difficulties) * sequences) as bar:
        rows, notes = generalise(
            model,
            task,
            difficulties,
            sequences,
            arguments.seed,
            grow=arguments.slots is None,
            cache=open_cache(folder, model) if arguments.root is None else None,
            advance=bar.update,
        )
    print("\n\n".join([table(rows), *notes]))
    out = arguments.out or (None if is_shipped(folder) else folder)
    if out is None:
        print(f"\n{arguments.model} comes with the package; --out FOLDER keeps the figure and the numbers")
        return
    training = {axis: list(ends) for axis, ends in task.ranges.items()}
    numbers = {"run": arguments.model, "seed": arguments.seed, "training": training, "rows": rows, "notes": notes}
    title = f"{folder.resolve().name}: {sequences} fresh sequences each"
    with writing(out, "--out FOLDER"):
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / NUMBERS, json.dumps(numbers, indent=2) + "\n")
        draw_generalisation(rows, task.ranges, title).savefig(out / FIGURE)
    print(f"\nfigure and numbers in {out}: {FIGURE}, {NUMBERS}")
