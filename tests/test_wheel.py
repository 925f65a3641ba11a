"""The wheel brings everything: its settings are in it, and `ntm-lab train` works where there is no clone; it was built
as a release is, so that its README leads to the repository."""

import json
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TINY = [
    *("data.batch_size=4", "data.validate_every=8", "data.validation_sequences=4", "data.validation_rungs=1"),
    *("max_sequences=8", "test.sequences=4", "test.difficulties=null", "logger=csv", "callbacks=none"),
    *("memory.slots=8", "controller.size=8", "backend=reference"),
]
HOME = "https://host.example/me/lab"
RELEASE = {"GITHUB_SERVER_URL": "https://host.example", "GITHUB_REPOSITORY": "me/lab", "GITHUB_REF_NAME": "v9"}
OWN_TASK = "_target_: own.tasks.Short\nlengths: [1, 3]\nbits: 2\n"
OWN_CLASS = "from ntm_lab.tasks import Copy\n\n\nclass Short(Copy):\n    pass\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with the wheel in it, and nothing else of ours."""
    folder = tmp_path_factory.mktemp("wheel")
    build = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    environment = os.environ | RELEASE
    name = subprocess.run(
        [sys.executable, "-c", build], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(folder / name.stdout.split()[-1]) as wheel:
        wheel.extractall(folder / "packages")
    return folder / "packages"


def ntm_lab(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a folder of its own; the wheel and what is beside it come before everything else."""
    environment = os.environ | {"PYTHONPATH": f"{installed}{os.pathsep}{folder}", "OMP_NUM_THREADS": "1"}
    start = "from ntm_lab.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-c", start, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_the_settings_are_in_the_wheel(installed: Path) -> None:
    ours = {path.relative_to(ROOT) for path in (ROOT / "conf").rglob("*.yaml")}
    assert {path.relative_to(installed / "ntm_lab") for path in (installed / "ntm_lab").rglob("*.yaml")} == ours


def test_links_of_a_release_lead_to_the_repository(installed: Path) -> None:
    (folder,) = installed.glob("ntm_lab-*.dist-info")
    about = Distribution.at(folder).metadata
    assert f"Changelog, {HOME}/blob/v9/CHANGELOG.md" in about.get_all("Project-URL")
    text = about.get_payload()  # the README
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert f"{HOME}/raw/v9/docs/copy.gif" in targets and f"{HOME}/blob/v9/docs/tasks.md" in targets
    assert all(target.startswith("https://") for target in targets)
    ours = {target.partition("/v9/")[2] for target in targets if target.startswith(HOME)}
    assert not [path for path in ours if not (ROOT / path).is_file()]


def test_it_trains_in_any_folder(installed: Path, tmp_path: Path) -> None:
    ended = ntm_lab(installed, tmp_path, "train", *TINY, "hydra.run.dir=run", "seed=3")
    assert ended.returncode == 0, ended.stderr
    assert json.loads((tmp_path / "run/results.json").read_text())["seed"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    helped = ntm_lab(installed, tmp_path, "train", "--help")
    assert helped.returncode == 0 and "associative_recall" in helped.stdout and "dnc, lstm, mann, ntm" in helped.stdout


def test_it_trains_on_a_task_of_ones_own(installed: Path, tmp_path: Path) -> None:
    """A class, a file of settings, nothing registered."""
    for path, text in {"own/__init__.py": "", "own/tasks.py": OWN_CLASS, "conf/task/short.yaml": OWN_TASK}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    ended = ntm_lab(installed, tmp_path, "train", "--config-dir=conf", "task=short", *TINY, "hydra.run.dir=run")
    assert ended.returncode == 0, ended.stderr
    assert json.loads((tmp_path / "run/results.json").read_text())["task"] == "short"


def test_what_is_wrong_is_one_line(installed: Path, tmp_path: Path) -> None:
    ended = ntm_lab(installed, tmp_path, "train", "model=elman")
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "In 'config': Could not find 'model/elman' Available options in 'model': dnc gru linear_memory lstm mamba2 "
        "mann ntm rnn stack_rnn tape_rnn tape_rnn_oracle transformer xlstm; asked for with model=elman"
    ]
