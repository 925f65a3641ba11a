"""From settings to objects: the task, the learner with all its parts, the trainer and the loggers."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from ntm_lab.checks import positive
from ntm_lab.runs.config import plain_leaves
from ntm_lab.runs.folder import CHECKPOINT
from ntm_lab.runs.settings import about, check
from ntm_lab.runs.sizes import check_difficulties, check_fits
from ntm_lab.training.checkpoints import LastCheckpoint, WholeCheckpointIO
from ntm_lab.training.learner import Learner
from ntm_lab.types import Task


def build(config: DictConfig) -> tuple[Task, Learner]:
    """The task, and the learner with all its parts; RunError or ValueError, of one line, for wrong settings."""
    settings: Any = OmegaConf.to_container(config)
    check(settings)
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)  # a near-empty memory is full of denormals: slow, and worth nothing
    task = _make(config, "task")
    make_model = _make(config, "model")
    check_fits(settings, task, make_model)
    check_difficulties(settings, task)
    for difficulty in config.test.difficulties or []:
        _check_difficulty(task, difficulty)
    data = _make(
        config, "data", task, _make(config, "curriculum", task), seed=config.seed, max_sequences=config.max_sequences
    )
    torch.manual_seed(config.seed)
    with about("model", config.model):
        model = make_model(task.input_size, task.output_size)
    positive("optimizer.lr", config.optimizer.lr)
    optimizer = _make(config, "optimizer", model.parameters())
    schedule = _make(config, "schedule", optimizer, data.batch_size, config.max_sequences)
    with _naming(config, "penalty", "model"):
        learner = Learner(
            model=model,
            data=data,
            optimizer=optimizer,
            schedule=schedule,
            clip=_make(config, "clip"),
            penalties=_make(config, "penalty").values(),
            stop_at_cost=config.stop_at_cost,
            log_every=config.log_every,
        )
    return task, learner


def _make(config: DictConfig, key: str, *arguments: Any, **named: Any) -> Any:
    """What a part of the config stands for, called with arguments if there are any."""
    with about(key, config[key]):
        made = instantiate(config[key])
        return made(*arguments, **named) if arguments or named else made


@contextmanager
def _naming(config: DictConfig, group: str, other: str) -> Iterator[None]:
    """An error about the first group names what was chosen from both."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith(f"{group}:"):
            raise
        both = " ".join(f"{one}={config.choices[one]}" for one in (group, other))
        raise ValueError(f"{both}:{str(error).removeprefix(f'{group}:')}") from error


def _check_difficulty(task: Task, difficulty: Mapping[str, int]) -> None:
    """Find out before training that the test after it would fail."""
    with about(f"test.difficulties={difficulty}", None):
        task.sample(1, dict(difficulty), torch.Generator())


def build_trainer(config: DictConfig, folder: Path, steps: int) -> pl.Trainer:
    """The trainer of a run of this number of steps. It does not touch the folder yet; `open_loggers` does, later."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # its hints and tips are not about this run
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)  # Lightning's own affair
    callbacks = [*_make(config, "callbacks").values(), LastCheckpoint(folder / CHECKPOINT, plain_leaves(config))]
    return _make(
        config,
        "trainer",
        default_root_dir=folder,
        logger=False,
        callbacks=callbacks,
        plugins=[WholeCheckpointIO()],
        max_epochs=-1,
        max_steps=steps,
        reload_dataloaders_every_n_epochs=1,  # a round is as long as the budget allows
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        log_every_n_steps=1,  # the learner knows when
    )


def open_loggers(config: DictConfig, folder: Path, resumed_at: int | None = None) -> list[Logger]:
    """The loggers of a run, which begin to write to its folder; ``resumed_at`` sequences, if it is resumed."""
    loggers = []
    for name, settings in config.logger.items():
        with about(f"logger.{name}", settings):
            loggers.append(instantiate(settings)(folder, resumed_at))
    return loggers
