"""What the tests share: train.py in this process, runs that are built but not yet trained, stories as bAbI has."""

import contextlib
import hashlib
import io
import logging
import random
import runpy
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from ntm_lab.runs.run import Run, start

ROOT = Path(__file__).parents[1]

TINY = [
    *("data.batch_size=4", "data.validate_every=8", "data.validation_sequences=4", "data.validation_rungs=2"),
    *("max_sequences=24", "test.sequences=8", "test.difficulties=null", "logger=csv", "callbacks=none"),
]
TINY_NTM = [*TINY, "task.lengths=[1,4]", "task.bits=4", "memory.slots=16", "memory.width=6", "controller.size=16"]
TINY_LSTM = [*TINY, "task.lengths=[1,4]", "task.bits=4", "model=lstm", "model.size=16", "model.layers=1"]


TINY_SWEEP = """
# @package _global_
defaults: [/experiment/report/base, _self_]
data: {batch_size: 4, validate_every: 8, validation_sequences: 4, validation_rungs: 2}
max_sequences: 24
stop_at_cost: null
log_every: 1
task: {lengths: [1, 4], bits: 4}
test: {sequences: 8, difficulties: null}
memory: {slots: 16, width: 6}
controller: {size: 16}
hydra: {sweeper: {params: {memory.init: "constant,learned", seed: "range(0,2)"}}}
"""


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


@contextlib.contextmanager
def unchanged_process() -> Iterator[None]:
    """What a run sets for the whole process is set back: handlers of the log, torch's threads and denormals."""
    handlers, level, threads = logging.root.handlers[:], logging.root.level, torch.get_num_threads()
    try:
        yield
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)


def train_here(*arguments: str) -> Ended:
    """``python train.py …`` to the letter, Hydra's command line and messages included, but without a new process."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    before = sys.argv
    with unchanged_process(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        sys.argv = [str(ROOT / "train.py"), *arguments]
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1 if ended.code else 0
            if isinstance(ended.code, str):
                err.write(ended.code)
        finally:
            sys.argv = before
    return Ended(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def train() -> Callable[..., Ended]:
    """``train("model=lstm", …)`` is ``python train.py model=lstm …`` in this process."""
    return train_here


@pytest.fixture(scope="session")
def tiny_ntm() -> list[str]:
    """Overrides for an NTM that copies up to four vectors of four bits: six steps and three validations."""
    return TINY_NTM


@pytest.fixture(scope="session")
def tiny_lstm() -> list[str]:
    """The same for the LSTM."""
    return TINY_LSTM


@pytest.fixture(scope="session")
def composed() -> Callable[..., DictConfig]:
    """``composed("model=lstm", …)``: the config that train.py would get, with the node ``hydra``."""

    def compose_config(*overrides: str) -> DictConfig:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return compose("config", [*overrides], return_hydra_config=True)

    return compose_config


@pytest.fixture
def started(composed: Callable[..., DictConfig], tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """``started("model=lstm", …)``: a run that is built, with its folder, and waits for ``fit()``."""
    count = 0

    def start_run(*overrides: str) -> Run:
        nonlocal count
        count += 1
        config = composed(*overrides)
        folder = tmp_path / f"run-{count}"
        folder.mkdir()  # as Hydra does
        with open_dict(config):
            config.hydra.runtime.output_dir = str(folder)
        HydraConfig.instance().set_config(config)  # for ${hydra:…}
        hydra = config.hydra
        with open_dict(config):
            del config["hydra"]
        return start(config, hydra)

    with unchanged_process():
        yield start_run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny NTM's finished run, with all loggers and callbacks; to be looked at, not changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    everything = ["logger=default", "callbacks=default", "log_every=2", f"hydra.run.dir={folder}"]
    ended = train_here(*TINY_NTM, *everything)
    assert ended.status == 0, ended.err
    return folder


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What sweeps need of a clone of the project, with a sweep ``tiny`` of four tiny NTMs; one is in this folder."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / "conf", folder / "conf")
    shutil.copy(ROOT / "train.py", folder)
    (folder / "conf/experiment/report/tiny.yaml").write_text(TINY_SWEEP)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def digest() -> Callable[[Path], str]:
    """A hash of a folder: of the names, contents and times of change of all files."""

    def of(folder: Path) -> str:
        parts = [
            f"{path.relative_to(folder)} {path.stat().st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    return of


# Small files in the layout of bAbI, of our own


@pytest.fixture(scope="session")
def babi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for ``task.root``: tasks 1 (two questions a story), 4 (one) and 8 (answers of up to three words)."""
    root = tmp_path_factory.mktemp("babi")
    (root / "en-10k").mkdir()
    for part, count in (("train", 40), ("test", 12)):
        draw = random.Random(part)
        for name, make in (("qa1_where", where), ("qa4_what", what), ("qa8_lists", lists)):
            text = "".join(numbered(make(draw)) for _ in range(count))
            (root / "en-10k" / f"{name}_{part}.txt").write_text(text)
    return root


BABI = ROOT.parent / "shared" / "data" / "babi_en_en10k.tar.xz"


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The publishers' folder of bAbI, where it lies beside the project; of task 3 without the training file."""
    if not BABI.exists():
        pytest.skip(f"needs bAbI: {BABI} is not there")
    root = tmp_path_factory.mktemp("published") / "tasks_1-20_v1-2"
    (root / "en-10k").mkdir(parents=True)
    with tarfile.open(BABI) as archive:
        for member in archive.getmembers():
            path, content = Path(member.name), archive.extractfile(member)
            if path.parent.name == "en-10k" and "PARTIAL" not in path.name and content:
                (root / "en-10k" / path.name).write_bytes(content.read())
    return root


NAMES, PLACES = ("Mary", "John", "Sandra"), ("kitchen", "garden", "office", "hallway")
OBJECTS = ("apple", "milk", "football")


def numbered(lines: list[str]) -> str:
    return "".join(f"{number} {line}\n" for number, line in enumerate(lines, 1))


def where(draw: random.Random) -> list[str]:
    lines = []
    for _ in range(2):
        at = {name: draw.choice(PLACES) for name in draw.sample(NAMES, 2)}
        lines += [f"{name} went to the {place}." for name, place in at.items()]
        name = draw.choice([*at])
        lines.append(f"Where is {name}? \t{at[name]}\t1")
    return lines


def what(draw: random.Random) -> list[str]:
    one, other = draw.sample(PLACES, 2)
    return [f"The {one} is north of the {other}.", f"What is the {other} south of?\t{one}\t1"]


def lists(draw: random.Random) -> list[str]:
    held = draw.sample(OBJECTS, draw.randint(0, 3))
    lines = [f"Mary got the {thing} there." for thing in held] + ["Mary went to the office."]
    return [*lines, f"What is Mary carrying? \t{','.join(held) or 'nothing'}\t1"]
