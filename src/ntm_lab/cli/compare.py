"""`ntm-lab compare FOLDER…`: any runs as a table with statistics over seeds, and a figure."""

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
MARKS = {FIGURE: MAKER.encode(), NUMBERS: b"arm,run,"}  # in their first bytes, to recognise our own files
MANY = 3  # settings; arms that differ in more are told apart by the given folders


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="a run or a sweep")
    parser.add_argument(
        "--by",
        metavar="KEY[,KEY]",
        help="settings that make the columns, such as controller,data.batch_size; `folder`: a column per FOLDER "
        f"(default: all settings that differ, without the seed; folder if there are none or more than {MANY})",
    )
    parser.add_argument(
        "--solved",
        type=float,
        default=0.01,
        metavar="BITS",
        help="count a run as solved up to this many wrong bits or symbols per sequence (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(),
        metavar="FOLDER",
        help=f"for {FIGURE} and {NUMBERS} (default: the current one)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the table, and write the figure and a row for every run. Folders without an ended run are left out.

    Raises FileNotFoundError if no folder is left, ValueError for damaged files and unknown keys, and if a file made by
    something else would be overwritten.
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
    """The folders in which a run has ended, with a line on stderr for each of the others.

    Raises FileNotFoundError if no run has ended in any, or a folder does not exist.
    """
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
    """All ended runs of the folders, in order, with a column ``folder``: the name of the folder each is in."""
    names = [folder.resolve().name for folder in folders]
    found: dict[str, str] = {}
    for folder, name in zip(folders, names, strict=True):
        for path in ended(folder):
            found.setdefault(str(path), name if names.count(name) == 1 else str(folder))
    runs = read_runs(folders)
    runs = runs.assign(folder=runs["run"].map(found))
    return runs.set_index("run").loc[[*found]].reset_index()


def choose_keys(runs: pd.DataFrame, by: str | None) -> list[str]:
    """The columns that make the arms: those of ``--by``, or else the settings that differ."""
    if by is not None:
        return list(dict.fromkeys(find_key(name.strip(), runs) for name in by.split(",")))
    keys = differing(runs)
    several = runs["folder"].nunique() > 1
    seeds_in_folders = len(runs) > runs["folder"].nunique()
    if several and (len(keys) > MANY or (not keys and seeds_in_folders)):
        return ["folder"]
    return keys or ([] if several else ["folder"])


def _refuse_strangers(out: Path) -> None:
    """Raise ValueError if a file of these names exists that this command did not write."""
    for name, mark in MARKS.items():
        path = out / name
        if path.exists() and mark not in path.read_bytes()[:500]:
            raise ValueError(f"{path}: was not made by {MAKER} and is left alone; give another place with --out FOLDER")
