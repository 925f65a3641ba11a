"""Going on with a run: its config with what may be set anew, its checkpoint, and the checks of both."""

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from ntm_lab.runs.config import CONFIG, SETTINGS, RunError, saved
from ntm_lab.runs.folder import CHECKPOINT, check_complete
from ntm_lab.training.learner import Learner

CHANGEABLE = (  # what a resumed run may set anew
    *("resume", "max_sequences", "max_minutes", "stop_at_cost", "test"),
    *("trainer.max_time", "trainer.devices", "trainer.num_nodes"),
)
DAMAGED = (RuntimeError, EOFError, KeyError, pickle.UnpicklingError, OSError)  # what reading such a checkpoint raises


def resumable(folder: Path, asked: DictConfig, overrides: Iterable[str]) -> tuple[DictConfig, dict[str, Any]]:
    """The config of the run in a folder, with what may be set anew, and its checkpoint.

    Raises RunError if either cannot be read, or if something else is asked for than the run has.
    """
    check_complete(folder)  # a sweep does not pass CheckFolder.on_run_start
    config, checkpoint = saved(folder, {*SETTINGS, "choices"}), last_checkpoint(folder)
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.key_or_group
        if {key, key.split(".")[0]} & {*CHANGEABLE}:
            OmegaConf.update(config, key, OmegaConf.select(asked, key), force_add=True)
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


def last_checkpoint(folder: Path) -> dict[str, Any]:
    """The checkpoint in a run's folder; RunError if it is damaged."""
    try:
        checkpoint: dict[str, Any] = torch.load(folder / CHECKPOINT, weights_only=True, map_location="cpu")
        checkpoint["learner"]["sequences"]
    except DAMAGED as error:
        raise RunError(f"resume={folder}: its {CHECKPOINT} is damaged or only half written") from error
    return checkpoint


def check_weights(folder: Path, learner: Learner, checkpoint: Mapping[str, Any]) -> None:
    """RunError if a checkpoint is of another model than its config."""
    differ = differing(learner.state_dict(), checkpoint["state_dict"])
    if differ:
        raise RunError(f"resume={folder}: its {CHECKPOINT} is of another model than its {CONFIG}: {differ} differ")


def differing(own: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> str:
    """The names that only one of the two has, or that have another shape there."""
    mine, theirs = ({name: value.shape for name, value in weights.items()} for weights in (own, other))
    return ", ".join(sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)))
