"""The settings of a run: resolved, flattened, compared with another run's, and refused in one line."""

import re
import traceback
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import CompactHydraException, HydraException, InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ntm_lab.files import read_yaml_text
from ntm_lab.runs.search import CONF

CONFIG = "config.yaml"
SOURCES = ("recipe", "general", "form", "of_task", "of_images")  # the sources of settings, which add nothing to them
LONGEST = 400  # characters of a message
COMPOSES = "load_configuration"  # the function of Hydra that does


class RunError(CompactHydraException):
    """A request that cannot be carried out; shown as one message, without a traceback."""

    def __init__(self, message: str) -> None:
        super().__init__(shortened(message))


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn errors of a setting's check, a constructor or the trainer into a RunError."""
    from pytorch_lightning.utilities.exceptions import MisconfigurationException  # Lightning takes seconds to import

    try:
        yield
    except InstantiationException as error:
        raise RunError(one_line(error.__cause__ or error)) from error
    except (ValueError, TypeError, ImportError, MisconfigurationException, OmegaConfBaseException) as error:
        raise RunError(one_line(error)) from error


def is_of_settings(error: BaseException) -> bool:
    """Whether an error is one of settings: raised by Hydra or OmegaConf, or while Hydra composed the config."""
    frames = traceback.walk_tb(error.__traceback__)
    composing = any(frame.f_code.co_name == COMPOSES for frame, _ in frames)
    return composing or isinstance(error, HydraException | OmegaConfBaseException)


def explain(error: BaseException, overrides: Sequence[str]) -> str:
    """The error of some overrides in one line, with the overrides that choose groups."""
    said = one_line(error)
    if isinstance(error, RunError):
        return said
    if not isinstance(error, HydraException | OmegaConfBaseException):  # a value where Hydra wants the name of a choice
        groups = {folder.name for folder in CONF.iterdir() if folder.is_dir()}
        chosen = [one for one in overrides if one.partition("=")[0] in groups] or overrides
        return shortened(f"{' '.join(chosen)}: must be one of the choices of the group ({said})")
    if isinstance(error.__cause__, OmegaConfBaseException):
        said += f" ({one_line(error.__cause__)})"
    deciding = [one for one in overrides if one.startswith(("model=", "task=", "experiment=", "~")) or "${" in one]
    return shortened(said) + (shortened(f"; asked for with {' '.join(deciding)}") if deciding else "")


def shortened(text: str) -> str:
    """A text without its middle if it is long, as it may contain a value of any length."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"


def one_line(error: BaseException) -> str:
    """The message of an error, without the further lines of Hydra and OmegaConf."""
    text = re.split(r"\n *(?:full_key|Config search path|See https)", str(error))[0]
    key = getattr(error, "full_key", None)
    return f"{key}: {text}" if key else " ".join(text.split())


def resolved(config: DictConfig, hydra: DictConfig) -> DictConfig:
    """The config without interpolations, with the choice from each group under ``choices`` and the command line's
    overrides under ``overrides``. RunError if a setting has no value."""
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
    return plain


def _of_the_sweep(group: str) -> bool:
    """Whether a group only says how jobs are found and started."""
    return group == "search" or group.startswith("hydra/")


def _check_found(choices: Mapping[str, str], values: Mapping[str, Any]) -> None:
    """Raise RunError for a recipe of another model, and for a missing recipe or budget other than the task's own."""
    gone = [group for group in ("model", "task") if choices.get(group) is None]
    if gone:
        raise RunError(f"{', '.join(gone)}: missing; every run chooses from these groups")
    model, recipe = choices.get("model"), choices.get("recipe")
    if recipe is not None and recipe.split("/")[0] != model:
        raise RunError(f"recipe={recipe}: is no recipe of model={model}; give one of recipe/{model}")
    general = values.get("general", {})
    if not isinstance(general, Mapping):
        raise RunError(f"general={general}: cannot be set; recipe=MODEL/general and budget=general choose them")
    for group, task in general.items():
        if task != choices["task"]:
            raise RunError(f"{group}={choices[group]}: is not there, and task={choices['task']} does not ask for it")


def saved(folder: Path, keys: Set[str]) -> DictConfig:
    """The config in a run's folder; RunError if it cannot be read or lacks one of the keys."""
    try:
        config = OmegaConf.create(read_yaml_text(folder / CONFIG))
        assert isinstance(config, DictConfig), "it is no mapping"
        missing = keys - {*config}
        assert not missing, f"it has no {', '.join(sorted(missing))}"
    except Exception as error:
        raise RunError(f"resume={folder}: its {CONFIG} cannot be read ({one_line(error)})") from error
    return config


def same_settings(folder: Path, asked: DictConfig) -> None:
    """Raise RunError if the run in a folder has other settings than the requested ones."""
    as_saved = OmegaConf.create(OmegaConf.to_yaml(asked))
    assert isinstance(as_saved, DictConfig)
    had, wanted = (
        {key: value for key, value in leaves(config) if key != "overrides"}
        for config in (saved(folder, {"choices"}), as_saved)
    )
    for key, one, other in differences(had, wanted):
        if key in had.keys() & wanted.keys() or not key.startswith("choices."):  # a group that was not there yet
            raise RunError(
                f"{folder}: holds a run with {key}={one}, not {other}; choose another hydra.sweep.dir, or the settings "
                "it was begun with"
            )


def differences(had: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """The dotted keys of settings that differ, with both values, "nothing" for one that is missing and has no default;
    those of ``wanted`` come first."""
    if had.keys() != wanted.keys():
        from ntm_lab.runs.settings import with_defaults  # imports PyTorch, which jobs that have ended do without

        had, wanted = with_defaults(had, wanted), with_defaults(wanted, had)
    for key in {**wanted, **had}:
        if had.get(key, "nothing") != wanted.get(key, "nothing"):
            yield key, had.get(key, "nothing"), wanted.get(key, "nothing")


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All settings with their dotted keys; a list is one setting."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def plain_leaves(config: DictConfig) -> dict[str, Any]:
    """All settings with their dotted keys, as plain values."""
    values: Any = OmegaConf.to_container(config)
    return dict(leaves(values))


def as_text(value: Any) -> str:
    """A value in the grammar of Hydra's overrides, which reads it back the same."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {as_text(part)}' for key, part in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_text, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    return text if _plain(text) else QuotedString(text, Quote.double).with_quotes()


def _plain(text: str) -> bool:
    """Whether the grammar reads a text without quotes as the same text."""
    words = text.replace("/", "_").replace("-", "_").replace(".", "_")
    return words.isascii() and words.isidentifier() and text.lower() not in ("null", "true", "false", "nan", "inf")
