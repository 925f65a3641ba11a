"""`ntm-lab reproduce STUDY…`: train what a claim needs, draw it, judge it, and write the page."""

import argparse
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from textwrap import fill
from typing import NoReturn

import torch
from tqdm import tqdm

from ntm_lab.checks import at_least
from ntm_lab.cli.evaluate import writing
from ntm_lab.studies import Study, page
from ntm_lab.studies.pages import PAGES, find_studies, studies_of
from ntm_lab.studies.sweeps import LAUNCHERS, Sweep, cores, find_sweep, launcher_overrides, run_sweep

SUBMITIT = "submitit"  # short for submitit_slurm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pages = " or ".join(PAGES)
    parser.add_argument(
        "studies", nargs="*", metavar="STUDY", help=f"a study (--list names them), or {pages}: all studies of that page"
    )
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--list", action="store_true", help="print the claim of each study, and how many of its jobs have ended"
    )
    other.add_argument(
        "--redraw", action="store_true", help="make figure, verdict and page from the table, without training"
    )
    parser.add_argument("--full", action="store_true", help="run the long form, with more seeds and larger budgets")
    parser.add_argument(
        "--launcher",
        choices=(*LAUNCHERS, SUBMITIT),
        default="joblib",
        help=f"what runs the jobs (default: %(default)s, on all cores here; {SUBMITIT}: on a Slurm cluster)",
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="jobs at once, each on one core (default: the number of cores)"
    )
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="option of the launcher, e.g. partition=cpu"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="for the runs and the page (default: runs/PAGE)",
    )
    parser.add_argument(
        "--publish",
        type=Path,
        metavar="FILE",
        help="also write the page to this file, with pictures and tables beside it",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the studies, each independently of the others.

    Raises ValueError for an unknown study, and at the end if anything failed; FileNotFoundError outside a clone of the
    project.
    """
    if arguments.jobs is not None:
        at_least("--jobs", arguments.jobs, 1)
    if arguments.list:
        for name in PAGES:
            sweeps = find_sweeps(studies_of(name), folder_of(name, arguments), arguments.full)
            for study in studies_of(name):
                print(overview(study, [sweeps[needed] for needed in study.sweeps]))
        return
    studies = find_studies(arguments.studies)
    if not studies:
        raise ValueError("STUDY: must be one of those that --list names, or a page")
    name = studies[0].page
    out = folder_of(name, arguments)
    sweeps = {} if arguments.redraw else find_sweeps(studies, out, arguments.full)
    with writing(out, "--out FOLDER"):
        out.mkdir(parents=True, exist_ok=True)
    torch.set_flush_denormal(True)  # as in training, for what is measured on trained models
    failed = reproduce(studies, sweeps, out, arguments)
    print(f"page in {page.file_of(name, out)}")
    if arguments.publish:
        with writing(arguments.publish, "--publish FILE"):
            page.publish(name, out, arguments.publish)
    if failed:
        raise ValueError(f"{failed} of the jobs and studies failed; the page shows the others")


def folder_of(name: str, arguments: argparse.Namespace) -> Path:
    """Where the runs of a page are, and the page itself."""
    return (arguments.out or Path("runs") / name) / ("full" if arguments.full else "quick")


def find_sweeps(studies: Sequence[Study], out: Path, full: bool) -> dict[str, Sweep]:
    """The sweeps that studies of one page need, by name."""
    needed = {name: study.page for study in studies for name in study.sweeps}
    return {name: find_sweep(name, full, out, page) for name, page in needed.items()}


def reproduce(studies: Sequence[Study], sweeps: Mapping[str, Sweep], out: Path, arguments: argparse.Namespace) -> int:
    """Train what is missing, measure, judge and draw; print every failed job and study, and return their number."""
    launcher = "submitit_slurm" if arguments.launcher == SUBMITIT else arguments.launcher
    at_once = 1 if launcher == "basic" else arguments.jobs or cores()
    overrides = launcher_overrides(launcher, arguments.jobs, arguments.option)
    problems: list[str] = []

    def tell(lines: list[str]) -> list[str]:
        problems.extend(lines)
        for line in lines:
            bar.write(line, file=sys.stderr)
        return lines

    def look() -> None:
        bar.update(sum(sweep.ended() for sweep in sweeps.values()) - bar.n)

    @cache
    def train(name: str) -> list[str]:
        """Run a sweep, once for all studies, and return its failed jobs."""
        bar.set_description(name)
        failed = run_sweep(sweeps[name], overrides, look)
        look()
        return tell(failed)

    with progress(sweeps.values()) as bar:
        for study in studies:
            try:
                if not arguments.redraw:
                    failed = [line for name in study.sweeps for line in train(name)]
                    command = f"ntm-lab reproduce {study.name}{' --full' * arguments.full}"
                    folders = {name: sweeps[name].folder for name in study.sweeps}
                    made = {"command": command, "cores": at_once, "failed": failed}
                    page.measure(study, folders, arguments.full, out, made)
                verdict = page.draw(study, out)
                bar.write(f"{study.name}: {verdict.outcome}: {verdict.sentence}")
            except (ValueError, FileNotFoundError) as error:
                tell([f"{study.name}: {error}"])
    return len(problems)


def progress(sweeps: Collection[Sweep]) -> "tqdm[NoReturn]":
    """A progress bar over all jobs on stderr if that is a terminal; redrawn at every update, even if no job ended."""
    total, ended = sum(len(sweep.jobs) for sweep in sweeps), sum(sweep.ended() for sweep in sweeps)
    hidden = None if sweeps else True
    return tqdm(total=total, initial=ended, unit=" jobs", miniters=0, smoothing=0, dynamic_ncols=True, disable=hidden)


def overview(study: Study, sweeps: Sequence[Sweep]) -> str:
    """The claim of a study, and how many jobs of its sweeps have ended."""
    jobs = ", ".join(f"{sweep.name} {sweep.ended()}/{len(sweep.jobs)}" for sweep in sweeps)
    claim = fill(study.claim, 100, initial_indent="    ", subsequent_indent="    ")
    return "\n".join([study.name, claim, f"    jobs that have ended: {jobs or 'needs none'}"])
