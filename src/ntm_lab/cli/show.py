"""`ntm-lab show MODEL`: a page in which one watches a model at work."""

import argparse
import tempfile
import webbrowser
from pathlib import Path

from ntm_lab.cli.evaluate import add_model_argument, add_trust_argument, writing
from ntm_lab.evaluation.difficulties import parse
from ntm_lab.viewer.page import make_page
from ntm_lab.zoo.find import find
from ntm_lab.zoo.moments import moments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_argument(parser)
    parser.add_argument("beside", metavar="MODEL", nargs="?", help="another model of the same task, beside the first")
    parser.add_argument(
        "--difficulty",
        nargs="+",
        default=[],
        metavar="AXIS=VALUE",
        help="difficulty of the first sequence, e.g. length=60 (default of an axis: its hardest value in training)",
    )
    add_trust_argument(parser)
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the first sequence (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the page to this file and open no browser")


def run(arguments: argparse.Namespace) -> None:
    """Make the page, and open it in a browser or say where it is.

    Raises FileNotFoundError and ValueError as `find` and `make_page` do, and ValueError for a difficulty that the task
    does not have.
    """
    sources = [source for source in (arguments.model, arguments.beside) if source]
    found = [find(source, trust=arguments.trust, root=arguments.root) for source in sources]
    task = found[0].task
    difficulties = parse(arguments.difficulty, task)
    if len(difficulties) > 1:
        raise ValueError(f"--difficulty {' '.join(arguments.difficulty)}: must be one, not {len(difficulties)}")
    names = [trained.folder.resolve().name for trained in found]
    models = [(trained.model, moments(trained)) for trained in found]
    page = make_page(models, task, names, arguments.seed, difficulties[0])
    path = arguments.out or Path(tempfile.mkdtemp(prefix="ntm-lab-")) / f"{'-and-'.join(names)}.html"
    with writing(path, "--out FILE"):
        page.save(path)
    print(f"page in {path}")
    if not arguments.out and not webbrowser.open(path.resolve().as_uri()):
        print("no browser was found here; open that file in any")
