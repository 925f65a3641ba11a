"""Imports run one way: reads the import statements under src/ntm_lab and fails on an arrow that runs back."""

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

# What each module or package stands on directly; it may import these, what they stand on, and its own package.
STANDS_ON = {
    "checks": "",
    "types": "checks",
    # the models
    "ops": "types",
    "memory": "ops",
    "controllers": "memory",
    "models": "controllers",
    # the data
    "tasks": "types",
    "curricula": "tasks",
    "data": "curricula",
    # training, which is handed a finished model and task
    "metrics": "types",
    "penalties": "types",
    "nonfinite": "types",
    "optim": "types",
    "checkpoints": "types",
    "learner": "data metrics penalties nonfinite optim checkpoints",
    "callbacks": "learner",
    "logs": "learner",
    # what people use
    "trained": "models tasks",
    "shipped": "trained data",
    "runs": "models callbacks logs shipped",
    "jobs": "runs",
    "hub": "runs",
    "evaluation": "runs",
    "figures": "evaluation",
    "studies": "figures jobs",
    "cli": "studies",
    "__init__": "runs",
}
KNOWS_HYDRA = {"runs", "jobs"}


def below(place: str) -> set[str]:
    """Everything that a module or package stands on, directly or not."""
    direct = set(STANDS_ON[place].split())
    return direct.union(*(below(lower) for lower in direct))


def place_of(path: Path) -> str:
    """``models`` for models/ntm.py, ``learner`` for learner.py."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(text: str, package: str = "ntm_lab") -> Iterator[str]:
    """Every module that a source imports, at its top or in a function; ``from a import b`` may mean ``a.b``."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports_of(path: Path) -> set[str]:
    return set(imported(path.read_text(), ".".join(("ntm_lab", *path.relative_to(SOURCE).parts[:-1]))))


each_module = pytest.mark.parametrize(
    "path", [pytest.param(path, id=str(path.relative_to(SOURCE))) for path in sorted(SOURCE.rglob("*.py"))]
)


@each_module
def test_imports_run_one_way(path: Path) -> None:
    place = place_of(path)
    assert place in STANDS_ON, f"{place} is new: give it a place in STANDS_ON of {Path(__file__).name}"
    allowed = below(place) | {place}
    own = (name.split(".") for name in imports_of(path) if name.split(".")[0] == "ntm_lab")
    backwards = {".".join(parts) for parts in own if parts[1] not in allowed}
    assert not backwards, f"{place} may import {sorted(below(place)) or 'nothing'} of ntm_lab, and not {backwards}"


@each_module
def test_only_runs_and_jobs_know_hydra(path: Path) -> None:
    known = {name.split(".")[0] for name in imports_of(path)} & {"hydra", "omegaconf"}
    assert not known or place_of(path) in KNOWS_HYDRA


@each_module
def test_only_a_backend_knows_its_compiler(path: Path) -> None:
    known = {name.split(".")[0] for name in imports_of(path)} & {"numba", "llvmlite", "triton"}
    assert not known or path.stem in {f"{backend}_{part}" for backend in FAST for part in ("backend", "kernels")}


@pytest.mark.parametrize(
    ("place", "stranger"),
    [
        ("models", "tasks"),
        ("models", "curricula"),
        ("models", "data"),
        ("tasks", "ops"),
        ("tasks", "models"),
        ("learner", "models"),
        ("callbacks", "figures"),
    ],
)
def test_strangers_stay_strangers(place: str, stranger: str) -> None:
    """Whatever is added to STANDS_ON: models know no task, tasks no model; training and callbacks are handed theirs."""
    assert stranger not in below(place)


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("import ntm_lab.nn.ntm as ntm, hydra", {"ntm_lab.nn.ntm", "hydra"}),
        ("from ntm_lab import learner", {"ntm_lab.training.learner"}),
        ("from ..learner import Learner", {"ntm_lab.training.learner.Learner"}),
        ("from . import copy", {"ntm_lab.tasks.copy"}),
        ("def late():\n    from ntm_lab.runs.run import load", {"ntm_lab.runs.run.load"}),
    ],
)
def test_every_kind_of_import_is_seen(statement: str, names: set[str]) -> None:
    assert set(imported(statement, "ntm_lab.tasks")) == names


def test_the_package_itself_imports_nothing_heavy() -> None:
    """`ntm_lab.load` brings Lightning and Hydra in only when it is asked for."""
    assert not brought_in("import ntm_lab", {"torch", "pytorch_lightning", "hydra", "numba", "triton"})


def test_models_bring_in_no_compiler() -> None:
    """A backend does when it first runs."""
    assert not brought_in("import ntm_lab.nn, ntm_lab.fast.backends, ntm_lab.fast.sequence", {"numba", "llvmlite"})
    assert brought_in("import ntm_lab.fast.numba.backend", {"numba", "llvmlite"}) == {"numba", "llvmlite"}


def brought_in(statement: str, modules: set[str]) -> set[str]:
    """Which of the modules are there in a process after the statement."""
    code = f"{statement}; import sys; print(*({modules!r} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())
