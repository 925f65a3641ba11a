"""Train a model: `python train.py`, `python train.py model=lstm task=sort`, `python train.py --help`."""

from typing import Any

import hydra
from omegaconf import DictConfig

from ntm_lab.evaluation import evaluate, summary
from ntm_lab.runs.jobs import claim
from ntm_lab.runs.run import RunError, start
from ntm_lab.tasks.difficulties import hardest
from ntm_lab.training.nonfinite import NonFiniteError


@hydra.main(config_path="conf", config_name="config", version_base="1.3")
def main(config: DictConfig) -> float:
    """Train, or take what a job of a sweep found out before; what a search minimises is the cost of the first test."""
    with claim(config) as found:
        results = found or train(config)
    return float(results["test"][0]["cost_bits"])


def train(config: DictConfig) -> dict[str, Any]:
    """Build, fit, test, report."""
    run = start(config)
    try:
        run.fit()
    except NonFiniteError as error:
        raise RunError(str(error)) from error
    test = run.config.test
    rows = evaluate(run.learner.model, run.task, test.difficulties or [hardest(run.task)], test.sequences)
    results = run.report(rows)
    print(summary(results, run.folder))
    return results


if __name__ == "__main__":
    main()
