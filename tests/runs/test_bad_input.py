"""What cannot be done ends before any training with one short message, and leaves nothing behind."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import ntm_lab
from ntm_lab.runs.folder import resume_command

Train = Callable[..., Any]

ROOT = Path(__file__).parents[2]
HYDRA = ("Error executing job with overrides", "Set the environment variable HYDRA_FULL_ERROR=1")


def message(err: str) -> str:
    """What is said, without what Hydra adds to every error."""
    return "\n".join(line for line in err.splitlines() if line.strip() and not line.startswith(HYDRA))


# What is asked for, and what the message must say: the key, the value, what is allowed.
UNKNOWN = [
    (["model=elman"], ["Could not find 'model/elman'", "lstm", "ntm"]),
    (["task=copi"], ["Could not find 'task/copi'", "associative_recall", "copy", "ngrams", "repeat_copy", "sort"]),
    (["controller=gru"], ["Could not find 'controller/gru'", "feedforward", "lstm", "recurrent"]),
    (["memory=1x1"], ["Could not find 'memory/1x1'", "128x20"]),
    (["memory.init=zero"], ["Could not find 'memory.init/zero'", "constant", "learned", "random"]),
    (["memory.weighting=zero"], ["Could not find 'memory.weighting/zero'", "first_slot", "learned", "uniform"]),
    (["curriculum=none"], ["Could not find 'curriculum/none'", "growing", "look_back", "prediction_gain"]),
    (["optimizer=sgd"], ["Could not find 'optimizer/sgd'", "adam", "rmsprop"]),
    (["experiment=graves2014/copi"], ["Could not find 'experiment/graves2014/copi'"]),
    (["recipe=ntm_copi"], ["Could not find 'recipe/ntm_copi'"]),
    (["recipe=ntm/copi"], ["recipe=ntm/copi: is not there, and task=copy does not ask for it"]),
    (["budget=copi"], ["budget=copi: is not there, and task=copy does not ask for it"]),
    (["model=dnc", "recipe=ntm/sort"], ["recipe=ntm/sort: is no recipe of model=dnc"]),
    (["model=lstm", "controller=lstm"], ["'controller'", "model=lstm"]),
    (["model=mann", "memory.weighting=uniform"], ["'memory.weighting'", "model=mann"]),
    (["clip=null"], ["clip=null"]),
    (["~seed"], ["seed: missing"]),
    (["~optimizer"], ["optimizer: missing"]),
    (["seed=???"], ["seed: Missing mandatory value"]),
    (["seed=${seed}"], ["seed: Recursive interpolation"]),
    (["threads=1000000"], ["threads=1000000: must be at most 1024"]),
    (["trainer.accelerator=tpu"], ["torch_xla"]),
    (["test.difficulties=[{length: null}]"], ["test.difficulties=[{length: null}]: must be a list of mappings of"]),
    (["resume="], ["resume=: must be the folder of a run"]),
    (["resume=0"], ["resume=0: there is no such folder"]),
    (["modell=ntm"], ["'modell'"]),
    (["memory.slot=3"], ["'memory.slot'"]),
    (["data.batchsize=3"], ["'data.batchsize'"]),
    (["model=lstm", "memory.slots=3"], ["'memory"]),
    (["model=lstm", "memory.init=constant"], ["'memory.init'"]),
]
AT_LEAST_1 = "must be a whole number of at least 1"
SIZES = [
    ([f"{key}={value}"], [f"{key}={value}: {AT_LEAST_1}"])
    for key in (
        *("memory.slots", "memory.width", "model.read_heads", "model.write_heads", "model.shift_range"),
        *("controller.size", "controller.layers", "data.batch_size", "data.validate_every", "data.validation_rungs"),
        *("data.validation_sequences", "max_sequences", "log_every", "threads", "test.sequences"),
    )
    for value in ("0", "-3")
] + [
    (["task.bits=0"], ["task.bits=0: must be at least 1"]),
    (["data.batch_size=2.5"], [f"data.batch_size=2.5: {AT_LEAST_1}"]),
    (["data.batch_size=many"], [f"data.batch_size=many: {AT_LEAST_1}"]),
    (["seed=-1"], ["seed=-1: must be a whole number of at least 0"]),
    (["optimizer.lr=0"], ["optimizer.lr=0: must be"]),
    (["optimizer.lr=-0.1"], ["optimizer.lr=-0.1: must be"]),
    (["optimizer.lr=fast"], ["optimizer.lr=fast: must be"]),
    (["stop_at_cost=0"], ["stop_at_cost=0: must be above 0, or null"]),
    (["clip.limit=0"], ["clip.limit=0: must be above 0"]),
    (["schedule=cosine", "schedule.final=2"], ["schedule.final=2: must be between 0 and 1"]),
    (["memory.init=random", "memory.init.std=-1"], ["memory.init.std=-1: must be at least 0"]),
    (["callbacks=progress", "callbacks.progress.every=0"], [f"callbacks.progress.every=0: {AT_LEAST_1}"]),
    (["callbacks=far", "callbacks.far.multiples=true"], ["callbacks.far.multiples=True: must be a list"]),
    (["callbacks=far", "callbacks.far.difficulties=3"], ["callbacks.far.difficulties=3: must be a list"]),
    (["callbacks=pictures", "callbacks.pictures.every=0"], [f"callbacks.pictures.every=0: {AT_LEAST_1}"]),
    (["curriculum=growing", "curriculum.window=0"], [f"curriculum.window=0: {AT_LEAST_1}"]),
]
RANGES = [
    (["task.lengths=[4,1]"], ["task.lengths=[4, 1]: the first must not exceed the second"]),
    (["task.lengths=[0,4]"], ["task.lengths=[0, 4]: must be at least 1"]),
    (["task.lengths=4"], ["task.lengths=4: must be two integers"]),
    (["task.held_out=1"], ["task.held_out=1: must be a number of at least 0 and below 1"]),
    (["model.shift_range=4"], ["model.shift_range=4: must be odd and at most memory.slots=16"]),
    (["model.shift_range=17"], ["model.shift_range=17: must be odd and at most memory.slots=16"]),
    (["training_slots=0"], [f"training_slots=0: {AT_LEAST_1}"]),
    (["training_slots=3", "memory.init=learned"], ["training_slots=3: memory.slots=3: memory.init holds a value"]),
    (["model=lstm", "training_slots=3"], ["training_slots=3: slots=3: a LSTM has no memory"]),
    (["memory.slots=2"], ["model.shift_range=3: must be odd and at most memory.slots=2"]),
    (["test.difficulties=[{length: 0}]"], ["length=0: must be at least 1"]),
    (["test.difficulties=[{size: 3}]"], ["['size']: must be ['length']"]),
]
KINDS = [
    (["memory.init.value=none"], ["memory.init.value=none"]),
    (["memory.init=random", "memory.init.std=big"], ["memory.init.std=big"]),
    (["model.read_gate_bias=low"], ["model.read_gate_bias=low"]),
    (["stop_at_cost=never"], ["stop_at_cost=never"]),
    (["data.mixed_lengths=3"], ["data.mixed_lengths=3"]),
    (["model.bounded=maybe"], ["model.bounded=maybe"]),
]
STRUCTURE = [
    (["+new=3"], ["new=3: unknown; a run takes seed, threads"]),
    (["+data.new=3"], ["data.new=3: unknown; data takes"]),
    (["+trainer.new=3"], ["trainer.new=3: "]),
    (["+model.heads=3"], ["model.heads=3: unknown; model takes"]),
    (["data=null"], ["data=null: must be a mapping with _target_"]),
    (["clip.limit=null"], ["clip.limit=None: must be above 0"]),
    (["optimizer.betas=null"], ["optimizer.betas=null: must be a list of numbers"]),
    (["optimizer.betas=[0.9]"], ["optimizer.betas=[0.9]: must be a list"]),
    (["optimizer.betas=[2.0,0.9]"], ["optimizer: Invalid beta parameter at index 0: 2.0", "betas: [2.0, 0.9]"]),
    (["optimizer.eps=nan"], ["optimizer.eps=nan: must be a finite number"]),
    (["optimizer.fused=maybe"], ["optimizer.fused=maybe: must be true or false or null"]),
    (["stop_at_cost=inf"], ["stop_at_cost=inf: must be a finite number"]),
    (["max_sequences=9223372036854775808"], ["max_sequences=9223372036854775808: must be a whole number of less than"]),
    (["test=null"], ["test=null: must be a mapping of sequences, difficulties"]),
    (["test.difficulties=3"], ["test.difficulties=3: must be a list of mappings of whole numbers or null"]),
    (["+test.new=3"], ["test.new=3: unknown; test takes sequences, difficulties"]),
    (["threads=???"], ["threads: Missing mandatory value"]),
    (["seed=${nowhere}"], ["seed: Interpolation key 'nowhere' not found"]),
    (["optimizer._target_=torch.optim.Nowhere"], ["optimizer._target_=torch.optim.Nowhere: must name a class"]),
    (["logger.csv._target_=[]"], ["logger.csv._target_=[]: must name a class"]),
    (
        ["callbacks=pictures", "callbacks.pictures.draw=3"],
        ["callbacks.pictures.draw=3: must be a mapping with _target_"],
    ),
]
TAKES = "this run would take"
LARGE = [
    (["controller.size=100000000"], [f"controller.size=100000000: {TAKES} 640", "of this machine"]),
    (["memory.slots=1000000000"], [f"memory.slots=1000000000: {TAKES}"]),
    (["data.batch_size=1000000000"], [f"data.batch_size=1000000000: {TAKES}"]),
    (["data.validation_sequences=1000000000"], [f"data.validation_sequences=1000000000: {TAKES}"]),
    (["task.bits=100000000"], [f"task.bits=100000000: {TAKES}"]),
    (["task.lengths=[1,10000000000]"], [f"task.lengths=[1, 10000000000]: {TAKES}"]),
    (["controller.layers=1000000000"], ["controller.layers=1000000000: must be at most 1000"]),
    (["data.validation_rungs=1000000000"], ["data.validation_rungs=1000000000: must be at most 1000"]),
    (
        ["test.difficulties=[{length: 10000000000}]"],
        ["test.difficulties={'length': 10000000000}: a sequence would take"],
    ),
    (
        ["curriculum=fixed", "curriculum.difficulty={length: 10000000000}"],
        ["curriculum.difficulty={'length': 10000000000}: a sequence would take"],
    ),
    (["seed=" + "x" * 5000], ["seed=xxx", "characters"]),
]
OTHER_TASKS = [
    (["task=sort", "task.items=4", "task.outputs=5"], ["task.outputs=5: must not exceed task.items=4"]),
    (["task=sort", "task.items=4", "task.min_items=5", "task.outputs=2"], ["task.min_items=5: must not exceed"]),
    (["task=repeat_copy", "task.repeats=[3,2]"], ["task.repeats=[3, 2]: the first must not exceed the second"]),
    (["task=associative_recall", "task.items=[1,3]"], ["task.items=[1, 3]: must be at least 2"]),
    (["task=ngrams", "task.length=5", "task.context=5"], ["task.length=5: must exceed task.context=5"]),
    (["task=ngrams", "data.mixed_lengths=true"], ["data.mixed_lengths=true: ", "only false is allowed"]),
    (["model=lstm", "model.size=0"], [f"model.size=0: {AT_LEAST_1}"]),
    (["model=lstm", "model.layers=-1"], [f"model.layers=-1: {AT_LEAST_1}"]),
    (
        ["model=lstm", "penalty=weighting_entropy"],
        ["penalty=weighting_entropy model=lstm: kinds=[weighting]: this model has only signals of the kinds vector"],
    ),
]


def readable(cases: list[tuple[list[str], list[str]]]) -> list[Any]:
    return [pytest.param(overrides, says, id=" ".join(overrides)) for overrides, says in cases]


def refused(ended: Any, says: list[str], folder: Path) -> None:
    assert ended.status != 0
    assert "Traceback" not in ended.err
    check_line(message(ended.err), says, folder)


def check_line(said: str, says: list[str], folder: Path) -> None:
    assert [part for part in says if part not in said] == []
    assert len(said) < 900 and len(said.splitlines()) == 1
    assert not folder.exists()


@pytest.mark.parametrize(
    ("overrides", "says"), readable([*UNKNOWN, *SIZES, *RANGES, *KINDS, *STRUCTURE, *LARGE, *OTHER_TASKS])
)
def test_a_bad_setting_is_refused(
    overrides: list[str], says: list[str], tiny_ntm: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = tiny_ntm
    if any(setting.startswith(("model=lstm", "task=")) for setting in overrides):
        tiny = [setting for setting in tiny if not setting.startswith(("memory", "controller", "task"))]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as raised:
        ntm_lab.train(None, None, *tiny, *overrides, folder=tmp_path / "run")
    check_line(str(raised.value), says, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "says"),
    readable(
        [
            (["model=null"], ["model=null: must be one of the choices"]),
            (["schedule=[1]"], ["schedule=[1]: must be one of the choices"]),
            (["~seed"], ["seed: missing"]),
            (["seed=${nowhere}"], ["seed: Interpolation key 'nowhere' not found"]),
            (["memory.slots=0"], [f"memory.slots=0: {AT_LEAST_1}"]),
            (["resume="], ["resume=: must be the folder of a run"]),
            ([f"resume={'x' * 5000}"], ["resume=xxx", "there is no such folder"]),
        ]
    ),
)
def test_the_command_says_so_in_one_line(
    overrides: list[str],
    says: list[str],
    train: Train,
    tiny_ntm: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(train(*tiny_ntm, *overrides, f"hydra.run.dir={tmp_path / 'run'}"), says, tmp_path / "run")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_named(train: Train, tiny_ntm: list[str], tmp_path: Path) -> None:
    refused(train(*tiny_ntm, "trainer=gpu", f"hydra.run.dir={tmp_path / 'run'}"), ["gpu"], tmp_path / "run")


def test_a_folder_that_holds_a_run_is_not_overwritten(
    train: Train, tiny_ntm: list[str], finished: Path, digest: Callable[[Path], str]
) -> None:
    before = digest(finished)
    ended = train(*tiny_ntm, f"hydra.run.dir={finished}")
    assert ended.status != 0
    assert f"hydra.run.dir={finished}: already holds a run" in message(ended.err)
    assert digest(finished) == before


def process(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_the_process_fails_with_one_message(tmp_path: Path) -> None:
    ended = process(["memory.slots=0"], tmp_path)
    assert ended.returncode != 0
    assert message(ended.stderr) == "memory.slots=0: must be a whole number of at least 1"
    assert "Traceback" not in ended.stdout + ended.stderr
    assert [path for path in tmp_path.rglob("*") if path.name != "runs"] == []


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("hydra.run.dir=file/below", "hydra.run.dir=file/below: cannot be written (Not a directory)"),
        ("resume=runs/missing", "resume=runs/missing: there is no such folder"),
    ],
    ids=["folder that cannot be written", "resume of nothing"],
)
def test_a_folder_that_is_not_there_is_named(
    setting: str, says: str, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("a file, no folder")
    ended = train(setting)
    assert ended.status != 0 and says in message(ended.err)
    assert len(message(ended.err).splitlines()) == 1
    assert "Traceback" not in ended.out + ended.err
    assert [path for path in tmp_path.rglob("*") if path.name != "runs"] == [tmp_path / "file"]


def test_a_sweep_folder_that_cannot_be_written_is_named(train: Train, tiny_ntm: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = train("--multirun", *tiny_ntm, "seed=0,1", f"hydra.sweep.dir={tmp_path / 'file' / 'below'}")
    assert ended.status != 0
    assert f"hydra.sweep.dir={tmp_path / 'file' / 'below'}: cannot be written" in message(ended.err)
    assert "Traceback" not in ended.err


@pytest.fixture(scope="module")
def exploded(train: Train, tiny_ntm: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A run whose first step leads so far away that the second is not a number; validated after the first.

    With the reference backend, whose products overflow; the fused multiply-add of another may stay just finite here.
    """
    folder = tmp_path_factory.mktemp("exploded") / "run"
    settings = ["backend=reference", "clip=none", "optimizer.lr=1e30", "schedule=constant", "data.validate_every=1000"]
    return train(*tiny_ntm, *settings, "max_sequences=1000", f"hydra.run.dir={folder}"), folder


def test_a_loss_that_is_no_number_stops_the_run(exploded: tuple[Any, Path]) -> None:
    ended, folder = exploded
    said = message(ended.err)
    assert ended.status != 0
    assert "at step " in said and "first module with an output that is not finite: " in said
    assert "first parameter: " in said and str(folder / "nonfinite_batch.pt") in said
    assert "Traceback" not in ended.err and len(said.splitlines()) == 1
    assert not (folder / "results.json").exists()


def test_the_batch_that_did_it_is_kept(exploded: tuple[Any, Path]) -> None:
    batch = torch.load(exploded[1] / "nonfinite_batch.pt", weights_only=True)
    assert set(batch) == {"inputs", "targets", "mask", "lengths"}
    assert batch["inputs"].shape[::2] == (4, 5) and batch["inputs"].isfinite().all()


def test_the_last_checkpoint_is_intact(exploded: tuple[Any, Path]) -> None:
    checkpoint = torch.load(exploded[1] / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())
    assert os.listdir(exploded[1] / "checkpoints") == ["last.ckpt"]


@pytest.mark.parametrize("rate", ["1e30", "3e38"])
def test_weights_that_are_no_numbers_are_not_kept(rate: str, train: Train, tiny_ntm: list[str], tmp_path: Path) -> None:
    """The same with a validation after every step; at the larger rate the first step makes weights infinite."""
    settings = [
        "backend=reference",
        "clip=none",
        "optimizer=rmsprop",
        f"optimizer.lr={rate}",
        "schedule=constant",
        "data.validate_every=4",
    ]
    ended = train(*tiny_ntm, *settings, f"hydra.run.dir={tmp_path / 'run'}")
    assert ended.status != 0 and "at step " in message(ended.err)
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())


def test_a_full_disk_leaves_the_last_checkpoint(
    train: Train, tiny_ntm: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No space is left from the second checkpoint on, the one after 8 sequences."""
    calls, real = 0, os.fsync

    def full_from_the_second(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full_from_the_second)
    ended = train(*tiny_ntm, f"hydra.run.dir={tmp_path / 'run'}")
    assert ended.status != 0 and calls == 2
    assert (
        message(ended.err)
        == f"{tmp_path / 'run'}: cannot be written (No space left on device); the last checkpoint is intact, and "
        f"`{resume_command(tmp_path / 'run')}` goes on from there"
    )
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["learner"]["sequences"] == 0
    assert os.listdir(tmp_path / "run" / "checkpoints") == ["last.ckpt"]
