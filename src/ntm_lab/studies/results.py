"""Runs as tables: settings and results with a row for every run, curves with a row for every value."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd

from ntm_lab.files import read_json, read_yaml
from ntm_lab.runs.config import CONFIG, leaves
from ntm_lab.runs.folder import RESULTS

CURVES = "metrics.csv"
PROGRESS = ["sequences", "step", "seconds"]  # columns of every curve: the possible horizontal axes
MEASURED = (  # of results.json, unchanged
    *("seed", "parameters", "sequences", "steps", "seconds", "sequences_to_solve", "seconds_to_solve"),
    *("largest_gradient_norm", "stopped_by", "test", "overlap"),
)
Folders = Path | Sequence[Path]


def read_runs(folder: Folders) -> pd.DataFrame:
    """A row for every ended run at or below the folder or folders, sorted by path.

    Columns: ``run`` (its path); every resolved setting by its dotted key (``data.batch_size``, ``memory.init.std``),
    lists as lists; ``choices.<group>``; and of results.json ``seed``, ``parameters``, ``sequences``, ``state_bits``,
    ``steps``, ``seconds``, ``sequences_to_solve``, ``seconds_to_solve``, ``largest_gradient_norm``, ``stopped_by``,
    ``test`` and ``overlap`` (unchanged: a list of rows, a mapping), with ``solved`` and ``steps_to_solve`` derived from
    them. A setting that a run does not have, the bits of state of a run of an earlier version, and the time to solve of
    an unsolved run are missing (NaN).

    Raises FileNotFoundError if no run below a folder has ended, ValueError if a file of one is damaged.
    """
    runs = ended(folder)
    rows = [{"run": str(run)} | _settings(run) for run in runs]
    measured = pd.DataFrame([_measured(run) for run in runs]).astype(
        dict.fromkeys(("state_bits", "sequences_to_solve", "seconds_to_solve", "largest_gradient_norm"), float)
    )
    table = pd.concat([pd.DataFrame(rows), measured], axis=1)
    return table.assign(steps_to_solve=table["sequences_to_solve"] / table["data.batch_size"])


def read_curves(folder: Folders, names: Sequence[str]) -> pd.DataFrame:
    """The logged values of ended runs, in long form: columns ``run``, ``sequences``, ``step``, ``seconds``, ``name``,
    ``value``.

    Sorted by run, then in the order of ``names``, then by sequences. A name may be a pattern,
    ``val_wrong_bits/*``; one that a run did not log has no rows of that run.

    Raises FileNotFoundError if no run below a folder has ended or none of them has curves, ValueError if a file of
    curves is damaged or no run logged any value of a name.
    """
    runs = [run for run in ended(folder) if (run / CURVES).is_file()]
    if not runs:
        raise FileNotFoundError(f"{_listed(folder)}: no run there has a {CURVES}; it takes logger=csv or default")
    parts = [part for run in runs for part in _curves(run, names)]
    for name in names:
        if not any(fnmatchcase(logged, name) for part in parts for logged in part["name"].unique()):
            raise ValueError(f"{name}: is in no {CURVES} of {_listed(folder)}")
    return pd.concat(parts, ignore_index=True)


def ended(folder: Folders) -> list[Path]:
    """The folders of all runs at or below a folder, or some, that have ended: sorted, each once."""
    found: set[Path] = set()
    for top in _several(folder):
        runs = {file.parent for file in top.rglob(RESULTS) if (file.parent / CONFIG).is_file()}
        if not runs:
            raise FileNotFoundError(f"{top}: no run has ended there; none has both {CONFIG} and {RESULTS}")
        found |= runs
    return sorted(found)


def _settings(run: Path) -> dict[str, Any]:
    try:
        settings = _flat(read_yaml(run / CONFIG))
        del settings["seed"]  # the results have it too
        int(settings["data.batch_size"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{run / CONFIG}: is damaged ({_reason(error)})") from error
    return settings


def _measured(run: Path) -> dict[str, Any]:
    try:
        results = read_json(run / RESULTS)
        measured = {key: results[key] for key in MEASURED} | {"solved": results["sequences_to_solve"] is not None}
        return measured | {"state_bits": results.get("state_bits")}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{run / RESULTS}: is damaged ({_reason(error)})") from error


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with their dotted keys."""
    return {key: value for key, value in leaves(config) if key.split(".")[-1] != "_partial_"}


def _curves(run: Path, names: Sequence[str]) -> Iterator[pd.DataFrame]:
    """A long table for each of the names that the run logged."""
    try:
        table = pd.read_csv(run / CURVES)
        progress = table[PROGRESS].astype({"sequences": int, "step": int, "seconds": float})
        matching = [logged for name in names for logged in table.columns if fnmatchcase(logged, name)]
        logged = {name: table[name].astype(float) for name in matching}
    except (ValueError, KeyError) as error:  # pandas' own errors are among them
        raise ValueError(f"{run / CURVES}: is damaged ({_reason(error)})") from error
    for name, values in logged.items():
        part = progress.assign(run=str(run), name=name, value=values).dropna()
        yield part[["run", *PROGRESS, "name", "value"]]


def _reason(error: Exception) -> str:
    """The reason in one line."""
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]}"
    return " ".join(str(error).split())


def _several(folder: Folders) -> Iterable[Path]:
    return [folder] if isinstance(folder, Path) else folder


def _listed(folder: Folders) -> str:
    return ", ".join(str(top) for top in _several(folder))
