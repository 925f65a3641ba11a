"""Imports run one way: reads the import statements under src/ntm_lab and fails on an arrow that is not listed here."""

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ntm_lab
from ntm_lab.fast.backends import FAST

SOURCE = Path(ntm_lab.__file__).parent

# What each room may import, beside itself. A room stands only on rooms above it in this list.
STANDS_ON = {
    "checks": "",
    "types": "checks",
    "files": "",
    "equations": "types",
    "fast": "checks types equations",
    "nn": "checks types equations fast",  # no task: a model is told its sizes
    "tasks": "checks types",  # no model
    "evaluation": "checks types files nn tasks",  # it takes any model, however it was trained
    "figures": "checks types files nn tasks evaluation",
    "training": "checks types files fast tasks",  # is handed a finished model, and whatever draws
    "runs": "checks types files tasks evaluation training",
    "zoo": "checks types files nn tasks training runs",
    "studies": "checks types files nn tasks runs zoo evaluation figures",
    "viewer": "checks types files nn tasks zoo evaluation figures",
    "cli": "checks types files nn tasks runs zoo evaluation figures studies viewer",
    "__init__": "nn tasks runs zoo evaluation figures viewer",
}
KNOW_HYDRA = {"runs", "zoo", "cli/train.py"}


def place_of(path: Path) -> str:
    """``nn`` for nn/network.py, ``types`` for types.py."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(text: str, package: str = "ntm_lab") -> Iterator[str]:
    """Every module that a source imports, at its top or in a function; ``from a import b`` may mean ``a.b``."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports() -> Iterator[tuple[Path, str]]:
    """Every file of the package with every module that it imports."""
    for path in sorted(SOURCE.rglob("*.py")):
        package = ".".join(("ntm_lab", *path.relative_to(SOURCE).parts[:-1]))
        yield from ((path, name) for name in imported(path.read_text(), package))


def arrows(strangers: set[str]) -> Iterator[tuple[str, str]]:
    """File and top module of every import of a package that is not ours."""
    for path, name in imports():
        if name.split(".")[0] in strangers:
            yield str(path.relative_to(SOURCE)), name.split(".")[0]


def test_imports_run_one_way() -> None:
    order = [*STANDS_ON]
    for place, below in STANDS_ON.items():
        assert set(below.split()) <= set(order[: order.index(place)]), f"{place} must come after all of: {below}"
    backwards = []
    for path, name in imports():
        place, parts = place_of(path), name.split(".")
        assert place in STANDS_ON, f"{place} is a new room: give it a place in STANDS_ON of {Path(__file__).name}"
        target = parts[1] if parts[1:] and (parts[1] in STANDS_ON) else "__init__"
        if name == "ntm_lab":
            continue  # the package alone, to see where it is
        if parts[0] == "ntm_lab" and target != place and target not in STANDS_ON[place].split():
            backwards.append(f"{path.relative_to(SOURCE)} -> {name} ({place} may import: {STANDS_ON[place]})")
    assert not backwards, "\n".join(["imports that run backwards:", *backwards])


def test_only_runs_know_hydra() -> None:
    known = {
        f"{file} -> {name}"
        for file, name in arrows({"hydra", "omegaconf"})
        if not KNOW_HYDRA & {file, file.split("/")[0]}
    }
    assert not known, f"only {sorted(KNOW_HYDRA)} may know Hydra, but also do {sorted(known)}"


def test_only_a_backend_knows_its_compiler() -> None:
    compilers = {"numba": "numba", "llvmlite": "numba", "triton": "triton"}
    assert {*compilers.values()} == {*FAST}
    known = {
        f"{file} -> {name}" for file, name in arrows({*compilers}) if not file.startswith(f"fast/{compilers[name]}/")
    }
    assert not known, f"a compiler is known outside its folder of fast/: {sorted(known)}"


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("import ntm_lab.nn.network as network, hydra", {"ntm_lab.nn.network", "hydra"}),
        ("from ntm_lab import tasks", {"ntm_lab.tasks"}),
        ("from ..training.learner import Learner", {"ntm_lab.training.learner.Learner"}),
        ("from . import copy", {"ntm_lab.tasks.copy"}),
        ("def late():\n    from ntm_lab.runs.run import load", {"ntm_lab.runs.run.load"}),
    ],
)
def test_every_kind_of_import_is_seen(statement: str, names: set[str]) -> None:
    assert set(imported(statement, "ntm_lab.tasks")) == names


def test_few_files_stand_outside_a_room() -> None:
    files = sorted(path.name for path in SOURCE.glob("*.py"))
    assert len(files) <= 6, f"more than six files at the top of ntm_lab: {files}"


IN_TURN = {  # what a process runs, one after the other, and what has not come with it
    "for models": (
        ("import ntm_lab", "torch numba triton hydra pytorch_lightning"),  # each comes when something asks for it
        ("import ntm_lab.nn, ntm_lab.tasks, ntm_lab.fast.sequence", "numba llvmlite triton hydra pytorch_lightning"),
        ("import ntm_lab.evaluation, ntm_lab.figures", "numba triton hydra omegaconf pytorch_lightning"),
        ("from ntm_lab.figures import draw_episode", "numba triton hydra omegaconf pytorch_lightning"),
    ),
    "for runs": (
        ("import ntm_lab.cli", "hydra torch"),
        ("import ntm_lab.figures.panels", "torch hydra matplotlib.pyplot"),  # each picture is drawn by a process
        ("from ntm_lab.cli.train import CONF, hydra", "torch numba pytorch_lightning joblib"),
        (  # by whatever hands the jobs of a sweep to others, and before a single run
            "with hydra.initialize_config_dir(str(CONF), version_base='1.3'): hydra.compose('config')",
            "torch numba pytorch_lightning joblib",
        ),
    ),
}


@pytest.mark.parametrize("chain", IN_TURN)
def test_nothing_heavy_comes_before_it_is_needed(chain: str) -> None:
    """At last a backend comes, by which this is known to look in the right place."""
    code = ["import sys"]
    for statement, absent in (*IN_TURN[chain], ("import ntm_lab.fast.numba.backend", "numba llvmlite torch")):
        code += [statement, f"print(*({set(absent.split())} & sys.modules.keys()))"]
    result = subprocess.run([sys.executable, "-c", "\n".join(code)], capture_output=True, text=True, check=True)
    *brought_in, compilers = [line.split() for line in result.stdout.split("\n")[:-1]]
    statements = [statement for statement, _ in IN_TURN[chain]]
    assert dict(zip(statements, brought_in, strict=True)) == {statement: [] for statement in statements}
    assert sorted(compilers) == ["llvmlite", "numba", "torch"]
