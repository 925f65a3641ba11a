"""A run: begun or taken up, trained, tested, reported; and how a trained model is found again."""

import errno
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from ntm_lab.evaluation import evaluate, summary
from ntm_lab.files import write_whole
from ntm_lab.runs.build import build, build_trainer, open_loggers
from ntm_lab.runs.config import CONFIG, RunError, leaves, one_line_errors, resolved, same_settings
from ntm_lab.runs.folder import CHECKPOINT, RESULTS, VERSIONS, discard_if_empty, versions
from ntm_lab.runs.resume import DAMAGED, check_weights, last_checkpoint, resumable
from ntm_lab.runs.resume import differing as _differing
from ntm_lab.tasks.difficulties import hardest
from ntm_lab.training.learner import Learner
from ntm_lab.training.nonfinite import NonFiniteError
from ntm_lab.types import SequenceModel, Task
from ntm_lab.zoo.card import CARD, Card, is_packaged, make_card, read_card, read_weights
from ntm_lab.zoo.legacy import modern_config, modern_weights
from ntm_lab.zoo.shipped import locate


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

    def complete(self) -> dict[str, Any]:
        """Train, test and report; the results. RunError if a value is not finite or the disk is full."""
        try:
            self.fit()
            return self.report(self.test())
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
        for logger in self.trainer.loggers:
            if isinstance(logger, TensorBoardLogger):  # its table of runs, by settings and result
                hardest = {f"hp/{name}": test[0][name] for name in ("cost_bits", "wrong_bits", "exact")}
                logger.log_hyperparams(_plain(self.config), hardest | {"hp/seconds": learner.seconds})
                logger.finalize("success")
        return results


def train(config: DictConfig, hydra: DictConfig) -> dict[str, Any]:
    """A run from its start to its results, which are printed too."""
    run = start(config, hydra)
    results = run.complete()
    print(summary(results, run.folder))
    return results


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


class Trained(NamedTuple):
    """A trained model, and what it was trained on."""

    folder: Path
    config: DictConfig  # of a model with a card: its ``choices``, ``task`` and ``model`` only
    task: Task
    model: SequenceModel


def load(source: str | Path, slots: int | None = None) -> SequenceModel:
    """A trained model, ready to be used: ``logits, state = load("copy-ntm-lstm")(inputs)``. See `find`."""
    return find(source, slots).model


def find(source: str | Path, slots: int | None = None) -> Trained:
    """A trained model with its task and its config.

    Args:
        source: a run's folder, the name of a model that comes with the package (`ntm-lab models` lists them;
            ``"copy-ntm"`` is the best of all controllers), or the folder of a model that was given away. The last two
            can hold no code; a run's config may name any class of yours, so take runs only from people you trust.
        slots: another number of memory slots than it was trained with, where its initial state allows it.

    Raises FileNotFoundError if there is no such thing or a part of it is missing, ValueError if a part of it is
    damaged, if its config might run foreign code, or if the slots cannot be changed.
    """
    folder = locate(source)
    config, weights = _given_away(folder) if is_packaged(folder) else _left_by_run(folder)
    try:
        for node in (config, config.model):
            if "backend" in node:
                node.backend = "auto"  # here need not be what was there
        task = instantiate(config.task)
        model: SequenceModel = instantiate(config.model)(task.input_size, task.output_size)
    except Exception as error:  # what is built from other people's values may raise anything
        raise ValueError(f"{folder}: no model can be built from its config ({error.__cause__ or error})") from error
    differing = _differing(model.state_dict(), weights)
    if differing:
        raise ValueError(f"{folder}: its weights are of another model than its config: {differing} differ")
    model.load_state_dict(weights)
    if slots is not None:
        model.resize(slots)
    return Trained(folder, config, task, model.eval())


def card_of(trained: Trained) -> Card:
    """The card of a trained model: that which came with it, or of a run that has ended one made from its results.

    Raises FileNotFoundError if the run has not ended, ValueError if its files do not tell what a card has to.
    """
    if is_packaged(trained.folder):
        return read_card(trained.folder)
    results = trained.folder / RESULTS
    if not results.is_file():
        raise FileNotFoundError(f"{trained.folder} has no {RESULTS}: a card is made of a run that has ended")
    config: Any = OmegaConf.to_container(trained.config)
    try:
        return make_card(config, json.loads(results.read_text()))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{trained.folder}: no card can be made of it ({error})") from error


def _given_away(folder: Path) -> tuple[DictConfig, dict[str, Tensor]]:
    """Config and weights of a model with a card, which has been checked for foreign code."""
    card, weights = read_card(folder), read_weights(folder)
    choices = {group: card[group] for group in ("task", "model", "controller") if card[group] is not None}
    nodes = {group: card["config"][group] for group in ("task", "model")}
    return OmegaConf.create({"choices": choices, **nodes}), weights


def _left_by_run(folder: Path) -> tuple[DictConfig, dict[str, Tensor]]:
    """Config and weights of a run."""
    for part in (CONFIG, CHECKPOINT):
        if not (folder / part).is_file():
            raise FileNotFoundError(f"{folder} is not the folder of a run: it has no {part} (and no {CARD})")
    try:
        config = OmegaConf.load(folder / CONFIG)
        assert isinstance(config, DictConfig) and {"task", "model"} <= {*config}, "it has no task and model"
        for part in ("task", "model"):
            config[part] = modern_config(OmegaConf.to_container(config[part]))
    except Exception as error:
        raise ValueError(f"{folder}: its {CONFIG} cannot be read ({error})") from error
    try:
        state = torch.load(folder / CHECKPOINT, weights_only=True, map_location="cpu")["state_dict"]
    except DAMAGED as error:
        raise ValueError(f"{folder}: its {CHECKPOINT} is damaged or only half written") from error
    weights = {name.removeprefix("model."): part for name, part in state.items() if name.startswith("model.")}
    return config, modern_weights(weights)
