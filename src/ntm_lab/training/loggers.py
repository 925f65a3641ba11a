"""Where curves go: TensorBoard and a CSV file, both against sequences seen, both fit to be resumed."""

import csv
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, TensorBoardLogger

# Patterns, so that they serve every answer and every memory; a chart of which a run logs nothing stays empty.
DASHBOARD = {
    "cost": {
        "cost per sequence": ["Multiline", ["train/cost", "val/cost", "val/optimum"]],
        "cost by difficulty": ["Multiline", ["val_cost/.*"]],
    },
    "accuracy": {
        "wrong answers per sequence": ["Multiline", ["train/wrong_.*", "val/wrong_.*"]],
        "exact sequences": ["Multiline", ["train/exact", "val/exact"]],
        "wrong answers by difficulty": ["Multiline", ["val_wrong_.*"]],
        "exact sequences by difficulty": ["Multiline", ["val_exact/.*"]],
        "right answers by group": ["Multiline", ["val_accuracy/.*"]],
    },
    "addressing": {
        "entropy of the weightings, bits": ["Multiline", ["addressing/.*/entropy_.*"]],
        "sharpness": ["Multiline", ["addressing/.*sharpness.*"]],
        "key strength": ["Multiline", ["addressing/.*strength.*"]],
        "gates": ["Multiline", ["addressing/.*gate.*"]],
        "usage, slots": ["Multiline", ["addressing/usage", "addressing/precedence"]],
    },
    "training": {
        "gradient norm": ["Multiline", ["train/gradient_norm"]],
        "learning rate": ["Multiline", ["train/learning_rate"]],
        "difficulty": ["Multiline", ["curriculum/.*"]],
    },
}


def tensorboard(folder: Path, resumed_at: int | None) -> TensorBoardLogger:
    """TensorBoard in the run's folder, with a ready dashboard; what was logged after ``resumed_at`` is hidden."""
    purge = None if resumed_at is None else resumed_at + 1
    logger = TensorBoardLogger(folder, name="", version="", default_hp_metric=False, purge_step=purge)
    logger.experiment.add_custom_scalars(DASHBOARD)
    return logger


class CSVLog(Logger):
    """``metrics.csv``: a row for every logging, in columns ``sequences``, ``step``, ``seconds`` and what was logged.

    A resumed run repeats what came after its checkpoint, so those rows are dropped when it begins.
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
