"""From settings to objects: the task, the learner with all its parts, and the loggers."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from ntm_lab.checks import positive
from ntm_lab.runs.settings import about, check
from ntm_lab.runs.sizes import check_difficulties, check_fits
from ntm_lab.training.learner import Learner
from ntm_lab.training.loggers import RunLog, check_installed
from ntm_lab.types import Task


def build(config: DictConfig) -> tuple[Task, Learner]:
    """The task, and the learner with all its parts; RunError or ValueError, of one line, for wrong settings."""
    settings: Any = OmegaConf.to_container(config)
    check(settings)
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)  # a near-empty memory is full of denormals: slow, and worth nothing
    check_installed(config.logger)
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
            slots=config.get("training_slots"),  # runs of earlier versions have none
            log_every=config.log_every,
        )
    return task, learner


def _make(config: DictConfig, key: str, *arguments: Any, **named: Any) -> Any:
    """The object that a part of the config describes, called with arguments if there are any."""
    with about(key, config[key]):
        made = instantiate(config[key], _convert_="all")  # plain lists: an optimizer's are in every checkpoint
        return made(*arguments, **named) if arguments or named else made


@contextmanager
def _naming(config: DictConfig, group: str, other: str) -> Iterator[None]:
    """Add the choices of both groups to an error about the first one."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith(f"{group}:"):
            raise
        both = " ".join(f"{one}={config.choices[one]}" for one in (group, other))
        raise ValueError(f"{both}:{str(error).removeprefix(f'{group}:')}") from error


def _check_difficulty(task: Task, difficulty: Mapping[str, int]) -> None:
    """Check before training that the test after it can run."""
    with about(f"test.difficulties={difficulty}", None):
        task.sample(1, dict(difficulty), torch.Generator())


def open_loggers(config: DictConfig, folder: Path, resumed_at: int | None = None) -> list[Logger]:
    """The loggers of a run, which begin to write to its folder; ``resumed_at`` sequences, if it is resumed."""
    loggers = []
    for name, settings in config.logger.items():
        with about(f"logger.{name}", settings):
            loggers.append(instantiate(settings)(folder, resumed_at))
    for logger in loggers:
        logger.log_metrics = _by_sequences(logger.log_metrics, config.data.batch_size)
        if resumed_at is None and isinstance(logger, RunLog):
            command = shlex.join(["python", "train.py", *config.overrides])
            logger.begin(command, cast(dict[str, Any], OmegaConf.to_container(config)))
    return loggers


def _by_sequences(log_metrics: Callable[..., None], batch_size: int) -> Callable[..., None]:
    """Log the values of Lightning and its callbacks, given at steps, against sequences."""

    def log(metrics: Mapping[str, float], step: int | None = None) -> None:
        if step is not None and "step" not in metrics:  # which the learner always says
            metrics, step = {"step": step, **metrics}, step * batch_size
        log_metrics(metrics, step)

    return log


def told_apart_by(config: DictConfig) -> dict[str, Any]:
    """The settings that identify a run: task, model, seed, and the overrides."""
    told: dict[str, Any] = {"task": config.choices.task, "model": config.choices.model, "seed": config.seed}
    for override in OverridesParser.create().parse_overrides([*config.overrides]):
        key = override.get_key_element().lstrip("+~")
        if not key.startswith(("hydra.", "logger", "callbacks")):
            value = None if override.is_delete() else override.value()
            told[key] = value if isinstance(value, int | float | str) else str(value)
    return told
