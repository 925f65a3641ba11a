"""`ntm_lab.train`: a run from Python, in a notebook too."""

import logging
import signal
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.version import VersionBase
from omegaconf import DictConfig, open_dict

from ntm_lab.evaluation import summary
from ntm_lab.runs.config import as_text, explain, is_of_settings
from ntm_lab.runs.folder import check_writable
from ntm_lab.runs.jobs import claim
from ntm_lab.runs.run import start
from ntm_lab.runs.search import CONF
from ntm_lab.types import SequenceModel, Task


@dataclass(frozen=True, repr=False)
class TrainedRun:
    """A run that has ended; shown as the table of its test."""

    folder: Path  # with all its files
    results: dict[str, Any]  # as in results.json
    model: SequenceModel  # with the weights of the end, in the mode of evaluation
    task: Task
    config: DictConfig  # all settings

    def __repr__(self) -> str:
        return summary(self.results, self.folder).strip()

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


def train(
    task: str | None = None,
    model: str | None = None,
    *overrides: str,
    folder: str | Path | None = None,
    config_dir: str | Path | None = None,
    **settings: Any,
) -> TrainedRun:
    """Train a model as ``ntm-lab train`` does, with a progress bar. Only the run's folder remains changed.

    Threads, random state, denormals, warnings, loggers and Hydra are restored, so that it may be called again, and
    within another Hydra application.

    Args:
        task, model: choices of these groups; by default copy and ntm, or those of an experiment.
        overrides: further settings as on the command line, such as ``"optimizer.lr=1e-3"``.
        folder: the run's; by default a new one in ``runs/`` of the working directory.
        config_dir: a folder of your own groups and choices, such as ``task/mine.yaml``; a file of the package comes
            first.
        settings: the same by keyword: ``seed=1, controller="feedforward"``. A mapping has the settings below its key:
            ``optimizer={"lr": 1e-3}, memory={"slots": 32, "init": "random"}``.

    Raises ValueError, with one line, for wrong settings, a folder that cannot be written, and a run that diverges.

    >>> import ntm_lab
    >>> run = ntm_lab.train("copy", max_sequences=32, callbacks="none", folder=getfixture("tmp_path") / "run")
    >>> run.results["sequences"], run.model(torch.zeros(1, 5, 9))[0].shape
    (32, torch.Size([1, 5, 8]))
    """
    chosen = {"task": task, "model": model}
    named = {key: value for key, value in chosen.items() if value is not None} | settings
    asked = [*as_overrides(named), *overrides]
    found = [] if config_dir is None else [f"hydra.searchpath={as_text([str(Path(config_dir).resolve())])}"]
    with _process_as_it_was():
        try:
            config = _compose([*asked, *found])
            made = Path(config.hydra.run.dir if folder is None else folder).absolute()
            with open_dict(config):
                config.hydra.runtime.output_dir = str(made)
                HydraConfig.instance().set_config(config)  # for ${hydra:…}
                hydra = config.pop("hydra")
            if config.resume is None:
                check_writable("folder", made)
            with claim(config, hydra):
                run = start(config, hydra)
                results = run.complete()
            assert results is not None  # as this is the only process
        except Exception as error:
            if not is_of_settings(error):
                raise
            raise ValueError(explain(error, asked)) from error
        except SystemExit as error:
            if error.code != 128 + signal.SIGINT:
                raise
            raise KeyboardInterrupt from error
    return TrainedRun(run.folder, results, run.learner.model.eval(), run.task, run.config)


def _compose(overrides: list[str]) -> DictConfig:
    """The config with its node ``hydra``."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides, return_hydra_config=True)


@contextmanager
def _process_as_it_was() -> Iterator[None]:
    """Restore the settings of the whole process that a run changes."""
    hydra, hydra_config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    base = VersionBase.instance().version_base
    threads, flushed = torch.get_num_threads(), not bool(torch.tensor(1e-40) * 1)  # there is no torch.get_…
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    try:
        with torch.random.fork_rng(), warnings.catch_warnings():
            yield
    finally:
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = hydra, hydra_config
        VersionBase.instance().version_base = base
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushed)
        logger.setLevel(level)


def as_overrides(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Python values as overrides; a mapping becomes dotted keys."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from as_overrides(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={as_text(value)}"
