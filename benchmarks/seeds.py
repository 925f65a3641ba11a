"""Sweeps over seeds in one table, a column each: `python benchmarks/seeds.py runs/sweep-… runs/sweep-…`.

Reads every results.json below each folder. Of each difficulty tested it prints how many runs are within `--solved`
wrong bits a sequence (default 0.01), and their wrong bits and cost; then what training took: until the validation's
bit error rate was below 2e-4 and stayed there, and in all. Numbers are median (lower to upper quartile; largest).
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ntm_lab.data import in_words

TRAINING = {  # line: key of results.json, digits
    "sequences until solved": ("sequences_to_solve", 0),
    "seconds until solved": ("seconds_to_solve", 1),
    "sequences in all": ("sequences", 0),
    "seconds of training in all": ("seconds", 1),
    "largest gradient norm": ("largest_gradient_norm", 0),
}


def spread(values: Sequence[float | None], digits: int) -> str:
    """Median (quartiles; largest), of those there are."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    low, middle, high, largest = (f"{value:,.{digits}f}" for value in np.quantile(known, [0.25, 0.5, 0.75, 1]))
    return f"{middle} ({low} to {high}; {largest})" + (f", {len(known)} runs" if len(known) < len(values) else "")


def column(runs: Sequence[Mapping[str, Any]], difficulties: Iterable[str], solved: float) -> dict[str, str]:
    """What is said of one sweep, by line."""
    lines = {
        "seeds": ", ".join(str(seed) for seed in sorted(run["seed"] for run in runs)),
        "parameters": ", ".join(sorted({f"{run['parameters']:,}" for run in runs})),
    }
    for difficulty in difficulties:
        rows = [row for run in runs for row in run["test"] if in_words(row["difficulty"]) == difficulty]
        if any("optimum_bits" in row for row in rows):
            gaps = [row["cost_bits"] - row["optimum_bits"] for row in rows]
            lines[f"{difficulty}: bits above the optimum"] = spread(gaps, 2)
            continue
        count = sum(row["wrong_bits"] <= solved for row in rows)
        lines[f"{difficulty}: runs within {solved:g} wrong bits"] = f"{count} of {len(rows)}"
        lines[f"{difficulty}: wrong bits"] = spread([row["wrong_bits"] for row in rows], 3)
        lines[f"{difficulty}: cost, bits"] = spread([row["cost_bits"] for row in rows], 3)
    return lines | {line: spread([run[key] for run in runs], digits) for line, (key, digits) in TRAINING.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="folder")
    parser.add_argument("--solved", type=float, default=0.01, metavar="BITS", help="wrong bits a sequence")
    arguments = parser.parse_args()
    sweeps = {
        folder: [json.loads(file.read_text()) for file in sorted(folder.rglob("results.json"))]
        for folder in arguments.folders
    }
    for folder, runs in sweeps.items():
        if not runs:
            parser.error(f"{folder}: there is no results.json below that folder")
    tests = [row["difficulty"] for runs in sweeps.values() for run in runs for row in run["test"]]
    difficulties = dict.fromkeys(in_words(difficulty) for difficulty in tests)
    columns = [column(runs, difficulties, arguments.solved) for runs in sweeps.values()]
    print(f"| | {' | '.join(folder.name for folder in sweeps)} |\n|---|{'---|' * len(sweeps)}")
    for line in dict.fromkeys(line for each in columns for line in each):
        print(f"| {line} | {' | '.join(each.get(line, '–') for each in columns)} |")


if __name__ == "__main__":
    main()
