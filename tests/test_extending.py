"""docs/extending.md, to the letter: its files in a fresh folder, its commands with ntm_lab as a wheel installs it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text()
OVERRIDES = "max_sequences=32 data.validate_every=16 data.validation_sequences=4 test.sequences=8 callbacks=none"
PIP = [sys.executable, "-m", "pip"]
OFFLINE = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]


class Block(NamedTuple):
    """A block of code of the page: a file, whose name stands above it, or commands."""

    name: str
    language: str
    text: str


BLOCKS = [
    Block(*match) for match in re.findall(r"(?:^`([\w./]+)`\n\n)?^```(\w+)\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel of ntm_lab is installed, and nothing else."""
    site = tmp_path_factory.mktemp("site")
    clone = tmp_path_factory.mktemp("clone")
    for part in ("src", "conf"):
        shutil.copytree(ROOT / part, clone / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / part, clone)
    subprocess.run([*PIP, "install", *OFFLINE, "--target", site, clone], check=True)
    return site


@pytest.fixture(scope="module")
def folder(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a person who follows the page, with all its files."""
    folder = tmp_path_factory.mktemp("mine")
    for block in BLOCKS:
        if block.name:
            (folder / block.name).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.name).write_text(block.text)
    return folder


def run(command: Sequence[str | Path], folder: Path, site: Path) -> str:
    """What a command prints; AssertionError, which shows all of it, if it fails."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((".", str(site))), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}"
    return ended.stdout


def as_here(line: str, site: Path) -> list[str]:
    """A command of the page as it runs here: short, without a network, into a folder of its own."""
    words = line.split()
    if words[0] == "ntm-lab":
        shorter = {"train": OVERRIDES, "evaluate": "--sequences 8"}.get(words[1], "")
        return [sys.executable, str(site / "bin" / "ntm-lab"), *words[1:], *shorter.split()]
    if words[:2] == ["pip", "install"]:
        return [*PIP, "install", *OFFLINE, "--target", str(site), *words[2:]]
    raise AssertionError(f"{line}: no test knows how to run this")


def test_the_page_is_true(folder: Path, site: Path) -> None:
    """Every command and every script, in their order; one that names a file of the page has it by then."""
    printed: dict[str, str] = {}
    for block in BLOCKS:
        if block.language == "sh":
            for line in block.text.splitlines():
                if not line.startswith("export "):
                    printed[line] = run(as_here(line, site), folder, site)
        elif block.language == "python" and block.name != "mine.py":
            printed[block.name] = run([sys.executable, block.name], folder, site)
    trained = next(text for line, text in printed.items() if line.startswith("ntm-lab train"))
    assert "tape on mirror" in trained and "runs/tape" in trained
    evaluated = next(text for line, text in printed.items() if line.startswith("ntm-lab evaluate"))
    assert re.search(r"length 20 +8 +64 ", evaluated)
    assert "length 10" in printed["try.py"]
    assert {"card.json", "model.safetensors"} == {path.name for path in (folder / "given/tape").iterdir()}


def test_it_was_the_wheel(folder: Path, site: Path) -> None:
    where = run([sys.executable, "-c", "import ntm_lab; print(ntm_lab.__file__)"], folder, site)
    assert Path(where.strip()) == site / "ntm_lab" / "__init__.py"
    assert (site / "ntm_lab" / "py.typed").is_file()
