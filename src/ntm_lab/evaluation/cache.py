"""Results kept in a run's folder, so that no evaluation is computed twice."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ntm_lab.evaluation.fresh import evaluate
from ntm_lab.files import read_json, write_whole
from ntm_lab.tasks.difficulties import label
from ntm_lab.types import Difficulty, SequenceModel, Task

NAME = "evaluations.json"
FORMAT = 2  # of the rows; raised when what `evaluate` says or how it draws changes
PACKAGE = Path(__file__).resolve().parents[1]


class Cache:
    """Rows of `evaluate` with details, in the file ``evaluations.json`` of a folder.

    The file names the weights it belongs to; with other weights, such as after the run was resumed, it starts over. A
    damaged file is ignored, and a folder that cannot be written is no error.
    """

    def __init__(self, folder: Path, model: SequenceModel) -> None:
        self.path = folder / NAME
        self.about = {"format": FORMAT, "weights": fingerprint(model)}
        self.rows: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = read_json(self.path)
            if {name: kept[name] for name in self.about} == self.about:
                self.rows = dict(kept["rows"])

    def get(self, key: str) -> dict[str, Any] | None:
        return self.rows.get(key)

    def put(self, key: str, row: dict[str, Any]) -> None:
        self.rows[key] = row
        with contextlib.suppress(OSError):  # a folder that is only read
            write_whole(self.path, json.dumps(self.about | {"rows": self.rows}) + "\n")


def open_cache(folder: Path, model: SequenceModel) -> Cache | None:
    """The cache of a run's folder; None for a model that comes with the package, whose folder is only read."""
    return None if is_shipped(folder) else Cache(folder, model)


def is_shipped(folder: Path) -> bool:
    """Whether a run's folder is part of the package."""
    return folder.resolve().is_relative_to(PACKAGE)


def fingerprint(model: SequenceModel) -> str:
    """A hash of all weights, by name, shape, type and value; independent of the number of slots."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype} ".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def evaluate_cached(
    model: SequenceModel,
    task: Task,
    difficulties: Iterable[Difficulty],
    sequences: int,
    seed: int,
    cache: Cache | None,
    advance: Callable[[int], Any] = lambda sequences: None,
) -> list[dict[str, Any]]:
    """`evaluate` with details; rows come from the cache if it has them, and the others are added to it one by one."""
    rows = []
    for difficulty in difficulties:
        key = f"{label(difficulty)} slots={model.slots} sequences={sequences} seed={seed}"
        row = cache.get(key) if cache else None
        if row is None:
            (row,) = evaluate(model, task, [difficulty], sequences, seed, details=True, advance=advance)
            if cache:
                cache.put(key, row)
        else:
            advance(sequences)
        rows.append(row)
    return rows
