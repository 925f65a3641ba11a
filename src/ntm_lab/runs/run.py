"""A run and its folder: begun and resumed. With `jobs`, the only module here that knows Hydra.

A run's folder holds ``config.yaml`` (all that was set), ``versions.json``, ``checkpoints/last.ckpt``, ``metrics.csv``,
TensorBoard's event files, ``episode.png`` and, once it has ended, ``results.json``.
"""

import json
import logging
import pickle
import platform
import warnings
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import CompactHydraException, InstantiationException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from ntm_lab.checks import at_least, positive
from ntm_lab.files import write_whole
from ntm_lab.tasks.answers import measures_of
from ntm_lab.training.checkpoints import LastCheckpoint, WholeCheckpointIO, differing
from ntm_lab.training.learner import Learner
from ntm_lab.types import Task

CONFIG, VERSIONS, RESULTS, CHECKPOINT = "config.yaml", "versions.json", "results.json", "checkpoints/last.ckpt"
CHANGEABLE = ("resume", "max_sequences", "stop_at_cost", "test")  # what a resumed run may set anew
DAMAGED = (RuntimeError, EOFError, KeyError, pickle.UnpicklingError, OSError)  # what reading such a checkpoint raises
PACKAGES = (
    "ntm_lab",
    "torch",
    "numba",
    "pytorch-lightning",
    "hydra-core",
    "omegaconf",
    "torchmetrics",
    "tensorboard",
    "numpy",
)


class RunError(CompactHydraException):
    """What was asked for cannot be done; shown as one message, without a traceback."""


class Run(NamedTuple):
    """A run ready to be trained."""

    folder: Path
    config: DictConfig
    task: Task
    learner: Learner
    trainer: pl.Trainer
    resumed: bool

    def fit(self) -> None:
        """Train to the end, from the last checkpoint if the run is resumed."""
        checkpoint = self.folder / CHECKPOINT if self.resumed else None
        try:
            self.trainer.fit(self.learner, datamodule=self.learner.data, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:  # how the trainer ends after Ctrl-C
            print(f"\nstopped; `python train.py resume={self.folder}` goes on from the last validation")
            raise

    def report(self, test: list[dict[str, Any]]) -> dict[str, Any]:
        """Write ``results.json``, with the rows of a test on fresh sequences, and return what it says."""
        learner = self.learner
        results = {
            "task": self.config.choices.task,
            "model": self.config.choices.model,
            "seed": self.config.seed,
            "parameters": sum(part.numel() for part in learner.model.parameters() if part.requires_grad),
            "sequences": learner.sequences,
            "steps": self.trainer.global_step,
            "seconds": learner.seconds,
            "sequences_to_solve": learner.solved_since and learner.solved_since[0],
            "seconds_to_solve": learner.solved_since and learner.solved_since[1],
            "largest_gradient_norm": float(learner.largest_gradient_norm),
            "stopped_by": "stop_at_cost" if learner.solved else "max_sequences",
            "versions": versions(),
            "test": test,
            "overlap": learner.data.overlaps(),
        }
        write_whole(self.folder / RESULTS, json.dumps(results, indent=2) + "\n")
        for logger in self.trainer.loggers:
            if isinstance(logger, TensorBoardLogger):  # its table of runs, by settings and result
                hardest = {f"hp/{measure.name}": test[0][measure.name] for measure in measures_of(test[0])}
                logger.log_hyperparams(_flat(self.config), hardest | {"hp/seconds": learner.seconds})
                logger.finalize("success")
        return results


def start(config: DictConfig) -> Run:
    """Build what the config says and make its folder, or take up a run: the one in the folder ``config.resume``, or
    what is left of an earlier try of the same job of a sweep.

    The config is the last file of a new folder that is written, and on disk whole or not at all: a folder without one
    is begun anew. Raises RunError, before anything is written, if a setting or the folder to be resumed is not sound.
    """
    hydra = HydraConfig.get()
    made = Path(hydra.runtime.output_dir)
    folder = Path(config.resume) if config.resume else made
    checkpoint = None
    try:
        if config.resume:
            config, checkpoint = _resumable(folder, config, hydra.overrides.task)
        else:
            config = resolved(config, hydra)
            if (folder / CONFIG).exists():
                if hydra.mode != RunMode.MULTIRUN:
                    raise RunError(f"hydra.run.dir={folder}: already holds a run; choose another, or resume={folder}")
                same_settings(folder, config)
                checkpoint = _checkpoint(folder) if (folder / CHECKPOINT).exists() else None
        with one_line_errors():
            task, learner = build(config)
            trainer = build_trainer(config, folder, learner.data.total_steps)
        if checkpoint is not None:
            _same_weights(folder, learner, checkpoint)
    finally:
        _discard_if_empty(made)

    if checkpoint is None:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / VERSIONS, json.dumps(versions(), indent=2) + "\n")
        write_whole(folder / CONFIG, OmegaConf.to_yaml(config))
    resumed_at = None if checkpoint is None else checkpoint["learner"]["sequences"]
    trainer.loggers = open_loggers(config, folder, resumed_at)
    return Run(folder, config, task, learner, trainer, resumed=checkpoint is not None)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What a setting's own check, a constructor or the trainer says is wrong, as a RunError."""
    try:
        yield
    except InstantiationException as error:
        raise RunError(str(error.__cause__ or error)) from error
    except (ValueError, TypeError, MisconfigurationException) as error:
        raise RunError(str(error)) from error


def build(config: DictConfig) -> tuple[Task, Learner]:
    """The task, and the learner with all its parts."""
    torch.set_num_threads(at_least("threads", config.threads, 1))
    torch.set_flush_denormal(True)  # a near-empty memory is full of denormals: slow, and worth nothing
    task = instantiate(config.task)
    at_least("test.sequences", config.test.sequences, 1)
    for difficulty in config.test.difficulties or []:
        _check_difficulty(task, difficulty)
    data = instantiate(config.data)(
        task,
        instantiate(config.curriculum)(task),
        seed=at_least("seed", config.seed, 0),
        max_sequences=config.max_sequences,
    )
    torch.manual_seed(config.seed)
    model = instantiate(config.model)(task.input_size, task.output_size)
    positive("optimizer.lr", config.optimizer.lr)
    optimizer = instantiate(config.optimizer)(model.parameters())
    learner = Learner(
        model=model,
        data=data,
        optimizer=optimizer,
        schedule=instantiate(config.schedule)(optimizer, data.batch_size, config.max_sequences),
        clip=instantiate(config.clip),
        penalties=instantiate(config.penalty).values(),
        stop_at_cost=config.stop_at_cost,
        log_every=config.log_every,
    )
    return task, learner


def open_loggers(config: DictConfig, folder: Path, resumed_at: int | None = None) -> list[Logger]:
    """The loggers of a run, which begin to write to its folder; ``resumed_at`` sequences, if it is resumed."""
    return [make(folder, resumed_at) for make in instantiate(config.logger).values()]


def build_trainer(config: DictConfig, folder: Path, steps: int) -> pl.Trainer:
    """The trainer of a run of so many steps; its folder is not touched yet: `open_loggers`, which does, comes later."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # its hints and tips are not about this run
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)  # Lightning's own affair
    callbacks = [*instantiate(config.callbacks).values(), LastCheckpoint(folder / CHECKPOINT)]
    return instantiate(config.trainer)(
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


def versions() -> dict[str, str]:
    """What the run was made with."""
    return {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}


class CheckFolder(Callback):
    """Ends with one line, before Hydra makes a folder, if it cannot be made or the run to be resumed is not there."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        if config.get("resume"):
            _complete(Path(config.resume))
        _writable("hydra.run.dir", Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        _writable("hydra.sweep.dir", Path(config.hydra.sweep.dir))


def _writable(key: str, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SystemExit(f"{key}={folder}: cannot be written ({error.strerror}); give a folder that can") from error


def _complete(folder: Path) -> None:
    if not folder.is_dir():
        raise SystemExit(f"resume={folder}: there is no such folder")
    missing = [part for part in (CONFIG, CHECKPOINT) if not (folder / part).is_file()]
    if missing:
        raise SystemExit(f"resume={folder}: no run that can be continued, it has no {' and no '.join(missing)}")


def _resumable(folder: Path, asked: DictConfig, overrides: Iterable[str]) -> tuple[DictConfig, dict[str, Any]]:
    """The config of the run in a folder, with what may be set anew, and its checkpoint."""
    _complete(folder)  # a sweep does not pass CheckFolder.on_run_start
    config, checkpoint = _saved_config(folder, {*asked, "choices"}), _checkpoint(folder)
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.key_or_group
        if key.split(".")[0] in CHANGEABLE:
            OmegaConf.update(config, key, OmegaConf.select(asked, key))
            continue
        wanted, had = (
            (override.value(), config.choices[key])
            if key in config.choices
            else (OmegaConf.select(asked, key), OmegaConf.select(config, key))
        )
        if wanted != had:
            raise RunError(
                f"resume={folder}: that run has {key}={had}, not {wanted}; only {', '.join(CHANGEABLE[1:])} can change"
            )
    return config, checkpoint


def _saved_config(folder: Path, keys: Set[str]) -> DictConfig:
    try:
        config = OmegaConf.load(folder / CONFIG)
        assert isinstance(config, DictConfig)
        missing = keys - {*config}
        assert not missing, f"it has no {', '.join(sorted(missing))}"
    except Exception as error:
        raise RunError(f"resume={folder}: its {CONFIG} cannot be read ({error})") from error
    return config


def _checkpoint(folder: Path) -> dict[str, Any]:
    try:
        checkpoint: dict[str, Any] = torch.load(folder / CHECKPOINT, weights_only=True, map_location="cpu")
        checkpoint["learner"]["sequences"]
    except DAMAGED as error:
        raise RunError(f"resume={folder}: its {CHECKPOINT} is damaged or only half written") from error
    return checkpoint


def same_settings(folder: Path, asked: DictConfig) -> None:
    """RunError if the run in a folder has other settings than those asked for, whatever command they came from."""
    as_saved = OmegaConf.create(OmegaConf.to_yaml(asked))
    assert isinstance(as_saved, DictConfig)
    had, wanted = (dict(_leaves(config)) for config in (_saved_config(folder, {"choices"}), as_saved))
    for key in {**had, **wanted}:
        if key != "overrides" and had.get(key, "nothing") != wanted.get(key, "nothing"):
            raise RunError(
                f"{folder}: holds a run with {key}={had.get(key, 'nothing')}, not {wanted.get(key, 'nothing')}; "
                "choose another hydra.sweep.dir, or the settings it was begun with"
            )


def resolved(config: DictConfig, hydra: Any) -> DictConfig:
    """The config without interpolations, under ``choices`` what was chosen from each group, and under ``overrides``
    what was asked for on the command line."""
    own = {group: choice for group, choice in hydra.runtime.choices.items() if not group.startswith("hydra/")}
    resolved = OmegaConf.create({"choices": own, "overrides": [*hydra.overrides.task]})
    resolved.merge_with(OmegaConf.to_container(config, resolve=True))
    return resolved


def _check_difficulty(task: Task, difficulty: Mapping[str, int]) -> None:
    """Find out before training that the test after it would fail."""
    try:
        task.sample(1, dict(difficulty), torch.Generator())
    except ValueError as error:
        raise ValueError(f"test.difficulties={difficulty}: {error}") from error


def _same_weights(folder: Path, learner: Learner, checkpoint: Mapping[str, Any]) -> None:
    unlike = differing(learner.state_dict(), checkpoint["state_dict"])
    if unlike:
        raise RunError(f"resume={folder}: its {CHECKPOINT} is of another model than its {CONFIG}: {unlike} differ")


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings by their dotted keys, without those that only say what class serves them."""
    return {
        key: value if isinstance(value, int | float | str) else str(value)
        for key, value in _leaves(config)
        if not key.split(".")[-1].startswith("_") and not key.startswith(("callbacks.", "logger."))
    }


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All settings with their dotted keys."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _discard_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
