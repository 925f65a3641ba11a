"""Makes the speed tables of README.md and docs from what was measured: `python benchmarks/tables.py [FILE]`.

FILE is what `speed.py --save` wrote, by default the newest in benchmarks/results. A table stands between the lines
`<!-- speed: WORKLOAD … -->` and `<!-- /speed -->` of a document; words after the workload are the contestants it
shows, all by default. A ratio at one batch size stands between `<!-- ratio: WORKLOAD SLOW/FAST B -->` and
`<!-- /ratio -->` within a sentence. Both are replaced; `--check` only says whether they would be.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from results import FOLDER, Row, load, table
from speed import RATIOS
from workloads import WORKLOADS

ROOT = Path(__file__).parents[1]
PLACE = re.compile(r"(<!-- speed: (\S+)(.*?) -->\n).*?(<!-- /speed -->)", re.DOTALL)
RATIO = re.compile(r"(<!-- ratio: (\S+) (\S+)/(\S+) (\d+) -->).*?(<!-- /ratio -->)", re.DOTALL)


def filled(text: str, about: dict[str, str], rows: Sequence[Row]) -> str:
    """A document with its tables and ratios made anew; KeyError names what was not measured."""
    measured = [row for row in rows if row.threads == 1 and not row.mixed]

    def missing(what: str) -> KeyError:
        return KeyError(f"{what}: was not measured by {about['command']}")

    def divide(place: re.Match[str]) -> str:
        opening, workload, slow, fast, batch, closing = place.groups()
        ms = {row.contestant: row.ms for row in measured if row.workload == workload and row.batch == int(batch)}
        if not {slow, fast} <= {*ms}:
            raise missing(f"{workload} {slow}/{fast} {batch}")
        return f"{opening}{ms[slow] / ms[fast]:.2g}{closing}"

    def fill(place: re.Match[str]) -> str:
        opening, workload, contestants, closing = place.groups()
        shown = [row for row in measured if row.workload == workload]
        if contestants.split():
            shown = [row for row in shown if row.contestant in contestants.split()]
        if not shown:
            raise missing(workload)
        made = f"{WORKLOADS[workload].title}; one thread of {about['device']} ({about['vectors']}), {about['date']}:"
        return f"{opening}{made}\n\n{table(shown, RATIOS)}\n{closing}"

    return RATIO.sub(divide, PLACE.sub(fill, text))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE")
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a table is out of date")
    arguments = parser.parse_args()
    newest = max(FOLDER.glob("*.json"), default=None, key=lambda path: (path.name[:10], path.stat().st_mtime))
    file = arguments.file or newest
    if file is None or not file.is_file():
        parser.error(f"{file or FOLDER}: nothing was measured; `python benchmarks/speed.py --save` does")
    about, rows = load(file)
    stale = []
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = document.read_text()
        if (made := filled(text, about, rows)) != text:
            stale.append(document)
            if not arguments.check:
                document.write_text(made)
                print(document.relative_to(ROOT))
    if arguments.check and stale:
        sys.exit(f"out of date: {', '.join(str(document.relative_to(ROOT)) for document in stale)}")


if __name__ == "__main__":
    main()
