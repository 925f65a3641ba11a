"""Where compiled code is kept, and that the backend runs where it cannot be kept."""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import ntm_lab
from ntm_lab.fast.numba import compiling


@pytest.fixture(autouse=True)
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A copy of the kernels' sources is what is compiled, and a folder ``cache`` is NUMBA_CACHE_DIR."""
    copies = {}
    for number, (folder, files) in enumerate(compiling.SOURCES.items()):
        shutil.copytree(folder, tmp_path / str(number), ignore=shutil.ignore_patterns("__pycache__"))
        copies[tmp_path / str(number)] = files
    monkeypatch.setattr(compiling, "SOURCES", copies)
    monkeypatch.setattr(compiling, "__file__", str(tmp_path / "0" / "compiling.py"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(compiling, "cache_folder", compiling.cache_folder.__wrapped__)
    return [file for folder, files in copies.items() for file in folder.glob(files)]


def twice(number: int) -> int:
    return 2 * number


def test_any_change_of_a_source_gives_a_folder_of_its_own_and_ends_that_of_before(
    sources: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "cache" / "another").mkdir(parents=True)
    folders = [compiling.cache_folder()]
    for source in sources:
        with source.open("a") as file:
            file.write("#")
        folders.append(compiling.cache_folder())
    needed = {"compiling.py", "content.py", "matching.py", "contract.py", "location.py"}
    assert needed <= {source.name for source in sources}
    assert len(set(folders)) == len(folders)
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"another", folders[-1].name}  # type: ignore[union-attr]


def test_two_copies_of_the_package_keep_their_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compiling.cache_folder()
    monkeypatch.setattr(compiling, "__file__", str(tmp_path / "elsewhere" / "compiling.py"))
    second = compiling.cache_folder()
    assert first != second and first is not None and first.exists()


def test_without_a_setting_it_is_beside_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    folder = compiling.cache_folder()
    assert folder is not None and folder.parent == tmp_path / "0" / "__pycache__"


def test_an_entry_is_kept_in_the_folder_and_other_functions_in_their_own_places(tmp_path: Path) -> None:
    before = numba.config.CACHE_DIR
    entry = compiling.with_globals(twice, "twice_of_this", {})
    assert before == numba.config.CACHE_DIR
    other = numba.njit(cache=True)(twice)
    assert entry(2) == other(2) == 4
    folder = compiling.cache_folder()
    assert folder is not None and folder in Path(entry.stats.cache_path).parents  # type: ignore[attr-defined]
    assert folder not in Path(other.stats.cache_path).parents and (tmp_path / "cache") in folder.parents
    again = compiling.with_globals(twice, "twice_of_this", {})
    assert again(2) == 4 and sum(again.stats.cache_hits.values()) == 1  # type: ignore[attr-defined]
    renamed = compiling.with_globals(twice, "twice_of_that", {})
    assert renamed(2) == 4 and not renamed.stats.cache_hits  # type: ignore[attr-defined]


def test_where_no_folder_is_writable_functions_are_compiled_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    (tmp_path / "0" / "__pycache__").touch()
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(blocked))
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert compiling.with_globals(twice, "twice", {})(2) == 4
    (said,) = caplog.records
    assert said.levelno == logging.WARNING and str(blocked) in said.getMessage()
    assert said.getMessage().startswith("the numba backend is compiled anew in every process: ")


FORWARD = """
import logging, torch
from ntm_lab.nn import NTM
logging.basicConfig(format="%(message)s")
with torch.no_grad():
    print(NTM(5, 4, size=5, slots=7, width=3)(torch.zeros(1, 2, 5))[0].shape)
"""


def test_where_compiled_code_does_not_fit_on_the_disk_the_model_runs_and_says_so(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "NUMBA_OPT": "1"}
    environment["PYTHONPATH"] = str(Path(ntm_lab.__path__[0]).parent)
    command = [sys.executable, "-c", FORWARD]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, preexec_fn=limit)
    assert ended.stdout == "torch.Size([1, 2, 4])\n"
    told = [line for line in ended.stderr.splitlines() if line.startswith("the numba backend is compiled anew in the")]
    assert len(told) == 1 and "File too large" in told[0]
