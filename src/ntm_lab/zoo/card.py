"""A trained model that can be shared: a folder with its weights and its card.

``model.safetensors`` holds the weights in float32, ``card.json`` plain values: the kind of model, the part of the
config that builds it and its task, the other packages whose classes it uses, the command that trained it, the length
of training, a test on fresh sequences, and the digest of the weights. Neither can hold code; `ntm_lab.zoo.trust` says
what a card may build.
"""

import hashlib
import json
import math
import shlex
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from ntm_lab.files import read_json
from ntm_lab.runs.config import shortened
from ntm_lab.zoo.legacy import modern_config, modern_weights
from ntm_lab.zoo.trust import check, packages

WEIGHTS, CARD = "model.safetensors", "card.json"
TEST_SEED = 2  # of the sequences that train.py tests on: the default of `evaluate`
COUNTED = ("seed", "parameters", "sequences", "seconds", "versions", "test")  # as in a run's results.json
KINDS: dict[str, Any] = {  # what a card has
    "name": str,
    "task": str,
    "model": str,
    "controller": str | None,
    "packages": dict,
    "command": str,
    "config": dict,
    "test_seed": int,
    "seed": int,
    "parameters": int,
    "sequences": int,
    "seconds": float | int,
    "versions": dict,
    "test": list,
}
PARTS = ("task", "model")  # of the config
DIGEST = "sha256"  # of the file of the weights; cards of older versions have none

Card = dict[str, Any]


def is_packaged(folder: Path) -> bool:
    """Whether a folder holds a shared model, complete or not, rather than a run."""
    return (folder / CARD).is_file() or (folder / WEIGHTS).is_file()


def make_card(config: Mapping[str, Any], results: Mapping[str, Any]) -> Card:
    """The card of a run, from its resolved config and its results: ``KINDS``.

    The name is task, model and controller (if there is one), e.g. ``repeat-copy-ntm-lstm``. ``packages`` has the
    versions of the other packages whose classes are needed. ``sequences`` and ``seconds`` are of training, ``test`` the
    rows of `evaluate` with the seed ``test_seed``.

    Raises ValueError if the config does not say by which overrides it was made, and if it names classes of a package
    that is not installed.
    """
    if "overrides" not in config:
        raise ValueError("config.yaml has no key overrides, which says how the run was made: train it again")
    chosen = {group: config["choices"].get(group) for group in ("task", "model", "controller")}
    parts = {part: config[part] for part in PARTS}
    return {
        "name": "-".join(choice for choice in chosen.values() if choice).replace("_", "-"),
        **chosen,
        "packages": packages(list(parts.values())),
        "command": shlex.join(["python", "train.py", *config["overrides"]]),
        "test_seed": TEST_SEED,
        **{key: results[key] for key in COUNTED},
        "config": {"overrides": config["overrides"], **parts},
    }


def write(folder: Path, card: Card, weights: Mapping[str, Tensor]) -> None:
    """Write both files, the weights by the names of the model's ``state_dict``, their digest into the card.

    Raises ValueError, before anything is written, for a card from which the model cannot be built.
    """
    check_card(folder, card, trust=[*card["packages"]])
    folder.mkdir(parents=True, exist_ok=True)
    plain = {name: value.detach().float().cpu().contiguous() for name, value in weights.items()}
    content = save(plain)
    (folder / WEIGHTS).write_bytes(content)  # a file of `save_file` is closed to all other users
    (folder / CARD).write_text(json.dumps(card | {DIGEST: hashlib.sha256(content).hexdigest()}, indent=2) + "\n")


def read_card(folder: Path) -> Card:
    """The card in a folder. Reading runs no code; `check_card` must allow the card before anything is built from it.

    Raises FileNotFoundError if there is none, ValueError if it is damaged.
    """
    if not (folder / CARD).is_file():
        raise FileNotFoundError(f"{folder} is not the folder of a trained model: it has no {CARD}")
    try:
        card = read_json(folder / CARD)
        damage = _damage(card)
        if not damage:
            card["config"] |= {part: modern_config(card["config"][part]) for part in PARTS}
    except (ValueError, RecursionError) as error:
        damage = str(error)
    if damage:
        raise ValueError(shortened(f"{folder}: its {CARD} is damaged ({damage})"))
    return card


def _damage(card: Any) -> str:
    """The faults of a card, empty for a sound one. An older card gets an empty entry for packages."""
    if not isinstance(card, dict):
        return "it is no mapping"
    card.setdefault("packages", {})
    absent = [key for key in KINDS if key not in card or (key == "test" and not card[key])]
    if not absent:
        config = card["config"] if isinstance(card["config"], dict) else {}
        absent = [f"config.{part}" for part in PARTS if part not in config]
    if absent:
        return f"it has no {', no '.join(absent)}"
    wrong = [key for key, kind in KINDS.items() if not isinstance(card[key], kind)]
    rows = [] if wrong else [row for row in card["test"] if not _is_row(row)]
    return f"its {(wrong or ['test'])[0]} is of another kind" if wrong or rows else ""


def _is_row(row: Any) -> bool:
    """Whether it is a row of `evaluate`."""
    return isinstance(row, dict) and isinstance(row.get("difficulty"), dict) and isinstance(row.get("n"), int)


def check_card(folder: Path, card: Card, trust: str | Collection[str] = ()) -> None:
    """Raise ValueError for a card whose config might do more than build a task and a model from classes of this package
    and of trusted ones."""
    try:
        check([card["config"][part] for part in PARTS], trust)
    except (ValueError, RecursionError) as error:
        raise ValueError(shortened(f"{folder}: {error}")) from error


def reading_files(task: Any) -> dict[str, Any] | None:
    """The part of a task's config with the ``root`` of its files, which are a user's own copy; None if it reads none.

    It is the task's own node, as of bAbI, or one below, such as ``images``.
    """
    parts = [task, *task.values()] if isinstance(task, dict) else []
    return next((part for part in parts if isinstance(part, dict) and "root" in part), None)


def read_weights(folder: Path, card: Card) -> dict[str, Tensor]:
    """The weights in a folder, by name; FileNotFoundError if there are none, ValueError if they are damaged."""
    if not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(f"{folder} is not the folder of a trained model: it has no {WEIGHTS}")
    content = (folder / WEIGHTS).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if card.get(DIGEST, digest) != digest:
        raise ValueError(f"{folder}: its {WEIGHTS} is damaged, it is not the file that its {CARD} was written with")
    try:
        return modern_weights(load(content))
    except Exception as error:  # a damaged file may raise anything
        raise ValueError(shortened(f"{folder}: its {WEIGHTS} is damaged ({error})")) from error


def size_in_bytes(folder: Path) -> int:
    """The size of the weights and the card together."""
    return sum((folder / part).stat().st_size for part in (WEIGHTS, CARD))


def hardest(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The row of the hardest difficulty of a test: the one with the largest product of its axes."""
    return max(rows, key=lambda row: math.prod(row["difficulty"].values()))
