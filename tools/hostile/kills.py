"""Kills and signals in mid-training: each run, resumed until it ends, is to the bit what it would have been."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from same import same

from ntm_lab.runs.folder import CHECKPOINT, RESULTS

ROOT = Path(__file__).parents[2]
STEPS, ROUND = 48, 8  # of training, and between two checkpoints
TINY = [
    *(
        "data.batch_size=4",
        f"data.validate_every={4 * ROUND}",
        "data.validation_sequences=4",
        "data.validation_rungs=2",
    ),
    *(f"max_sequences={4 * STEPS}", "stop_at_cost=null", "log_every=1", "test.sequences=8", "test.difficulties=null"),
    *("logger=csv", "callbacks=none"),
]
MEMORY = ["memory.slots=16", "memory.width=6", "controller.size=16"]
CONFIGS = {
    "ntm": [*TINY, *MEMORY, "task.lengths=[1,4]", "curriculum=prediction_gain", "data.mixed_lengths=true"],
    "lstm": [*TINY, "model=lstm", "model.size=16", "model.layers=1", "task=repeat_copy", "curriculum=look_back"],
    "dnc": [*TINY, *MEMORY, "model=dnc", "task=associative_recall", "memory.init=learned"],
    "mann": [*TINY, *MEMORY, "model=mann", "task=one_shot", "task.ways=[2,2]", "task.shots=[2,2]"],
    "rmsprop": [*TINY, *MEMORY, "task=sort", "task.items=4", "task.outputs=3", "optimizer=rmsprop", "clip=elements"],
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LIMIT = 300  # seconds, for one process on a busy machine


class Outcome(NamedTuple):
    config: str
    kills: list[str]  # signal, step and exit status of each
    fault: str  # what is not as it has to be; empty if all is


def run(configs: Sequence[str], kills: int, folder: Path, seed: int = 0) -> list[Outcome]:
    """The outcomes of so many kills in each of the configs, at steps and with signals by chance."""
    chance = random.Random(seed)
    return [_outcome(config, kills, folder / config, chance) for config in configs]


def _outcome(config: str, kills: int, folder: Path, chance: random.Random) -> Outcome:
    whole, killed, done = folder / "whole", folder / "killed", []
    _end(_begin(*CONFIGS[config], f"hydra.run.dir={whole}"))
    command = [*CONFIGS[config], f"hydra.run.dir={killed}"]
    for step in sorted(chance.choices(range(1, STEPS - 4), k=kills)):
        process, sent = _begin(*command), chance.choice(SIGNALS)
        while _logged_step(killed) < step and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(sent)
        process.communicate(timeout=LIMIT)
        done.append(f"{sent.name} at {step}: {process.returncode}")
        command = [f"resume={killed}"]
        if (killed / RESULTS).exists():
            return Outcome(config, done, "it was not killed")
    _end(_begin(*command))
    return Outcome(config, done, ", ".join(_differing(whole, killed)))


def _begin(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _end(process: subprocess.Popen[bytes]) -> None:
    _, err = process.communicate(timeout=LIMIT)
    if process.returncode != 0:
        raise RuntimeError(err.decode())


def _logged_step(folder: Path) -> float:
    """The step of the last whole row of metrics.csv."""
    path = folder / "metrics.csv"
    rows = path.read_text().split("\n")[1:-1] if path.exists() else []
    return float(rows[-1].split(",")[1]) if rows else 0.0


def _differing(one: Path, other: Path) -> list[str]:
    """Which parts of two finished runs are not the same to the bit; how long they took does not count."""
    checkpoints = [torch.load(folder / CHECKPOINT, weights_only=True) for folder in (one, other)]
    results = [json.loads((folder / RESULTS).read_text()) for folder in (one, other)]
    curves = []
    for folder in (one, other):
        with (folder / "metrics.csv").open(newline="") as file:
            curves.append([row | {"seconds": ""} for row in csv.DictReader(file)])
    timed = {"seconds", "seconds_to_solve"}
    parts = ("state_dict", "optimizer_states", "lr_schedulers", "Data", "global_step")
    differ = [part for part in parts if not same(*(checkpoint[part] for checkpoint in checkpoints))]
    differ += [f"results: {key}" for key in results[0].keys() - timed if results[0][key] != results[1].get(key)]
    return differ + (["metrics.csv"] if curves[0] != curves[1] else [])


def report(outcomes: Sequence[Outcome]) -> str:
    lines = [f"{one.config}: {'; '.join(one.kills)}: {one.fault or 'the same to the bit'}" for one in outcomes]
    kills = sum(len(one.kills) for one in outcomes)
    bad = sum(bool(one.fault) for one in outcomes)
    return "\n".join(
        [*lines, f"{kills} kills in {len(outcomes)} runs: {len(outcomes) - bad} the same to the bit, {bad} not"]
    )
