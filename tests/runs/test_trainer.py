"""Lightning's arguments are served or refused; whoever ends a run, it says so, and goes on as if it had not ended."""

import csv
import inspect
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf

from ntm_lab.runs.config import RunError
from ntm_lab.runs.run import Run
from ntm_lab.runs.trainer import ADDRESS, REFUSED, SERVED, build_trainer

ROOT = Path(__file__).parents[2]
Train = Callable[..., Any]
Started = Callable[..., Run]

# Rounds of four steps, three of them; the schedule depends on what it hears of validations, the curriculum on costs.
SETTINGS = [
    *("data.validate_every=16", "max_sequences=48", "log_every=1", "curriculum=prediction_gain", "stop_at_cost=null"),
    *("schedule=until_solved", "schedule.below=1e9", "schedule.sequences=24", "penalty=none"),
    "data.mixed_lengths=true",
]
AT = """
import atexit
import os
import signal
import pytorch_lightning as pl
import torch

atexit.register(lambda: print("still in a group" * torch.distributed.is_initialized(), end=""))


class At(pl.Callback):
    def __init__(self, step, signum=None):
        self.step, self.signum = step, signum

    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step == self.step and trainer.ckpt_path is None and trainer.is_global_zero:
            if self.signum is None:
                trainer.should_stop = True
            elif callable(signal.getsignal(self.signum)):  # or it would end the tests
                os.kill(os.getpid(), self.signum)
"""


def at(step: int, signum: str | None = None, name: str = "mine") -> list[str]:
    """A callback that ends a run that is not resumed after a step, by its own wish or by a signal."""
    key = f"+callbacks.{name}"
    number = [] if signum is None else [f"{key}.signum._target_=signal.Signals", f"{key}.signum._args_=[{signum}]"]
    return [f"{key}._target_=ending.At", f"{key}.step={step}", *number]


@pytest.fixture
def ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a module with that callback."""
    (tmp_path / "ending.py").write_text(AT)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ending", raising=False)
    return tmp_path


def state(folder: Path) -> dict[str, Any]:
    return dict(torch.load(folder / "checkpoints/last.ckpt", weights_only=True))


def results(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "results.json").read_text()))


def curve(folder: Path, column: str) -> dict[int, float]:
    """The values of a column by sequences."""
    with (folder / "metrics.csv").open(newline="") as file:
        return {int(row["sequences"]): float(row[column]) for row in csv.DictReader(file) if row[column]}


def same(one: Path, other: Path) -> bool:
    """Whether two runs have the same weights, and the same state of optimizer, schedule, curriculum and generators."""
    states = [state(folder) for folder in (one, other)]
    parts = [{key: part[key] for key in ("state_dict", "optimizer_states", "lr_schedulers", "Data")} for part in states]
    texts = [[repr(value) for value in torch.utils._pytree.tree_leaves(part)] for part in parts]
    weights = [part["state_dict"] for part in parts]
    return texts[0] == texts[1] and all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.fixture(scope="module")
def whole(train: Train, tiny_ntm: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nobody ended."""
    folder = tmp_path_factory.mktemp("trainer") / "whole"
    ended = train(*tiny_ntm, *SETTINGS, f"hydra.run.dir={folder}")
    assert ended.status == 0, ended.err
    return folder


# Arguments


def test_every_argument_of_lightnings_trainer_is_decided() -> None:
    there = {*inspect.signature(pl.Trainer).parameters}
    assert SERVED | {*REFUSED} == there
    assert not SERVED & {*REFUSED}


@pytest.fixture
def built(
    composed: Callable[..., DictConfig], started: Started, tiny_ntm: list[str], tmp_path: Path
) -> Callable[..., Any]:
    """``built(precision="64-true")``: the trainer with further arguments."""
    run = started(*tiny_ntm)

    def build(**arguments: Any) -> pl.Trainer:
        config = run.config.copy()
        config.trainer = OmegaConf.merge(config.trainer, arguments)
        return build_trainer(config, tmp_path, run.learner)

    return build


def test_what_cannot_be_set_names_what_does_it(built: Callable[..., Any]) -> None:
    for key, instead in REFUSED.items():
        with pytest.raises(ValueError, match=rf"^trainer\.{key}=1: cannot be set; ") as refused:
            built(**{key: 1})
        assert str(refused.value).endswith(instead)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"foo": 3}, r"^trainer\.foo=3: is no argument of the trainer; there are accelerator, "),
        ({"precision": "16-mixed"}, r"^trainer\.precision=16-mixed: a CPU has 64-true, "),
        ({"accumulate_grad_batches": 3}, r"^data\.batch_size=4: must be a multiple of 3, 1 processes × "),
        ({"accumulate_grad_batches": 0}, r"^trainer\.accumulate_grad_batches=0: must be a whole number"),
        ({"accumulate_grad_batches": 2, "fast_dev_run": True}, r"^trainer\.fast_dev_run=True: must be a multiple"),
        ({"devices": 3, "strategy": "ddp"}, r"^data\.batch_size=4: must be a multiple of 3, 3 processes"),
        ({"strategy": "ddp_fork"}, r"^trainer\.strategy=ddp_fork: must be one of auto, ddp"),
        ({"devices": 10**12}, r"^trainer\.devices=1000000000000: must be a whole number from 1 to 10000, or -1"),
        ({"devices": 1.5}, r"^trainer\.devices=1\.5: must be a whole number"),
        ({"num_nodes": 0}, r"^trainer\.num_nodes=0: must be a whole number of at least 1$"),
        ({"num_nodes": 2}, r"trainer\.num_nodes=2: nodes find each other by SLURM, torchrun, or MASTER_ADDR"),
    ],
    ids=str,
)
def test_what_is_not_served_is_refused(
    arguments: dict[str, Any], says: str, built: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ADDRESS:
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ValueError, match=says):
        built(**arguments)


def test_the_config_of_an_older_run_is_understood(built: Callable[..., Any]) -> None:
    assert built(_target_="pytorch_lightning.Trainer", _partial_=True).max_steps == 6
    with pytest.raises(ValueError, match=r"^trainer\._target_=mine\.Trainer: is no argument"):
        built(_target_="mine.Trainer")


def test_a_refusal_leaves_nothing_behind(train: Train, tiny_ntm: list[str], tmp_path: Path) -> None:
    ended = train(*tiny_ntm, "+trainer.gradient_clip_val=0.1", f"hydra.run.dir={tmp_path / 'run'}")
    assert ended.status != 0 and not (tmp_path / "run").exists()
    assert ended.err.splitlines()[-1] == "trainer.gradient_clip_val=0.1: cannot be set; clip.limit bounds the gradient"


SCALED = "{_target_: pytorch_lightning.plugins.MixedPrecision, precision: 16-mixed, device: cpu}"


def test_gradients_of_float16_are_clipped_when_they_are_unscaled(
    train: Train, tiny_ntm: list[str], whole: Path, tmp_path: Path
) -> None:
    settings = [*tiny_ntm, *SETTINGS, f"+trainer.plugins=[{SCALED}]", f"hydra.run.dir={tmp_path / 'run'}"]
    refused = train(*settings)
    assert refused.status != 0 and refused.err.splitlines()[-1].startswith(
        "optimizer.fused=true: clips scaled gradients"
    )
    ended = train(*settings, "optimizer.fused=false")
    assert ended.status == 0, ended.err
    norms = [curve(folder, "train/gradient_norm")[4] for folder in (tmp_path / "run", whole)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-2)


def test_what_is_served_acts(
    train: Train, tiny_ntm: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    served = ["profiler=simple", "detect_anomaly=true", "deterministic=true", "benchmark=false", "fast_dev_run=2"]
    try:
        ended = train(*tiny_ntm, *(f"+trainer.{each}" for each in served), f"hydra.run.dir={tmp_path / 'run'}")
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    assert ended.status == 0, ended.err
    assert results(tmp_path / "run").items() >= {"sequences": 8, "stopped_by": "trainer.fast_dev_run"}.items()


PRECISIONS = {"64-true": torch.float64, "bf16-true": torch.bfloat16, "bf16-mixed": torch.float32}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_run_is_trained_tested_and_resumed_in_its_precision(
    precision: str, train: Train, tiny_ntm: list[str], whole: Path, ending: Path
) -> None:
    """Also with all callbacks, which compute something of their own; results are near those of float32."""
    settings = [*tiny_ntm, *SETTINGS, f"+trainer.precision={precision}"]
    once, twice = ending / "once", ending / "twice"
    for folder, further in ((once, ["callbacks=default"]), (twice, at(6))):
        ended = train(*settings, *further, f"hydra.run.dir={folder}")
        assert ended.status == 0, ended.err
    assert train(f"resume={twice}").status == 0
    assert {weight.dtype for weight in state(once)["state_dict"].values()} == {PRECISIONS[precision]}
    assert same(once, twice)
    costs = [results(folder)["test"][0]["cost_bits"] for folder in (whole, once, twice)]
    assert costs[1] == pytest.approx(costs[0], rel=0.02) and costs[2] == costs[1]


def test_a_batch_in_parts_is_the_same_batch(train: Train, tiny_ntm: list[str], whole: Path, tmp_path: Path) -> None:
    """To rounding: what is drawn, what is logged, what the curriculum hears."""
    settings = ["+trainer.accumulate_grad_batches=2", f"hydra.run.dir={tmp_path / 'run'}"]
    assert train(*tiny_ntm, *SETTINGS, *settings).status == 0
    assert results(tmp_path / "run")["sequences"] == 48 == sum(state(tmp_path / "run")["Data"]["counts"].values())
    assert agree(tmp_path / "run", whole)


def agree(one: Path, other: Path) -> bool:
    """Whether two runs have the same curves and the same state of the curriculum, to rounding."""
    columns = ("train/cost", "train/wrong_bits", "train/gradient_norm", "val/cost", "val_cost/length_004")
    for column in columns:
        assert curve(one, column) == pytest.approx(curve(other, column), rel=1e-4), column
    curricula = [state(folder)["Data"]["curriculum"] for folder in (one, other)]
    assert curricula[0]["observed"] == curricula[1]["observed"] == 48
    torch.testing.assert_close(curricula[0]["log_weights"], curricula[1]["log_weights"], rtol=1e-3, atol=1e-6)
    return True


# Ends


@pytest.mark.parametrize("ender", ["max_minutes", "trainer.max_time", "callbacks.mine"])
def test_who_ended_a_run_is_told_and_it_goes_on(
    ender: str, train: Train, tiny_ntm: list[str], whole: Path, ending: Path
) -> None:
    """In the middle of a round: the validation that follows is logged, but decides nothing."""
    ends, further = {
        "max_minutes": (["max_minutes=1e-6"], ["max_minutes=null"]),
        "trainer.max_time": (["+trainer.max_time={microseconds: 60}"], ["++trainer.max_time=null"]),
        "callbacks.mine": (at(6), []),
    }[ender]
    folder = ending / "run"
    ended = train(*tiny_ntm, *SETTINGS, *ends, f"hydra.run.dir={folder}")
    assert ended.status == 0, ended.err
    step = 6 if ender == "callbacks.mine" else 1
    assert results(folder).items() >= {"stopped_by": ender, "steps": step, "sequences": 4 * step}.items()
    assert f"ended by {ender}" in ended.out
    assert [*curve(folder, "val/cost")][-1] == 4 * step
    again = train(f"resume={folder}", *further)
    assert again.status == 0, again.err
    assert results(folder)["stopped_by"] == "max_sequences" and same(folder, whole)
    later = {at: cost for at, cost in curve(folder, "val/cost").items() if at % 16 == 0}
    assert later == curve(whole, "val/cost")


def test_a_limit_that_was_reached_is_reached_when_resumed(train: Train, tiny_ntm: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for command in ([*tiny_ntm, "max_minutes=1e-6", f"hydra.run.dir={folder}"], [f"resume={folder}"]):
        assert train(*command).status == 0
        assert results(folder).items() >= {"stopped_by": "max_minutes", "steps": 1}.items()


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf", "soon", "true"])
def test_a_limit_that_is_none_is_refused(minutes: str, started: Started, tiny_ntm: list[str]) -> None:
    allowed = r"above 0, or null for no limit|a finite number|a number or null"
    with pytest.raises(RunError, match=rf"(?i)^max_minutes={minutes}(\.0)?: must be ({allowed})$"):
        started(*tiny_ntm, f"max_minutes={minutes}")


EARLY = ["+callbacks.early._target_=pytorch_lightning.callbacks.EarlyStopping", "+callbacks.early.monitor=val/cost"]
BEST = ["+callbacks.best._target_=pytorch_lightning.callbacks.ModelCheckpoint", "+callbacks.best.monitor=val/cost"]
RATE = ["+callbacks.rate._target_=pytorch_lightning.callbacks.LearningRateMonitor"]
TIMER = ["+callbacks.timer._target_=pytorch_lightning.callbacks.Timer", "+callbacks.timer.duration=00:01:00:00"]


def test_lightnings_callbacks_work(train: Train, tiny_ntm: list[str], whole: Path, tmp_path: Path) -> None:
    """No validation is better by 1,000 bits than the first; rates are logged against sequences, as all else."""
    early = [*EARLY, "+callbacks.early.patience=1", "+callbacks.early.min_delta=1000"]
    folder = tmp_path / "run"
    ended = train(*tiny_ntm, *SETTINGS, *early, *BEST, *RATE, *TIMER, f"hydra.run.dir={folder}")
    assert ended.status == 0, ended.err
    assert results(folder).items() >= {"stopped_by": "callbacks.early", "sequences": 32}.items()
    costs = curve(folder, "val/cost")
    assert costs == {at: cost for at, cost in curve(whole, "val/cost").items() if at <= 32}
    (best,) = folder.rglob("*step=*.ckpt")
    assert int(best.stem.split("step=")[1]) == min(costs, key=lambda at: costs[at]) / 4
    rates = curve(folder, "lr-Adam")
    assert [*rates] == [*range(0, 32, 4)]
    assert {at: rates[at] for at in [*rates][1:]}.items() <= curve(folder, "train/learning_rate").items()
    assert state(folder)["callbacks"]["EarlyStopping{'monitor': 'val/cost', 'mode': 'min'}"]["wait_count"] == 1


def test_what_cannot_be_monitored_is_refused(started: Started, tiny_ntm: list[str]) -> None:
    with pytest.raises(RunError, match=r"^callbacks\.early\.monitor=cost: must be one of val/cost, val/wrong_bits, "):
        started(*tiny_ntm, EARLY[0], "+callbacks.early.monitor=cost")


# Signals


@pytest.mark.parametrize(("signum", "status"), [("15", 143), ("2", 130)], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_a_run_with_its_status(
    signum: str, status: int, train: Train, tiny_ntm: list[str], whole: Path, ending: Path
) -> None:
    """In the second round: what is kept is the end of the first."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job ignores
    folder = ending / "run"
    ended = train(*tiny_ntm, *SETTINGS, *at(6, signum), f"hydra.run.dir={folder}")
    assert ended.status == status
    assert f"`python train.py resume={folder}` goes on from the last validation" in ended.out
    assert state(folder)["global_step"] == 4 and not (folder / "results.json").exists()
    assert train(f"resume={folder}").status == 0
    assert same(folder, whole)


SLURM = {
    "SLURM_NTASKS": "1",
    "SLURM_JOB_ID": "1234",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_NNODES": "1",
    "SLURM_JOB_NAME": "training",
    "SLURM_NODELIST": "127.0.0.1",
}


def test_a_preempted_job_of_slurm_is_queued_again_and_goes_on(
    train: Train, tiny_ntm: list[str], whole: Path, ending: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SLURM sends a signal some time before it ends a job, and starts the same command anew."""
    scontrol = ending / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {ending}/asked\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scontrol.parent}{os.pathsep}{os.environ['PATH']}")
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    preempted = [*at(5, "10"), *at(7, "15", "killed")]
    command = [*tiny_ntm, *SETTINGS, *preempted, f"hydra.run.dir={ending / 'run'}"]
    assert train(*command).status == 143
    assert (ending / "asked").read_text() == "requeue 1234\n"
    assert train(*command).status != 0  # started by hand
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    again = train(*command)
    assert again.status == 0, again.err
    assert same(ending / "run", whole)
    assert not [*(ending / "run").glob("hpc_ckpt_*")]


# Several processes


def test_tasks_of_slurm_that_form_no_group_are_refused(
    built: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (SLURM | {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=r"^trainer\.devices=1 × trainer\.num_nodes=1: SLURM started 2 processes; "):
        built()


def test_jobs_of_a_sweep_are_one_process_each(train: Train, tiny_ntm: list[str], tmp_path: Path) -> None:
    ended = train("-m", *tiny_ntm, "trainer.devices=2", f"hydra.sweep.dir={tmp_path}")
    assert ended.status != 0 and ended.err.splitlines()[-1].startswith(
        "trainer.devices=2 × trainer.num_nodes=1: a job of "
    )
    assert [*tmp_path.rglob("config.yaml")] == []


def begin(*arguments: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([*sys.path, str(folder)])
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=240)
    finally:
        process.kill()
    return process.returncode, out, err


@pytest.mark.slow
def test_two_processes_train_as_one(train: Train, tiny_ntm: list[str], whole: Path, ending: Path) -> None:
    """Started by Lightning, ended by a signal in the second round, taken up by two tasks of SLURM, then by one."""
    folder = ending / "run"
    settings = [*tiny_ntm, *SETTINGS, *at(6, "15"), "trainer.devices=2", f"hydra.run.dir={folder}"]
    status, out, err = end(begin(*settings, folder=ending))
    assert (status, err) == (143, "") and out.count("goes on from the last validation") == 1
    assert "still in a group" not in out
    assert state(folder)["global_step"] == 4

    tasks = SLURM | {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"}
    ranks = [tasks | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank} for rank in ("0", "1")]
    (first, second) = [end(each) for each in [begin(f"resume={folder}", folder=ending, **rank) for rank in ranks]]
    assert first[0] == second[0] == 0, first[2] + second[2]
    assert "ended by max_sequences" in first[1] and second[1:] == ("", "")
    assert results(folder)["sequences"] == 48 and agree(folder, whole)

    assert train(f"resume={folder}", "trainer.devices=1", "test.sequences=5").status == 0
    assert results(folder)["test"][0]["n"] == 5
