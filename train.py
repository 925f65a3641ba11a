"""Train a model: `python train.py`, `python train.py model=lstm task=sort`, `python train.py --help`."""

import hydra
from omegaconf import DictConfig

from ntm_lab.data import hardest
from ntm_lab.evaluation import evaluate
from ntm_lab.nonfinite import NonFiniteError
from ntm_lab.runs import RunError, start


@hydra.main(config_path="conf", config_name="config", version_base="1.3")
def main(config: DictConfig) -> float:
    """Build, fit, test, report; the objective of a search is the cost in bits of the first test."""
    run = start(config)
    try:
        run.fit()
    except NonFiniteError as error:
        raise RunError(str(error)) from error
    settings = run.config.test
    test = evaluate(run.learner.model, run.task, settings.difficulties or [hardest(run.task)], settings.sequences)
    print(run.report(test))
    return float(test[0]["cost_bits"])


if __name__ == "__main__":
    main()
