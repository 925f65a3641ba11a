"""A run: started or resumed, trained, tested, reported."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers.logger import DummyLogger
from pytorch_lightning.utilities.exceptions import SIGTERMException

from ntm_lab.evaluation import evaluate, grown, summary
from ntm_lab.files import write_whole
from ntm_lab.runs.build import build, open_loggers, told_apart_by
from ntm_lab.runs.config import CONFIG, RunError, one_line_errors, resolved, same_settings
from ntm_lab.runs.folder import (
    CHECKPOINT,
    RESULTS,
    VERSIONS,
    has_begun,
    one_line_if_full,
    resume_command,
    resumed_folder,
    versions,
)
from ntm_lab.runs.resume import last_checkpoint, restore, resumable
from ntm_lab.runs.trainer import Trainer, build_trainer, first_decides, leave_group
from ntm_lab.tasks.answers import measures_of
from ntm_lab.tasks.difficulties import hardest
from ntm_lab.training.callbacks import Pictures
from ntm_lab.training.learner import Learner
from ntm_lab.training.loggers import RunLog
from ntm_lab.training.nonfinite import NonFiniteError
from ntm_lab.types import Task


class Run(NamedTuple):
    """A run ready to be trained."""

    folder: Path
    config: DictConfig
    task: Task
    learner: Learner
    trainer: Trainer
    resumed: bool

    def fit(self) -> None:
        """Train to the end, from the last checkpoint if the run is resumed.

        Raises SystemExit with the status of a process that a signal ended, 143 or 130, after a line that says how to
        resume.
        """
        checkpoint = self.folder / CHECKPOINT if self.resumed else None
        if self.trainer.is_global_zero:
            for left in self.folder.glob("hpc_ckpt_*.ckpt"):  # by Lightning, when SLURM took the machine away
                left.unlink()
        try:
            self.trainer.fit(self.learner, datamodule=self.learner.data, ckpt_path=checkpoint, weights_only=True)
        except SIGTERMException:
            self._end_by(signal.SIGTERM)
        except SystemExit as error:
            if isinstance(error.__context__, KeyboardInterrupt):  # how the trainer ends after one
                self._end_by(signal.SIGINT)
            raise

    def complete(self, tell: Callable[[dict[str, Any]], object] = lambda results: None) -> dict[str, Any] | None:
        """Train, test and report; returns the results, after ``tell`` was called with them and the dashboards
        completed.

        Only the first of several processes has results; the others get None. RunError if a value is not finite or the
        disk is full; SystemExit as in `fit`.
        """
        with one_line_if_full(self.folder):
            try:
                self.fit()
                if not self.trainer.is_global_zero:
                    return None
                results = self.report(self.test())
                tell(results)
                self.complete_dashboards(results)
                return results
            except KeyboardInterrupt:
                self._end_by(signal.SIGINT)
            except NonFiniteError as error:
                raise RunError(str(error)) from error

    def _end_by(self, number: signal.Signals) -> NoReturn:
        if self.trainer.is_global_zero:
            print(f"\nstopped by {number.name}; `{resume_command(self.folder)}` goes on from the last validation")
        raise SystemExit(128 + number)

    def test(self) -> list[dict[str, Any]]:
        """Rows of a test on fresh sequences."""
        test, model = self.config.test, self.learner.model
        points = [*(test.difficulties or [hardest(self.task)])]
        if not test.get("grow", False):
            return evaluate(model, self.task, points, test.sequences)
        return [
            row
            for point in points
            for row in evaluate(grown(model, self.task, point), self.task, [point], test.sequences)
        ]

    def report(self, test: list[dict[str, Any]]) -> dict[str, Any]:
        """Write ``results.json``, with the rows of a test on fresh sequences, and return what it says."""
        learner = self.learner
        results = {
            "task": self.config.choices.task,
            "model": self.config.choices.model,
            "seed": self.config.seed,
            "parameters": sum(part.numel() for part in learner.model.parameters() if part.requires_grad),
            "state_bits": learner.model.state_bits(),
            "sequences": learner.sequences,
            "steps": self.trainer.global_step,
            "seconds": learner.seconds,
            "sequences_to_solve": learner.solved_since and learner.solved_since[0],
            "seconds_to_solve": learner.solved_since and learner.solved_since[1],
            "largest_gradient_norm": float(learner.largest_gradient_norm),
            "stopped_by": self.trainer.stopped_by(learner),
            "versions": versions(),
            "test": test,
            "overlap": learner.data.overlaps(),
        }
        write_whole(self.folder / RESULTS, json.dumps(results, indent=2) + "\n")
        return results

    def complete_dashboards(self, results: dict[str, Any]) -> None:
        """Log the last pictures and, where loggers show them, the results."""
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Pictures):
                callback.finish(self.trainer)
        test, table = results["test"], summary(results, self.folder).strip()
        scores = {measure.name: test[0][measure.name] for measure in measures_of(test[0])} if test else {}
        for logger in self.trainer.loggers:
            if isinstance(logger, RunLog):
                logger.end(told_apart_by(self.config), scores | {"seconds": results["seconds"]}, table)


def train(config: DictConfig, hydra: DictConfig) -> dict[str, Any] | None:
    """Run from the start to the results, which the first of several processes also prints."""
    try:
        run = start(config, hydra)
        return run.complete(lambda results: print(summary(results, run.folder), flush=True))
    finally:
        leave_group()


def start(config: DictConfig, hydra: DictConfig) -> Run:
    """Build a run from its config and make its folder, or resume one: that in the folder ``config.resume``, or an
    earlier attempt of the same job of a sweep or of SLURM. `claim` holds the folder meanwhile.

    The config is written last into a new folder, whole or not at all: a folder without checkpoint and results is
    started over. Raises RunError, before anything is written, for an invalid setting and for a folder that cannot be
    resumed. Several processes build the same; only the first one reads the folder and writes, and the others follow.

    Args:
        config: as Hydra composes it, without its node ``hydra``.
        hydra: that node.
    """
    checkpoint, new = None, config.resume is None
    if new:
        folder = Path(hydra.runtime.output_dir)
        config = resolved(config, hydra)
    else:
        folder = resumed_folder(config)
        config, checkpoint = resumable(folder, config, hydra.overrides.task)
    with one_line_errors():
        task, learner = build(config)
        trainer = build_trainer(config, folder, learner, alone=hydra.mode != RunMode.RUN)

    def settle() -> tuple[Path, int | None]:
        found = _of_earlier_try(folder, config, hydra) if new else checkpoint
        return folder, _settle(folder, config, learner, found)

    with one_line_if_full(folder), one_line_errors():
        folder, resumed_at = first_decides(trainer, settle)
        trainer.loggers = open_loggers(config, folder, resumed_at) if trainer.is_global_zero else [DummyLogger()]
    return Run(folder, config, task, learner, trainer, resumed=resumed_at is not None)


def _of_earlier_try(folder: Path, config: DictConfig, hydra: DictConfig) -> dict[str, Any] | None:
    """The checkpoint of an earlier attempt of the same job; RunError if another run is in the folder."""
    requeued = int(os.environ.get("SLURM_RESTART_COUNT", 0)) > 0
    if (hydra.mode == RunMode.MULTIRUN or requeued) and (folder / CONFIG).exists():
        same_settings(folder, config)
        return last_checkpoint(folder, config)
    if has_begun(folder):
        raise RunError(
            f"hydra.run.dir={folder}: already holds a run; choose another, or go on with `{resume_command(folder)}`"
        )
    return None


def _settle(folder: Path, config: DictConfig, learner: Learner, checkpoint: dict[str, Any] | None) -> int | None:
    """Restore the learner from the checkpoint and return its number of sequences, or make the folder of a new run."""
    if checkpoint is not None:
        restore(folder, config, learner, checkpoint)
        return int(checkpoint["learner"]["sequences"])
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / VERSIONS, json.dumps(versions(), indent=2) + "\n")
    write_whole(folder / CONFIG, OmegaConf.to_yaml(config))
    return None
