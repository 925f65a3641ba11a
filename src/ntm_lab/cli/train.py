"""`ntm-lab train …`: train a model; the arguments are Hydra's, as for `python train.py`.

PyTorch and Lightning take seconds to import, so the first job that trains imports them. Help, most wrong settings, jobs
that ended earlier and a launcher that hands jobs to other processes do without them.
"""

import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ntm_lab.cli import import_quickly
from ntm_lab.cli.output import lasting_output
from ntm_lab.runs.config import explain, is_of_settings
from ntm_lab.runs.folder import is_first
from ntm_lab.runs.jobs import claim
from ntm_lab.runs.search import CONF

FULL_ERROR = "HYDRA_FULL_ERROR"


def main(arguments: Sequence[str], conf: Path = CONF) -> None:
    """Compose the config from ``conf`` and the arguments, and train, once or for every job of a sweep.

    Wrong settings end the process with one line, or with a traceback if HYDRA_FULL_ERROR=1.
    """
    command = sys.argv[:]

    def as_called(config: DictConfig) -> float:
        sys.argv[:] = command  # the trainer starts further processes by it
        return job(config)

    run = hydra.main(config_path=str(conf.resolve()), config_name="config", version_base="1.3")(as_called)
    sys.argv[1:] = arguments
    wanted = os.environ.get(FULL_ERROR, "0")
    os.environ[FULL_ERROR] = "1"  # otherwise Hydra prints errors itself, in more lines
    try:
        with lasting_output():
            run()
    except Exception as error:
        if wanted == "1" or not is_of_settings(error):
            raise
        sys.exit(explain(error, arguments) if is_first() else 1)
    finally:
        os.environ[FULL_ERROR] = wanted


def job(config: DictConfig) -> float:
    """Train, or take the results of a job that ended earlier; return the cost of the first test, which a search
    minimises.

    Only the first of several processes has results; the others return NaN.
    """
    node = cast(DictConfig, HydraConfig.get())
    with claim(config, node) as found:
        results = found or import_quickly("ntm_lab.runs.run").train(config, node)
    if results is None:
        return math.nan
    row = results["test"][0]
    return float(row["cost_bits"] if "cost_bits" in row else row["squared_error"])
