"""What the training loop costs beyond the training: `python benchmarks/overhead.py`.

The main job (NTM on copy, always length 20) is trained by `train.py`'s machinery with all its logging, and by a bare
PyTorch loop with the same model, optimizer and batches, in turn in one process. Validations, pictures and checkpoints
are not counted on either side. Prints milliseconds a step and the ratio, pair by pair and their median.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from ntm_lab.runs.build import build, open_loggers
from ntm_lab.runs.config import resolved
from ntm_lab.runs.trainer import build_trainer
from ntm_lab.tasks.answers import cost_bits

CONF = Path(__file__).parents[1] / "conf"


def with_trainer(config: DictConfig) -> float:
    """Seconds of training."""
    with tempfile.TemporaryDirectory() as folder:
        _, learner = build(config)
        trainer = build_trainer(config, Path(folder), learner)
        trainer.loggers = open_loggers(config, Path(folder))
        trainer.fit(learner, datamodule=learner.data)
        return learner.seconds


def bare(config: DictConfig) -> float:
    """Seconds of the same training in a plain loop."""
    _, learner = build(config)
    data, model, optimizer = learner.data, learner.model, learner.optimizer
    started = time.perf_counter()
    for _ in range(data.total_steps):
        batch = data.next_batch()
        logits, _ = model(batch.inputs)
        loss = cost_bits(logits, batch.targets, batch.mask).mean()
        optimizer.zero_grad()
        loss.backward()
        learner.clip(model.parameters())
        optimizer.step()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=16)
    arguments = parser.parse_args()
    overrides = [f"max_sequences={arguments.steps * arguments.batch}", f"data.batch_size={arguments.batch}"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", [*overrides, "curriculum=fixed", "stop_at_cost=null"], return_hydra_config=True)
        HydraConfig.instance().set_config(config)  # for ${hydra:…}
        with open_dict(config):
            config = resolved(config, config.pop("hydra"))
    bare(config)  # warm-up
    ratios = []
    print(f"{'trainer, ms/step':>18}{'bare, ms/step':>16}{'overhead':>11}")
    for _ in range(arguments.pairs):
        trained, plain = (1e3 * train(config) / arguments.steps for train in (with_trainer, bare))
        ratios.append(trained / plain - 1)
        print(f"{trained:>18.2f}{plain:>16.2f}{ratios[-1]:>11.1%}")
    print(f"median overhead {statistics.median(ratios):.1%} at batch {arguments.batch}, {config.threads} thread(s)")


if __name__ == "__main__":
    main()
