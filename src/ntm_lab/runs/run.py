"""A run: begun or taken up, trained, tested, reported."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import TensorBoardLogger

from ntm_lab.evaluation import evaluate, summary
from ntm_lab.files import write_whole
from ntm_lab.runs.build import build, build_trainer, open_loggers
from ntm_lab.runs.config import CONFIG, RunError, leaves, one_line_errors, resolved, same_settings
from ntm_lab.runs.folder import CHECKPOINT, RESULTS, VERSIONS, discard_if_empty, versions
from ntm_lab.runs.resume import check_weights, last_checkpoint, resumable
from ntm_lab.tasks.answers import measures_of
from ntm_lab.tasks.difficulties import hardest
from ntm_lab.training.callbacks import Pictures
from ntm_lab.training.learner import Learner
from ntm_lab.training.nonfinite import NonFiniteError
from ntm_lab.types import Task


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

    def complete(self, tell: Callable[[dict[str, Any]], object] = lambda results: None) -> dict[str, Any]:
        """Train, test and report; the results, which ``tell`` hears of before the dashboards are complete.

        RunError if a value is not finite or the disk is full."""
        try:
            self.fit()
            results = self.report(self.test())
            tell(results)
            self.complete_dashboards(results)
            return results
        except NonFiniteError as error:
            raise RunError(str(error)) from error
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise RunError(f"{self.folder}: no space left on the disk; resume={self.folder} goes on") from error

    def test(self) -> list[dict[str, Any]]:
        """Rows of a test on fresh sequences."""
        test = self.config.test
        return evaluate(self.learner.model, self.task, test.difficulties or [hardest(self.task)], test.sequences)

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
        return results

    def complete_dashboards(self, results: dict[str, Any]) -> None:
        """Log the last pictures and, to TensorBoard, a row for its table of runs, by settings and result."""
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Pictures):
                callback.finish(self.trainer)
        for logger in self.trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                test = results["test"][0]
                first = {f"hp/{measure.name}": test[measure.name] for measure in measures_of(test)}
                logger.log_hyperparams(_plain(self.config), first | {"hp/seconds": results["seconds"]})
                logger.finalize("success")


def train(config: DictConfig, hydra: DictConfig) -> dict[str, Any]:
    """A run from its start to its results, which are printed too."""
    run = start(config, hydra)
    return run.complete(lambda results: print(summary(results, run.folder), flush=True))


def start(config: DictConfig, hydra: DictConfig) -> Run:
    """Build what the config says and make its folder, or take up a run: the one in the folder ``config.resume``, or
    what is left of an earlier try of the same job of a sweep.

    The config is the last file of a new folder that is written, and on disk whole or not at all: a folder without one
    is begun anew. Raises RunError, before anything is written, if a setting or the folder to be resumed is not sound.

    Args:
        config: as Hydra composes it, without its node ``hydra``.
        hydra: that node.
    """
    made = Path(hydra.runtime.output_dir)
    folder = made if config.resume is None else Path(str(config.resume))
    checkpoint = None
    try:
        if config.resume is not None:
            config, checkpoint = resumable(folder, config, hydra.overrides.task)
        else:
            config = resolved(config, hydra)
            if (folder / CONFIG).exists():
                if hydra.mode != RunMode.MULTIRUN:
                    raise RunError(f"hydra.run.dir={folder}: already holds a run; choose another, or resume={folder}")
                same_settings(folder, config)
                checkpoint = last_checkpoint(folder) if (folder / CHECKPOINT).exists() else None
        with one_line_errors():
            task, learner = build(config)
            trainer = build_trainer(config, folder, learner.data.total_steps)
        if checkpoint is not None:
            check_weights(folder, learner, checkpoint)
    finally:
        discard_if_empty(made)

    if checkpoint is None:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / VERSIONS, json.dumps(versions(), indent=2) + "\n")
        write_whole(folder / CONFIG, OmegaConf.to_yaml(config))
    resumed_at = None if checkpoint is None else checkpoint["learner"]["sequences"]
    trainer.loggers = open_loggers(config, folder, resumed_at)
    return Run(folder, config, task, learner, trainer, resumed=checkpoint is not None)


def _plain(config: DictConfig) -> dict[str, Any]:
    """The settings for TensorBoard's table of runs, without those that only say what class serves them."""
    return {
        key: value if isinstance(value, int | float | str) else str(value)
        for key, value in leaves(config)
        if not key.split(".")[-1].startswith("_") and not key.startswith(("callbacks.", "logger."))
    }
