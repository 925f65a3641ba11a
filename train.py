"""Train a model: `python train.py`, `python train.py model=lstm task=sort`, `python train.py --help`."""

import hydra
from omegaconf import DictConfig

from ntm_lab.data import hardest
from ntm_lab.evaluation import evaluate, summary
from ntm_lab.nonfinite import NonFiniteError
from ntm_lab.runs import RunError, start


@hydra.main(config_path="conf", config_name="config", version_base="1.3")
def main(config: DictConfig) -> float:
    """Build, fit, test, report; what a search minimises is the cost in bits of the first test."""
    run = start(config)
    try:
        run.fit()
    except NonFiniteError as error:
        raise RunError(str(error)) from error
    test = run.config.test
    rows = evaluate(run.learner.model, run.task, test.difficulties or [hardest(run.task)], test.sequences)
    print(summary(run.report(rows), run.folder))
    return float(rows[0]["cost_bits"])


if __name__ == "__main__":
    main()
