"""What a run is asked for: its settings resolved, flat, compared with another run's, and refused in one line."""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.errors import CompactHydraException, InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

CONFIG = "config.yaml"
SOURCES = ("recipe", "general", "form")  # where settings come from; they say nothing that the others do not
NO_CHOICE = "Config group override must be"  # how Hydra's ValueError begins if a group is set to null
SETTINGS = (  # of every run, whatever the model
    *("seed", "max_sequences", "stop_at_cost", "threads", "log_every", "data", "test"),
    *("task", "model", "curriculum", "optimizer", "schedule", "clip", "penalty", "trainer", "logger", "callbacks"),
)


class RunError(CompactHydraException):
    """What was asked for cannot be done; shown as one message, without a traceback."""


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What a setting's own check, a constructor or the trainer says is wrong, as a RunError."""
    from pytorch_lightning.utilities.exceptions import MisconfigurationException  # Lightning takes seconds to import

    try:
        yield
    except InstantiationException as error:
        raise RunError(_one_line(error.__cause__ or error)) from error
    except (ValueError, TypeError, ImportError, MisconfigurationException, OmegaConfBaseException) as error:
        raise RunError(_one_line(error)) from error


def explain(error: Exception, overrides: Sequence[str]) -> str:
    """What Hydra says is wrong with some overrides, in one line, with those that decide which settings there are."""
    said = _one_line(error)
    if isinstance(error, RunError):
        return said
    if said.startswith(NO_CHOICE):
        return f"{' '.join(one for one in overrides if one.endswith('=null'))}: must be one of the choices of the group"
    if isinstance(error.__cause__, OmegaConfBaseException):
        said += f" ({_one_line(error.__cause__)})"
    deciding = [one for one in overrides if one.startswith(("model=", "task=", "experiment="))]
    return said + (f"; asked for with {' '.join(deciding)}" if deciding else "")


def _one_line(error: BaseException) -> str:
    text = re.split(r"\n *(?:full_key|Config search path|See https)", str(error))[0]
    key = getattr(error, "full_key", None)
    return f"{key}: {text}" if key else " ".join(text.split())


def resolved(config: DictConfig, hydra: DictConfig) -> DictConfig:
    """The config without interpolations, under ``choices`` what was chosen from each group, and under ``overrides``
    what was asked for on the command line. RunError if something is missing."""
    choices = {group: choice for group, choice in hydra.runtime.choices.items() if not _of_the_sweep(group)}
    for group, choice in choices.items():
        if choice is None and group != "experiment":
            raise RunError(f"{group}=null: must be one of the choices of this group")
    with one_line_errors():
        values: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    _check_found(choices, values)
    values = {key: value for key, value in values.items() if key not in SOURCES}
    plain = OmegaConf.create({"choices": choices, "overrides": [*hydra.overrides.task]})
    plain.merge_with(values)
    missing = [key for key in SETTINGS if key not in plain]
    if missing:
        raise RunError(f"{', '.join(missing)}: missing; every run has {', '.join(SETTINGS)}")
    return plain


def _of_the_sweep(group: str) -> bool:
    """Whether a group says how jobs are found and started, and not what they are."""
    return group == "search" or group.startswith("hydra/")


def _check_found(choices: Mapping[str, str], values: Mapping[str, Any]) -> None:
    """RunError for a recipe of another model, and for a recipe or budget that is not there, except the task's own."""
    model, recipe = choices.get("model"), choices.get("recipe")
    if recipe is not None and recipe.split("/")[0] != model:
        raise RunError(f"recipe={recipe}: is no recipe of model={model}; give one of recipe/{model}")
    for group, task in values.get("general", {}).items():
        if task != choices["task"]:
            raise RunError(f"{group}={choices[group]}: is not there, and task={choices['task']} does not ask for it")


def saved(folder: Path, keys: Set[str]) -> DictConfig:
    """The config in a run's folder; RunError if it cannot be read or has not all of the keys."""
    try:
        config = OmegaConf.load(folder / CONFIG)
        assert isinstance(config, DictConfig)
        missing = keys - {*config}
        assert not missing, f"it has no {', '.join(sorted(missing))}"
    except Exception as error:
        raise RunError(f"resume={folder}: its {CONFIG} cannot be read ({error})") from error
    return config


def same_settings(folder: Path, asked: DictConfig) -> None:
    """RunError if the run in a folder has other settings than those asked for, whatever command they came from."""
    as_saved = OmegaConf.create(OmegaConf.to_yaml(asked))
    assert isinstance(as_saved, DictConfig)
    had, wanted = (dict(leaves(config)) for config in (saved(folder, {"choices"}), as_saved))
    for key in {**had, **wanted}:
        if key != "overrides" and had.get(key, "nothing") != wanted.get(key, "nothing"):
            raise RunError(
                f"{folder}: holds a run with {key}={had.get(key, 'nothing')}, not {wanted.get(key, 'nothing')}; "
                "choose another hydra.sweep.dir, or the settings it was begun with"
            )


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All settings with their dotted keys; a list is one setting."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
