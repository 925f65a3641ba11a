"""A sweep over seeds in one table: `python benchmarks/seeds.py runs/sweep-…`.

Reads every results.json below the folder and prints, for each difficulty tested, how many runs are within 0.01 wrong
bits a sequence, and median, least and greatest of wrong bits and cost; then the same for what training took.
"""

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ntm_lab.data import in_words

SOLVED = 0.01  # wrong bits per sequence


def spread(values: Sequence[float], digits: int) -> str:
    """Median (least to greatest)."""
    middle, low, high = (f"{value:,.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    files = sorted(parser.parse_args().folder.rglob("results.json"))
    if not files:
        parser.error("there is no results.json below that folder")
    runs = [json.loads(file.read_text()) for file in files]
    tests = defaultdict(list)
    for run in runs:
        for row in run["test"]:
            tests[in_words(row["difficulty"])].append(row)

    print(f"| {len(runs)} runs, seeds {', '.join(str(run['seed']) for run in runs)} | median (range) |\n|---|---|")
    for difficulty, rows in tests.items():
        solved = sum(row["wrong_bits"] <= SOLVED for row in rows)
        print(f"| {difficulty}: runs within {SOLVED} wrong bits | {solved} of {len(rows)} |")
        print(f"| {difficulty}: wrong bits per sequence | {spread([row['wrong_bits'] for row in rows], 3)} |")
        print(f"| {difficulty}: cost, bits per sequence | {spread([row['cost_bits'] for row in rows], 3)} |")
    print(f"| sequences to the end of training | {spread([run['sequences'] for run in runs], 0)} |")
    print(f"| seconds of training | {spread([run['seconds'] for run in runs], 1)} |")


if __name__ == "__main__":
    main()
