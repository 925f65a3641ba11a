"""Loggers: TensorBoard, a CSV file, wandb and mlflow, all against sequences seen, all resumable."""

import csv
import logging
import math
import os
import re
from argparse import Namespace
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from uuid import uuid4

import numpy as np
import yaml
from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

PROJECT = "ntm_lab"
EXTRAS = ("wandb", "mlflow")  # loggers whose package of the same name comes with the extra `loggers`


@runtime_checkable
class RunLog(Protocol):
    """A logger that receives more than the curves of a run."""

    def begin(self, command: str, config: Mapping[str, Any]) -> None:
        """Log the overrides and all settings; called once, when a new run begins."""
        ...

    def show(self, name: str, image: np.ndarray, sequences: int) -> None:
        """Log a picture (height, width, RGB) after this number of sequences."""
        ...

    def end(self, settings: Mapping[str, Any], scores: Mapping[str, float], table: str) -> None:
        """Log the end of a tested run: the settings that identify it, its results, and these as text."""
        ...


def check_installed(loggers: Mapping[str, Any]) -> None:
    """Raise ValueError if one of the named loggers needs a package that is not installed."""
    for name in loggers:
        if name in EXTRAS and find_spec(name) is None:
            raise ValueError(f"logger={name}: the package {name} is not installed; pip install 'ntm_lab[loggers]'")


# TensorBoard sorts tags by their names, in groups: these bring the costs of a run to the top.
TAGS = {
    r"(train|val)/cost": r"cost/\1",
    r"val/(optimum)": r"cost/\1",
    r"val_cost/(.*)": r"cost_by_difficulty/\1",
    r"far_cost/(.*)": r"cost_far/\1",
    r"addressing/(.*)": r"memory/\1",
}
LOGARITHM = {"cost/train": "cost_log10/train", "cost/val": "cost_log10/val"}  # it falls by orders of magnitude
# Patterns, which fit every answer and every memory; a chart without logged values stays empty.
DASHBOARD = {
    "cost": {
        "cost per sequence": ["Multiline", ["cost/train", "cost/val", "cost/optimum"]],
        "log₁₀ of the cost": ["Multiline", ["cost_log10/.*"]],
        "cost by difficulty": ["Multiline", ["cost_by_difficulty/.*"]],
    },
    "accuracy": {
        "wrong answers per sequence": ["Multiline", ["train/wrong_.*", "val/wrong_.*"]],
        "exact sequences": ["Multiline", ["train/exact", "val/exact"]],
        "wrong answers by difficulty": ["Multiline", ["val_wrong_.*"]],
        "exact sequences by difficulty": ["Multiline", ["val_exact/.*"]],
        "right answers by group": ["Multiline", ["val_accuracy/.*"]],
    },
    "addressing": {
        "entropy of the weightings, bits": ["Multiline", ["memory/.*/entropy_.*"]],
        "sharpness": ["Multiline", ["memory/.*sharpness.*"]],
        "key strength": ["Multiline", ["memory/.*strength.*"]],
        "gates": ["Multiline", ["memory/.*gate.*"]],
        "usage, slots": ["Multiline", ["memory/usage", "memory/precedence"]],
    },
    "training": {
        "gradient norm": ["Multiline", ["train/gradient_norm"]],
        "learning rate": ["Multiline", ["train/learning_rate"]],
        "difficulty": ["Multiline", ["curriculum/.*"]],
    },
}


def tag_of(name: str) -> str:
    """The tag in TensorBoard for a logged name."""
    for pattern, tag in TAGS.items():
        if found := re.fullmatch(pattern, name):
            return found.expand(tag)
    return name


class TensorBoardLog(TensorBoardLogger):
    """TensorBoard in the run's folder, with a dashboard; values logged after ``resumed_at`` are hidden.

    Text has the command, the settings and the table of the results; HParams has the overrides.
    """

    def __init__(self, folder: Path, resumed_at: int | None) -> None:
        purge = None if resumed_at is None else resumed_at + 1
        super().__init__(folder, name="", version="", default_hp_metric=False, purge_step=purge)
        self.experiment.add_custom_scalars(DASHBOARD)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        tagged = {tag_of(name): value for name, value in metrics.items()}
        logarithms = {tag: math.log10(tagged[name]) for name, tag in LOGARITHM.items() if tagged.get(name, 0) > 0}
        super().log_metrics(tagged | logarithms, step)

    def begin(self, command: str, config: Mapping[str, Any]) -> None:
        self._text("command", command)
        self._text("config", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))

    def show(self, name: str, image: np.ndarray, sequences: int) -> None:
        self.experiment.add_image(name, image, sequences, dataformats="HWC")

    def end(self, settings: Mapping[str, Any], scores: Mapping[str, float], table: str) -> None:
        self._text("results", table)
        self.log_hyperparams(dict(settings), {f"hp/{name}": value for name, value in scores.items()})
        self.finalize("success")

    def _text(self, name: str, text: str) -> None:
        self.experiment.add_text(name, f"```\n{text.strip()}\n```")


class WandbLog(WandbLogger):
    """Weights & Biases: a run of its own for each folder, the same again when it is resumed.

    ``offline``: files in the run's folder, which ``wandb sync FOLDER/wandb/offline-run-*`` sends later. Values that a
    resumed run repeats occur twice.
    """

    def __init__(
        self, folder: Path, resumed_at: int | None, project: str = PROJECT, offline: bool = True, **settings: Any
    ) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        os.environ.setdefault("WANDB_SILENT", "true")
        kept = folder / "wandb.id"
        if not kept.exists():
            kept.write_text(uuid4().hex[:8])
        super().__init__(folder.name, folder, offline=offline, project=project, version=kept.read_text(), **settings)
        getattr(self, "_wandb_init", {}).pop("anonymous", None)  # wandb warns that this has no effect any more
        _ = self.experiment  # now, as an error should come before training

    def begin(self, command: str, config: Mapping[str, Any]) -> None:
        self.experiment.config.update({"command": command, **config}, allow_val_change=True)

    def show(self, name: str, image: np.ndarray, sequences: int) -> None:
        self.log_image(name, [image], step=sequences)

    def end(self, settings: Mapping[str, Any], scores: Mapping[str, float], table: str) -> None:
        self.experiment.summary.update({**scores, "results": table})
        self.experiment.finish()

    def finalize(self, status: str) -> None:
        super().finalize(status)
        if status != "success":  # else the results are still to come
            self.experiment.finish(exit_code=1)


class MLFlowLog(MLFlowLogger):
    """MLflow: a run of its own for each folder, the same again when it is resumed.

    ``uri`` names the tracking store; None: the file ``mlflow.db`` in the run's folder. Values that a resumed run
    repeats occur twice.
    """

    def __init__(self, folder: Path, resumed_at: int | None, experiment: str = PROJECT, uri: str | None = None) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        for noisy in ("mlflow", "alembic", "pytorch_lightning.loggers.mlflow"):  # about tables that are being created
            logging.getLogger(noisy).setLevel(logging.ERROR)
        kept, place = folder / "mlflow.id", folder.resolve()
        super().__init__(
            experiment,
            folder.name,
            uri or f"sqlite:///{place / 'mlflow.db'}",
            artifact_location=None if uri else (place / "mlflow").as_uri(),
            run_id=kept.read_text() if kept.exists() else None,
        )
        kept.write_text(str(self.run_id))

    def begin(self, command: str, config: Mapping[str, Any]) -> None:
        self.experiment.set_tag(self.run_id, "command", command)
        self.experiment.log_dict(self.run_id, dict(config), "config.yaml")

    def show(self, name: str, image: np.ndarray, sequences: int) -> None:
        self.experiment.log_image(self.run_id, image, f"{name}.png")

    def end(self, settings: Mapping[str, Any], scores: Mapping[str, float], table: str) -> None:
        self.log_hyperparams(dict(settings))
        self.log_metrics({f"test/{name}": value for name, value in scores.items()})
        self.experiment.log_text(self.run_id, table, "results.txt")
        self.finalize("success")


class CSVLog(Logger):
    """``metrics.csv``: a row for every logging, in columns ``sequences``, ``step``, ``seconds`` and the logged names.

    A resumed run repeats all steps after its checkpoint, so their rows are dropped when it begins.
    """

    def __init__(self, folder: Path, resumed_at: int | None) -> None:
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self.columns: list[str] = []
        if self.path.exists():
            try:
                with self.path.open(newline="") as file:
                    reader = csv.DictReader(file)
                    self.columns = list(reader.fieldnames or [])
                    # a row cut short by a kill has no value for its last column at all
                    whole = [row for row in reader if None not in row.values()]
                kept = [row for row in whole if resumed_at is not None and int(row["sequences"]) <= resumed_at]
            except (ValueError, KeyError, TypeError, csv.Error) as error:
                raise ValueError(f"{self.path}: is damaged ({error}); without it the curve begins anew") from error
            self._rewrite(kept)

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The settings are in config.yaml."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        row = {"sequences": step, **metrics}
        new = [name for name in row if name not in self.columns]
        if new:
            self.columns += new
            rows: list[dict[str, Any]] = []
            if self.path.exists():
                with self.path.open(newline="") as file:
                    rows = list(csv.DictReader(file))
            self._rewrite(rows)
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(row)

    def _rewrite(self, rows: list[dict[str, Any]]) -> None:
        partial = self.path.with_suffix(".csv.partial")
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)
        partial.replace(self.path)
