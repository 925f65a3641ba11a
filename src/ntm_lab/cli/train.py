"""`ntm-lab train …`: train a model; the arguments are Hydra's overrides, as of `python train.py`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ntm_lab.runs.jobs import claim
from ntm_lab.runs.run import train


def main(arguments: Sequence[str], conf: Path) -> None:
    """Compose the config from ``conf`` and the arguments, and run what it says, once or for every job of a sweep."""
    sys.argv[1:] = arguments
    hydra.main(config_path=str(conf.resolve()), config_name="config", version_base="1.3")(job)()


def job(config: DictConfig) -> float:
    """Train, or take what a job of a sweep found out before; what a search minimises is the cost of the first test."""
    node = cast(DictConfig, HydraConfig.get())
    with claim(config, node) as found:
        results = found or train(config, node)
    return float(results["test"][0]["cost_bits"])
