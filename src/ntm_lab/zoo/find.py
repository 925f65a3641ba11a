"""Finding and loading trained models: those of the package, shared ones, and runs."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from ntm_lab.files import read_json, read_yaml_text
from ntm_lab.runs.config import CONFIG, shortened
from ntm_lab.runs.folder import CHECKPOINT, RESULTS
from ntm_lab.runs.resume import differing, is_state
from ntm_lab.runs.sizes import check_fits
from ntm_lab.training.checkpoints import read_checkpoint
from ntm_lab.types import SequenceModel, Task
from ntm_lab.zoo import shipped
from ntm_lab.zoo.card import (
    CARD,
    DIGEST,
    PARTS,
    Card,
    check_card,
    is_packaged,
    make_card,
    read_card,
    read_weights,
    reading_files,
    write,
)
from ntm_lab.zoo.legacy import modern_config, modern_weights
from ntm_lab.zoo.trust import build

Config = dict[str, Any]


class Trained(NamedTuple):
    """A trained model with its task and config."""

    folder: Path
    config: Config  # for a model with a card: its ``choices``, ``task`` and ``model`` only
    task: Task
    model: SequenceModel


def load(source: str | Path, slots: int | None = None, trust: str | Collection[str] = ()) -> SequenceModel:
    """A trained model, ready to be used: ``logits, state = load("copy-ntm-lstm")(inputs)``.

    Arguments and errors are those of `find`.
    """
    return find(source, slots, trust).model


def find(
    source: str | Path,
    slots: int | None = None,
    trust: str | Collection[str] = (),
    root: str | Path | None = None,
) -> Trained:
    """A trained model with its task and its config.

    Args:
        source: a run's folder, the name of a model that comes with the package (`ntm-lab models` lists them;
            ``"copy-ntm"`` is the best of all controllers), or the folder of a shared model. The last two
            can hold no code; a run's config may name any class of yours, so take runs only from people you trust.
        slots: another number of memory slots than it was trained with, where its initial state allows it.
        trust: other packages whose classes a shared model may use, such as ``("their_package",)``.
        root: where the data of the task is, a copy of your own, in place of the folder that it was trained with.

    Raises FileNotFoundError if it does not exist or a part of it is missing; ValueError if a part is damaged, if it
    uses classes of a package that is not trusted or not installed, if the slots cannot be changed, or if there is a
    root for a task that reads no files.
    """
    folder = locate(source)
    packaged = is_packaged(folder)
    config, weights = _given_away(folder, trust) if packaged else _left_by_run(folder)
    reading = reading_files(config["task"])
    if root is not None:
        if reading is None:
            raise ValueError(f"root={root}: {source} does a task that reads no files")
        reading["root"] = str(root)
    for node in (config, config["model"]):
        if isinstance(node, dict) and "backend" in node:
            node["backend"] = "auto"  # here need not be what was there
    try:
        task, make_model = (build(config[part], trust) if packaged else instantiate(config[part]) for part in PARTS)
        check_fits({part: config[part] for part in PARTS}, task, make_model, draw=reading is None)
        model: SequenceModel = make_model(task.input_size, task.output_size)
    except Exception as error:  # constructors may raise anything for unknown values
        cause = " ".join(str(error.__cause__ or error).split())
        raise ValueError(shortened(f"{folder}: no model can be built from its config ({cause})")) from error
    unlike = differing(model.state_dict(), weights)
    if unlike:
        raise ValueError(shortened(f"{folder}: its weights are of another model than its config: {unlike} differ"))
    model.load_state_dict(weights)
    if slots is not None:
        model.resize(slots)
    return Trained(folder, config, task, model.eval())


def locate(source: str | Path) -> Path:
    """The folder of a trained model: that of a name of this package's models, or else the given one.

    A `Path`, and a string such as ``"./copy-ntm"``, is always a folder.

    Raises FileNotFoundError, which lists the names, if there is neither.
    """
    known = shipped.cards()
    short = shipped.best(known)
    if isinstance(source, str):
        name = short.get(source, source)
        if name in known:
            return shipped.FOLDER / name
    with suppress(OSError):  # such as for a name that is too long for a file
        if Path(source).is_dir():
            return Path(source)
    raise FileNotFoundError(
        f"{shortened(str(source))}: there is no such folder, and no model of that name comes with ntm_lab; those are "
        f"{', '.join(sorted({*known, *short})) or 'none'}"
    )


def card_of(trained: Trained) -> Card:
    """The card of a trained model: its own, or one made from the results of a run that has ended; without the digest of
    the weights, which belongs to a file.

    Raises FileNotFoundError if the run has not ended, ValueError if no card can be made of its files.
    """
    if is_packaged(trained.folder):
        return {key: value for key, value in read_card(trained.folder).items() if key != DIGEST}
    results = trained.folder / RESULTS
    if not results.is_file():
        raise FileNotFoundError(f"{trained.folder} has no {RESULTS}: a card is made of a run that has ended")
    try:
        return make_card(trained.config, read_json(results))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{trained.folder}: no card can be made of it ({error})") from error


def give_away(source: str | Path, folder: str | Path) -> Path:
    """Write the weights and the card of a trained model, such as a run's, into a folder that `load` accepts.

    Raises FileNotFoundError and ValueError as `find` and `card_of` do.
    """
    found = find(source)
    write(Path(folder), card_of(found), found.model.state_dict())
    return Path(folder)


def _given_away(folder: Path, trust: str | Collection[str]) -> tuple[Config, Mapping[str, Tensor]]:
    """Config and weights of a model with a card, which may name classes of trusted packages only."""
    card = read_card(folder)
    check_card(folder, card, trust)
    weights = read_weights(folder, card)
    choices = {group: card[group] for group in ("task", "model", "controller") if card[group] is not None}
    return {"choices": choices, **{part: card["config"][part] for part in PARTS}}, weights


def _left_by_run(folder: Path) -> tuple[Config, Mapping[str, Tensor]]:
    """Config and weights of a run."""
    for part in (CONFIG, CHECKPOINT):
        if not (folder / part).is_file():
            raise FileNotFoundError(f"{folder} is not the folder of a run: it has no {part} (and no {CARD})")
    try:
        config: Any = OmegaConf.to_container(OmegaConf.create(read_yaml_text(folder / CONFIG)))
        assert isinstance(config, dict) and {*PARTS} <= {*config}, "it has no task and model"
        config |= {part: modern_config(config[part]) for part in PARTS}
    except Exception as error:
        raise ValueError(f"{folder}: its {CONFIG} cannot be read ({' '.join(str(error).split())})") from error
    try:
        state = read_checkpoint(folder / CHECKPOINT).get("state_dict")
        if not is_state(state):
            raise ValueError("is damaged: it has no weights")
    except ValueError as error:
        raise ValueError(f"{folder}: its {CHECKPOINT} {error}") from error
    weights = {name.removeprefix("model."): part for name, part in state.items() if name.startswith("model.")}
    return config, modern_weights(weights)
