"""`ntm-lab reproduce NAME…`: train what a claim needs, draw it, judge it, and write the page."""

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
        "studies", nargs="*", metavar="NAME", help=f"a study (--list names them), or {pages}: all studies of that page"
    )
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--list", action="store_true", help="tell of each study what it asks and how far its jobs are")
    other.add_argument("--redraw", action="store_true", help="figure, verdict and page from the table, no training")
    parser.add_argument("--full", action="store_true", help="the long form, with more seeds and larger budgets")
    parser.add_argument(
        "--launcher",
        choices=(*LAUNCHERS, SUBMITIT),
        default="joblib",
        help=f"what runs the jobs (default: %(default)s, on all cores here; {SUBMITIT}: on a Slurm cluster)",
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="at once, each on one core (default: as many as cores)")
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="of the launcher, e.g. partition=cpu"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="of runs and page (default: runs/ and the page's name)",
    )
    parser.add_argument(
        "--publish", type=Path, metavar="FILE", help="write the page here too, with pictures and tables beside it"
    )


def run(arguments: argparse.Namespace) -> None:
    """Make what is asked for, each study whatever becomes of the others.

    Raises ValueError for a name that there is not, and at the end if anything failed; FileNotFoundError outside a clone
    of the project.
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
        raise ValueError("NAME: must be one of those that --list names, or all")
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
        raise ValueError(f"{failed} of the jobs and studies failed; the page is made of the others")


def folder_of(name: str, arguments: argparse.Namespace) -> Path:
    """Where the runs of a page are, and the page itself."""
    return (arguments.out or Path("runs") / name) / ("full" if arguments.full else "quick")


def find_sweeps(studies: Sequence[Study], out: Path, full: bool) -> dict[str, Sweep]:
    """The sweeps that studies of one page need, by name."""
    needed = {name: study.page for study in studies for name in study.sweeps}
    return {name: find_sweep(name, full, out, page) for name, page in needed.items()}


def reproduce(studies: Sequence[Study], sweeps: Mapping[str, Sweep], out: Path, arguments: argparse.Namespace) -> int:
    """Train what is missing, measure, judge, draw; how many jobs and studies failed, each of which is told."""
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
        """Run a sweep, once for all studies; its failed jobs."""
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
    """A bar of all jobs on stderr, if someone looks at it; redrawn whenever it is updated, though nothing ended."""
    total, ended = sum(len(sweep.jobs) for sweep in sweeps), sum(sweep.ended() for sweep in sweeps)
    hidden = None if sweeps else True
    return tqdm(total=total, initial=ended, unit=" jobs", miniters=0, smoothing=0, dynamic_ncols=True, disable=hidden)


def overview(study: Study, sweeps: Sequence[Sweep]) -> str:
    """The claim of a study, and how many jobs of its sweeps have ended."""
    jobs = ", ".join(f"{sweep.name} {sweep.ended()}/{len(sweep.jobs)}" for sweep in sweeps)
    claim = fill(study.claim, 100, initial_indent="    ", subsequent_indent="    ")
    return "\n".join([study.name, claim, f"    jobs that have ended: {jobs or 'needs none'}"])
