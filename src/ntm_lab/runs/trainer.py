"""The trainer of a run: the arguments of Lightning that are supported, the ends of a run, and runs shared by
processes."""

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from omegaconf import DictConfig
from pytorch_lightning.callbacks import ProgressBar, Timer

from ntm_lab.checks import at_least, number, one_of
from ntm_lab.runs.config import RunError, plain_leaves
from ntm_lab.runs.folder import CHECKPOINT
from ntm_lab.training.checkpoints import LastCheckpoint, WholeCheckpointIO
from ntm_lab.training.learner import Learner

Outcome = TypeVar("Outcome")

REFUSED: Mapping[str, str] = {
    "logger": "choose from the group logger, such as logger=csv",
    "callbacks": "choose from the group callbacks, or add one: +callbacks.NAME._target_=…",
    "max_epochs": "max_sequences ends a run",
    "min_epochs": "with stop_at_cost=null a run trains to the end of max_sequences",
    "max_steps": "max_sequences ends a run",
    "min_steps": "with stop_at_cost=null a run trains to the end of max_sequences",
    "limit_train_batches": "max_sequences says how many sequences are drawn",
    "limit_val_batches": "data.validation_sequences says how many, data.validation_rungs of how many difficulties",
    "limit_test_batches": "test.sequences says how many",
    "limit_predict_batches": "nothing is predicted; test.sequences says how many are tested",
    "overfit_batches": "every batch is drawn anew; max_sequences says how many sequences are drawn",
    "val_check_interval": "data.validate_every says it in sequences",
    "check_val_every_n_epoch": "data.validate_every says it in sequences",
    "num_sanity_val_steps": "the validation set is checked when it is drawn",
    "log_every_n_steps": "log_every says it",
    "enable_checkpointing": "checkpoints/last.ckpt is always kept; +callbacks.NAME._target_=… keeps others",
    "enable_progress_bar": "choose from the group callbacks, such as callbacks=progress",
    "gradient_clip_val": "clip.limit bounds the gradient",
    "gradient_clip_algorithm": "clip=norm and clip=elements bound the gradient",
    "inference_mode": "validations while training never use it",
    "use_distributed_sampler": "each process takes its own part of every batch",
    "barebones": "logger=none callbacks=none leave out what can be left out",
    "reload_dataloaders_every_n_epochs": "data.validate_every says how long a round is",
    "default_root_dir": "hydra.run.dir says where a run is kept",
    "enable_autolog_hparams": "config.yaml holds all settings",
    "model_registry": "a trained model is given away by its push_to_hub",
}
"""Arguments of Lightning's trainer that have no meaning here, with the setting to use instead."""

SERVED: frozenset[str] = frozenset(
    {
        *("accelerator", "strategy", "devices", "num_nodes", "precision", "plugins", "sync_batchnorm"),
        *("max_time", "fast_dev_run", "accumulate_grad_batches"),
        *("deterministic", "benchmark", "detect_anomaly", "profiler", "enable_model_summary"),
    }
)
"""Arguments of Lightning's trainer that can be set, as ``+trainer.precision=64-true``."""

STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false")
OF_OLD_RUNS = {"_target_": "pytorch_lightning.Trainer", "_partial_": True}  # in their config.yaml
MOST_PROCESSES = 10_000  # of which Lightning makes lists
ADDRESS = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")  # with which nodes find each other without a scheduler


class TimeLimit(Timer):
    """Ends a run between two steps when its training and validations, including those before it was resumed, have taken
    this long.

    Args:
        name: of the setting that says so.
        duration: None for no limit; time is measured all the same, for a resumed run that has one.
    """

    def __init__(self, name: str, duration: str | timedelta | dict[str, int] | None) -> None:
        super().__init__(duration, verbose=False)
        self.name = name

    def on_fit_start(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        if trainer.ckpt_path is not None:  # a new run makes a step, whatever the limit
            super().on_fit_start(trainer, *args, **kwargs)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        if not trainer.fit_loop._should_accumulate():
            super().on_train_batch_end(trainer, *args, **kwargs)


class SignalsBetweenSteps(pl.Callback):
    """Delays Lightning's reaction to a signal (end, or save and requeue on SLURM) until a step has ended in all
    processes: its handlers wait for the other processes, which may be busy with something else.
    """

    SIGNALS = tuple(
        getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP") if hasattr(signal, name)
    )

    def __init__(self) -> None:
        self.handlers: dict[int, Callable[[int, Any], Any]] = {}  # Lightning's, of signals that have not come yet
        self.come: set[int] = set()

    def on_train_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for signum in self.SIGNALS:
            handler = signal.getsignal(signum)
            if callable(handler):
                self.handlers[signum] = handler
                signal.signal(signum, lambda signum, frame: self.come.add(signum))  # until Lightning sets all back

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        self._act(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        self._act(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        self._act(trainer)

    def _act(self, trainer: pl.Trainer) -> None:
        if not self.handlers or (trainer.world_size == 1 and not self.come):
            return
        come = torch.tensor([signum in self.come for signum in self.handlers], device=trainer.strategy.root_device)
        come = trainer.strategy.reduce(come.int(), reduce_op="max")
        for signum in [signum for signum, here in zip(self.handlers, come.tolist(), strict=True) if here]:
            self.handlers.pop(signum)(signum, None)


class Trainer(pl.Trainer):
    """Lightning's, which remembers who was the first to ask for the end of the run."""

    _should_stop = False
    asked_by: object = None  # a callback or the learner
    names: Mapping[int, str]  # what a callback is called in the config, by its id

    @property
    def should_stop(self) -> bool:
        """Whether the run ends after this step, with a validation and a checkpoint."""
        return self._should_stop

    @should_stop.setter
    def should_stop(self, wish: bool) -> None:
        if wish != self._should_stop:  # callbacks assign what it was, or true
            self.asked_by = sys._getframe(1).f_locals.get("self") if wish else None
        self._should_stop = wish

    def stopped_by(self, learner: Learner) -> str:
        """The cause that ended training: ``stop_at_cost``, ``max_sequences``, ``max_minutes``, ``callbacks.NAME``, …"""
        if learner.solved:
            return "stop_at_cost"
        if self.global_step >= learner.data.total_steps:
            return "max_sequences"
        if getattr(self, "fast_dev_run", False):
            return "trainer.fast_dev_run"
        return self.names.get(id(self.asked_by), type(self.asked_by).__name__)


def build_trainer(config: DictConfig, folder: Path, learner: Learner, alone: bool = False) -> Trainer:
    """The trainer of a run. It does not touch the folder yet; `open_loggers` does, later.

    ``alone``: Lightning cannot start further processes by the command of this one, as it starts more than the run.

    Raises ValueError, in one line, for an unsupported argument, and for processes that cannot form a group.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # its hints and tips do not concern this run
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)  # Lightning's own affair
    arguments = _served(config.trainer)
    callbacks = instantiate(config.callbacks)
    for name, callback in callbacks.items():
        monitor = getattr(callback, "monitor", None)
        if monitor is not None and monitor not in learner.monitored:
            raise ValueError(f"callbacks.{name}.monitor={monitor}: must be one of {', '.join(learner.monitored)}")
    limit = _time_limit(config.get("max_minutes"), arguments.pop("max_time", None))
    last = LastCheckpoint(folder / CHECKPOINT, plain_leaves(config))
    plugins = [*arguments.pop("plugins", []), WholeCheckpointIO()]
    try:
        trainer = Trainer(
            **{"enable_model_summary": False} | arguments,
            default_root_dir=folder,
            logger=False,
            callbacks=[SignalsBetweenSteps(), *callbacks.values(), limit, last],
            plugins=plugins,
            max_epochs=-1,
            max_steps=learner.data.total_steps,
            reload_dataloaders_every_n_epochs=1,  # a round is as long as the budget allows
            num_sanity_val_steps=0,
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks.values()),
            use_distributed_sampler=False,
            log_every_n_steps=1,  # the learner knows when
        )
    except RuntimeError as error:  # such as of SLURM's variables
        raise ValueError(f"trainer: {error}") from error
    trainer.names = {id(callback): f"callbacks.{name}" for name, callback in callbacks.items()} | {
        id(limit): limit.name
    }
    if getattr(trainer.precision_plugin, "scaler", None) is not None and config.optimizer.get("fused"):
        raise ValueError("optimizer.fused=true: clips scaled gradients in float16; give optimizer.fused=false")
    _check_group(trainer, alone)
    learner.data.check_parts(trainer.world_size, trainer.accumulate_grad_batches)
    return trainer


def _served(settings: DictConfig) -> dict[str, Any]:
    """The arguments that were set; ValueError for an unsupported one."""
    given = {str(key): value for key, value in settings.items() if OF_OLD_RUNS.get(str(key)) != value}
    for key, value in given.items():
        if key in REFUSED:
            raise ValueError(f"trainer.{key}={value}: cannot be set; {REFUSED[key]}")
        if key not in SERVED:
            raise ValueError(
                f"trainer.{key}={value}: is no argument of the trainer; there are {', '.join(sorted(SERVED))}"
            )
    at_least("trainer.num_nodes", given.get("num_nodes", 1), 1, MOST_PROCESSES)
    devices = given.get("devices", "auto")
    if not isinstance(devices, str | list):  # auto, or some of them by their numbers
        allowed = f"a whole number from 1 to {MOST_PROCESSES}, or -1 for all there are"
        whole = isinstance(devices, int) and not isinstance(devices, bool)
        number(
            "trainer.devices", devices, lambda count: whole and count != 0 and -1 <= count <= MOST_PROCESSES, allowed
        )
    one_of("trainer.strategy", given.get("strategy", "auto"), STRATEGIES)
    parts = at_least("trainer.accumulate_grad_batches", given.get("accumulate_grad_batches", 1), 1)
    precision, device = str(given.get("precision")), given.get("accelerator", "auto")
    on_cpu = device == "cpu" or (device == "auto" and not torch.accelerator.is_available())
    if on_cpu and precision in ("16", "16-mixed", "16-true"):
        raise ValueError(f"trainer.precision={precision}: a CPU has 64-true, 32-true, bf16-true and bf16-mixed")
    trial = given.get("fast_dev_run", False)
    if trial and int(trial) % parts:
        raise ValueError(f"trainer.fast_dev_run={trial}: must be a multiple of trainer.accumulate_grad_batches={parts}")
    arguments: dict[str, Any] = instantiate(given, _convert_="all")
    return arguments


def _time_limit(minutes: float | None, time: Any) -> TimeLimit:
    """The callback that measures the time of a run, and ends it after ``max_minutes`` or Lightning's
    ``trainer.max_time``."""
    if minutes is None:
        return TimeLimit("trainer.max_time", time)
    if time is not None:
        raise ValueError(f"max_minutes={minutes}: give either it or trainer.max_time={time}")
    number("max_minutes", minutes, lambda minutes: 0 < minutes <= 1e9, "above 0, or null for no limit")
    return TimeLimit("max_minutes", timedelta(minutes=minutes))


def _check_group(trainer: pl.Trainer, alone: bool) -> None:
    """Raise ValueError for processes that would wait for each other forever, or each do the whole work."""
    processes = f"trainer.devices={trainer.num_devices} × trainer.num_nodes={trainer.num_nodes}"
    for environment, name, variable in (
        (TorchElasticEnvironment, "torchrun", "WORLD_SIZE"),
        (SLURMEnvironment, "SLURM", "SLURM_NTASKS"),
    ):
        if environment.detect():
            started = int(os.environ[variable])
            if started != trainer.num_devices * trainer.num_nodes:
                raise ValueError(f"{processes}: {name} started {started} processes; both must be the same number")
            return
    if alone and trainer.world_size > 1:
        raise ValueError(
            f"{processes}: a job of a sweep and ntm_lab.train are one process each; several are for ntm-lab train, "
            "torchrun and SLURM"
        )
    missing = [variable for variable in ADDRESS if variable not in os.environ]
    if trainer.num_nodes > 1 and missing:
        raise ValueError(
            f"{processes}: nodes find each other by SLURM, torchrun, or {', '.join(ADDRESS)} in the environment of each"
        )


def _environment(trainer: pl.Trainer) -> Any:
    return getattr(trainer.strategy, "cluster_environment", None)


def first_decides(trainer: pl.Trainer, decide: Callable[[], Outcome]) -> Outcome:
    """The decision of the first process of a run, in all processes. They meet for it; processes that Lightning starts
    itself, by the same command, are started. A RunError is raised in all of them too."""
    if trainer.world_size == 1:
        return decide()
    outcome, refused = None, None
    if trainer.is_global_zero:
        try:
            outcome = decide()
        except RunError as error:
            refused = str(error)
    launcher = trainer.strategy.launcher
    others_wait = _environment(trainer).creates_processes_externally or trainer.num_nodes > 1
    if launcher and (refused is None or others_wait):
        threads = torch.get_num_threads()
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        launcher.launch(trainer.strategy.setup_environment, trainer=trainer)
        torch.set_num_threads(threads)  # which the launcher sets, the first time
        outcome, refused = trainer.strategy.broadcast((outcome, refused))
    if refused is not None:
        raise RunError(refused)
    return cast(Outcome, outcome)


def leave_group() -> None:
    """End the part that this process has in a group of processes. The group's threads are joined: one that is still at
    work when the interpreter ends would abort the process."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
