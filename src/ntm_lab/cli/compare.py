"""`ntm-lab compare RUN_OR_SWEEP…`: any runs as a table and a figure, with the statistics of several seeds."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ntm_lab.checks import not_negative
from ntm_lab.cli.evaluate import writing
from ntm_lab.files import write_whole
from ntm_lab.studies.arms import differing, find_key, name_arms
from ntm_lab.studies.comparison import OPTIMUM, draw_comparison, per_run, tabulate
from ntm_lab.studies.results import CURVES, ended, read_curves, read_runs

FIGURE, NUMBERS = "compare.png", "compare.csv"
MAKER = "ntm-lab compare"
MARKS = {FIGURE: MAKER.encode(), NUMBERS: b"arm,run,"}  # how they begin: by which they are known again
MANY = 3  # settings; where arms differ in more, the folders that were given tell them apart better


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", type=Path, nargs="+", metavar="RUN_OR_SWEEP", help="a folder with ended runs in it")
    parser.add_argument(
        "--by",
        metavar="KEY[,KEY]",
        help="the settings that make the groups, such as controller,data.batch_size, or `folder`: as they are given "
        f"(default: whatever differs besides the seed, or folder if that is nothing or more than {MANY} settings)",
    )
    parser.add_argument(
        "--solved", type=float, default=0.01, metavar="BITS", help="wrong bits or symbols per sequence (default: 0.01)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="FOLDER", help=f"where {FIGURE} and {NUMBERS} go (default: here)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the table; write the figure, and a row for every run. Folders without an ended run are left out.

    Raises FileNotFoundError where all are, ValueError for damaged files, unknown keys and where a file that
    it did not make would be overwritten.
    """
    not_negative("--solved", arguments.solved)
    folders = with_ended_runs(arguments.folders)
    runs = gather(folders)
    keys = choose_keys(runs, arguments.by)
    runs["arm"] = name_arms(runs, keys)
    print(tabulate(runs, arguments.solved))
    hidden = {key: None for _, arm in runs.groupby("arm", observed=True) for key in differing(arm)}
    if hidden:
        print(f"\nRuns of one column differ in {', '.join(hidden)}; --by KEY,KEY tells them apart.")

    has_curves = any((Path(path) / CURVES).is_file() for path in runs["run"])
    names = ["val/cost", "val/wrong_*", OPTIMUM]
    figure = draw_comparison(runs, read_curves(folders, names) if has_curves else None)
    numbers = per_run(runs, keys).to_csv(index=False)
    out = arguments.out
    with writing(out, "--out FOLDER"):
        out.mkdir(parents=True, exist_ok=True)
        _refuse_strangers(out)
        figure.savefig(out / FIGURE, metadata={"Software": MAKER})
        write_whole(out / NUMBERS, numbers)
    print(f"\nfigure and numbers in {out}: {FIGURE}, {NUMBERS}")


def with_ended_runs(folders: Sequence[Path]) -> list[Path]:
    """Those of the folders in which a run has ended; a line on stderr for each other one. FileNotFoundError where none
    has, or one is not there."""
    found, empty = [], []
    for folder in folders:
        try:
            ended(folder)
            found.append(folder)
        except FileNotFoundError as error:
            if not folder.exists() or len(folders) == 1:
                raise
            empty.append(str(error))
    if not found:
        raise FileNotFoundError("; ".join(empty))
    for line in empty:
        print(f"left out: {line}", file=sys.stderr)
    return found


def gather(folders: Sequence[Path]) -> pd.DataFrame:
    """All ended runs of the folders in their order, with a column ``folder``: the name of the one each is in."""
    names = [folder.resolve().name for folder in folders]
    found: dict[str, str] = {}
    for folder, name in zip(folders, names, strict=True):
        for path in ended(folder):
            found.setdefault(str(path), name if names.count(name) == 1 else str(folder))
    runs = read_runs(folders)
    runs = runs.assign(folder=runs["run"].map(found))
    return runs.set_index("run").loc[[*found]].reset_index()


def choose_keys(runs: pd.DataFrame, by: str | None) -> list[str]:
    """The columns that make the groups: what was asked for, or else what says most with the least."""
    if by is not None:
        return list(dict.fromkeys(find_key(name.strip(), runs) for name in by.split(",")))
    keys = differing(runs)
    several = runs["folder"].nunique() > 1
    seeds_in_folders = len(runs) > runs["folder"].nunique()
    if several and (len(keys) > MANY or (not keys and seeds_in_folders)):
        return ["folder"]
    return keys or ([] if several else ["folder"])


def _refuse_strangers(out: Path) -> None:
    """ValueError if files of these names are there that this command did not write."""
    for name, mark in MARKS.items():
        path = out / name
        if path.exists() and mark not in path.read_bytes()[:500]:
            raise ValueError(f"{path}: was not made by {MAKER} and is left alone; give another place with --out FOLDER")
