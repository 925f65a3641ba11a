"""Resuming a run: its config with the settings that may change, its checkpoint, and the checks of both."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from ntm_lab.runs.config import CONFIG, RunError, differences, plain_leaves, saved
from ntm_lab.runs.folder import CHECKPOINT, check_resumable
from ntm_lab.runs.settings import REQUIRED
from ntm_lab.training.checkpoints import SETTINGS, read_checkpoint
from ntm_lab.training.learner import Learner

CHANGEABLE = (  # settings that a resumed run may change
    *("resume", "max_sequences", "max_minutes", "stop_at_cost", "test"),
    *("trainer.max_time", "trainer.devices", "trainer.num_nodes"),
)
UNTRAINED = (*CHANGEABLE, "choices", "overrides", "logger", "callbacks")  # settings that do not affect training
HELD = {  # what goes on with a run
    "state_dict": Mapping,
    "learner": Mapping,
    "Data": Mapping,
    "optimizer_states": list,
    "lr_schedulers": list,
    "loops": Mapping,
    "callbacks": Mapping,
    "global_step": int,
    "epoch": int,
    "pytorch-lightning_version": str,
}


def resumable(folder: Path, asked: DictConfig, overrides: Iterable[str]) -> tuple[DictConfig, dict[str, Any] | None]:
    """The config of the run in a folder, with changed settings, and its checkpoint; None if it has to start over.

    Of the requested settings only those of the command line count: the rest are defaults.

    Raises RunError if either cannot be read, or if a requested setting differs and may not change.
    """
    check_resumable(folder)
    config = saved(folder, {*REQUIRED, "choices"})
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.key_or_group
        if key == "resume":
            continue
        if _is_below(key, CHANGEABLE):
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
    return config, last_checkpoint(folder, config)


def last_checkpoint(folder: Path, config: DictConfig) -> dict[str, Any] | None:
    """The checkpoint in a run's folder, None if there is none yet; RunError if it is damaged or of another config."""
    if not (folder / CHECKPOINT).exists():
        return None
    try:
        checkpoint = read_checkpoint(folder / CHECKPOINT)
    except ValueError as error:
        raise RunError(f"resume={folder}: its {CHECKPOINT} {error}") from error
    wrong = [key for key, kind in HELD.items() if not isinstance(checkpoint.get(key), kind)]
    if wrong:
        raise RunError(f"resume={folder}: its {CHECKPOINT} is no checkpoint of a run, it has no {', '.join(wrong)}")
    _check_settings(folder, config, checkpoint)
    return checkpoint


def _check_settings(folder: Path, config: DictConfig, checkpoint: Mapping[str, Any]) -> None:
    """Raise RunError if the checkpoint was trained with other settings than those of the config, which may have been
    edited.

    Checkpoints of older versions hold no settings.
    """
    kept = checkpoint.get(SETTINGS)
    if not isinstance(kept, Mapping):
        return
    had, says = (
        {key: value for key, value in one.items() if not _is_below(str(key), UNTRAINED)}
        for one in (kept, plain_leaves(config))
    )
    for key, trained, now in differences(had, says):
        raise RunError(
            f"resume={folder}: its {CONFIG} has {key}={now}, but its {CHECKPOINT} was trained with {trained}"
        )


def restore(folder: Path, config: DictConfig, learner: Learner, checkpoint: Mapping[str, Any]) -> None:
    """Restore a learner from a checkpoint, as the trainer will; RunError if it belongs to another run than the config.

    This happens before anything is trained or written, so that a checkpoint the trainer could not restore fails here.
    """
    fault = f"resume={folder}: its {CHECKPOINT} is of another run than its {CONFIG}"
    if not is_state(checkpoint["state_dict"]):
        raise RunError(f"{fault}: it has no weights")
    differ = differing(learner.state_dict(), checkpoint["state_dict"])
    if differ:
        raise RunError(f"{fault}: {differ} differ")
    try:
        (optimizer,), (schedule,) = checkpoint["optimizer_states"], checkpoint["lr_schedulers"]
        for group, own in zip(optimizer["param_groups"], learner.optimizer.param_groups, strict=True):
            other = group.keys() - own.keys()
            if other:
                raise ValueError(f"optimizer: the checkpoint's has {', '.join(sorted(other))}")
        learner.load_state_dict(checkpoint["state_dict"])
        learner.optimizer.load_state_dict(optimizer)
        learner.schedule.load_state_dict(schedule)
        learner.data.load_state_dict(checkpoint["Data"])
        learner.on_load_checkpoint(dict(checkpoint))
    except Exception as error:  # a file of another program may raise anything
        raise RunError(f"{fault} ({type(error).__name__}: {' '.join(str(error).split())})") from error


def _is_below(key: str, tops: Iterable[str]) -> bool:
    """Whether a dotted key is one of these or below one of them."""
    return any(key == top or key.startswith(f"{top}.") for top in tops)


def is_state(state: Any) -> TypeGuard[Mapping[str, Tensor]]:
    """Whether the value is a mapping of names to weights."""
    return isinstance(state, Mapping) and all(
        isinstance(name, str) and isinstance(part, Tensor) for name, part in state.items()
    )


def differing(own: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> str:
    """The names that only one of the two has, or whose shapes differ."""
    mine, theirs = ({name: value.shape for name, value in weights.items()} for weights in (own, other))
    return ", ".join(sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)))
