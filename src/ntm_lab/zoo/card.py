"""A trained model that can be given away: a folder with its weights and its card.

``model.safetensors`` holds the weights in float32, ``card.json`` plain values: what the model is, the part of the
config that builds it and its task, the command that trained it, what training took, and a test on fresh sequences.
Neither can hold code, and of a card's ``_target_``s only those are built that the package is made for (`check_card`).
"""

import json
import math
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from ntm_lab import nn, tasks
from ntm_lab.nn import contents, controllers, weightings
from ntm_lab.zoo.legacy import modern_config, modern_weights

WEIGHTS, CARD = "model.safetensors", "card.json"
TEST_SEED = 2  # of the sequences that train.py tests on: the default of `evaluate`
COUNTED = ("seed", "parameters", "sequences", "seconds", "versions", "test")  # as in a run's results.json
KEYS = ("name", "task", "model", "controller", "command", "config", "test_seed", *COUNTED)

Card = dict[str, Any]


def is_packaged(folder: Path) -> bool:
    """Whether a folder holds a model that was given away, whole or not, rather than a run."""
    return (folder / CARD).is_file() or (folder / WEIGHTS).is_file()


def make_card(config: Mapping[str, Any], results: Mapping[str, Any]) -> Card:
    """The card of a run, from its resolved config and its results: ``KEYS``.

    The name is task, model and controller (if there is one), e.g. ``repeat-copy-ntm-lstm``. ``sequences`` and
    ``seconds`` are of training, ``test`` the rows of `evaluate` with the seed ``test_seed``.

    Raises ValueError if the config does not say by which overrides it was made.
    """
    if "overrides" not in config:
        raise ValueError("config.yaml has no key overrides, which says how the run was made: train it again")
    chosen = {group: config["choices"].get(group) for group in ("task", "model", "controller")}
    return {
        "name": "-".join(choice for choice in chosen.values() if choice).replace("_", "-"),
        **chosen,
        "command": shlex.join(["python", "train.py", *config["overrides"]]),
        "test_seed": TEST_SEED,
        **{key: results[key] for key in COUNTED},
        "config": {key: config[key] for key in ("overrides", "task", "model")},
    }


def write(folder: Path, card: Card, weights: Mapping[str, Tensor]) -> None:
    """Write both files, the weights by the names of the model's ``state_dict``; ValueError for a card that could not
    be read again, before anything is written."""
    check_card(folder, card)
    folder.mkdir(parents=True, exist_ok=True)
    plain = {name: value.detach().float().cpu().contiguous() for name, value in weights.items()}
    (folder / WEIGHTS).write_bytes(save(plain))  # a file of `save_file` is closed to all other users
    (folder / CARD).write_text(json.dumps(card, indent=2) + "\n")


def read_card(folder: Path) -> Card:
    """The card in a folder, whose config is safe to build from.

    Raises FileNotFoundError if there is none, ValueError if it is damaged or its config is not safe.
    """
    if not (folder / CARD).is_file():
        raise FileNotFoundError(f"{folder} is not the folder of a trained model: it has no {CARD}")
    try:
        card = json.loads((folder / CARD).read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{folder}: its {CARD} is damaged ({error})") from error
    if not isinstance(card, dict):
        card = {}
    absent = [key for key in KEYS if key not in card or (key == "test" and not card[key])]
    if not absent:
        config = card["config"] if isinstance(card["config"], dict) else {}
        absent = [f"config.{key}" for key in ("task", "model") if key not in config]
    if absent:
        raise ValueError(f"{folder}: its {CARD} is damaged (it has no {', no '.join(absent)})")
    card["config"] |= {part: modern_config(config[part]) for part in ("task", "model")}
    check_card(folder, card)
    return card


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights in a folder, by name; FileNotFoundError if there are none, ValueError if the file is damaged."""
    if not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(f"{folder} is not the folder of a trained model: it has no {WEIGHTS}")
    try:
        return modern_weights(load_file(folder / WEIGHTS))
    except SafetensorError as error:
        raise ValueError(f"{folder}: its {WEIGHTS} is damaged ({error})") from error


BUILT_FROM: tuple[ModuleType, ...] = (tasks, nn, controllers, contents, weightings)
ALLOWED = {f"{room.__name__}.{name}" for room in BUILT_FROM for name in room.__all__}


def check_card(folder: Path, card: Card) -> None:
    """ValueError for a card whose config might do more than build a task and a model.

    To look only at the beginning of a ``_target_`` would not do: Hydra follows any attribute, and
    ``ntm_lab.training.checkpoints.os.system`` is a shell. An interpolation ``${…}`` could read the environment.
    """
    for key, value in _leaves(card):
        if key == "_target_" and (not isinstance(value, str) or value not in ALLOWED):
            raise ValueError(
                f"{folder}: _target_={value} is refused, as it might run any code; a {CARD} may name only "
                f"{', '.join(sorted(ALLOWED))}"
            )
        if isinstance(value, str) and "${" in value:
            raise ValueError(f"{folder}: {key}={value} is refused; a {CARD} may hold only plain values")


def _leaves(value: Any, key: str = CARD) -> Iterator[tuple[str, Any]]:
    """All values that are no containers, and all that are called ``_target_``, each with the nearest key above it."""
    if key == "_target_" or not isinstance(value, Mapping | list):
        yield key, value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _leaves(part, name)
    else:
        for part in value:
            yield from _leaves(part, key)


def size_in_bytes(folder: Path) -> int:
    """Of the weights and the card."""
    return sum((folder / part).stat().st_size for part in (WEIGHTS, CARD))


def hardest(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Of the rows of a test that of the hardest difficulty: the one with the largest product of its axes."""
    return max(rows, key=lambda row: math.prod(row["difficulty"].values()))
