"""Hostile overrides: every setting of several configs is given values that nobody should give it.

Each is either refused, in one line that names the key, with nothing left behind, or trains a step.
"""

import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from ntm_lab.runs.config import explain, is_of_settings, leaves
from ntm_lab.runs.jobs import claim
from ntm_lab.runs.run import start
from ntm_lab.runs.search import CONF

QUICK = [
    *("data.batch_size=4", "data.validate_every=8", "data.validation_sequences=4", "data.validation_rungs=2"),
    *("max_sequences=8", "test.sequences=2", "logger=csv"),
]
MEMORY = ["memory.slots=16", "memory.width=6", "controller.size=16"]
BASES = {
    "copy": [*QUICK, *MEMORY, "task.lengths=[1,4]", "task.bits=4", "test.difficulties=[{length: 4}]"],
    "lstm": [*QUICK, "model=lstm", "model.size=16", "model.layers=1", "task=repeat_copy", "task.lengths=[1,3]"],
    "dnc": [*QUICK, *MEMORY, "model=dnc", "task=associative_recall", "curriculum=look_back", "callbacks=far"],
    "mann": [*QUICK, *MEMORY, "model=mann", "task=one_shot", "callbacks=default", "curriculum=prediction_gain"],
    "sort": [*QUICK, *MEMORY, "task=sort", "task.items=4", "task.outputs=3", "optimizer=rmsprop", "clip=elements"],
    "ngrams": [
        *(*QUICK, *MEMORY, "task=ngrams", "task.length=12", "curriculum=fixed", "memory.init=random"),
        *("memory.weighting=learned", "schedule=cosine"),
    ],
}
VALUES = [
    *("null", "-1", "0", "1.5", "true", "abc", "''", "nan", "-inf", "1e30", "1000000000000", "9223372036854775808"),
    *("[1]", "[]", "[null,null]", "{a: 1}", "${nowhere}", "${{{key}}}", "???", "x" * 5000),
]
SLOW = 20.0  # seconds that no case may take, on any machine


class Case(NamedTuple):
    base: str
    override: str

    @property
    def key(self) -> str:
        return self.override.partition("=")[0].lstrip("+~")


class Outcome(NamedTuple):
    case: Case
    said: str  # why it was refused; empty if it ran
    fault: str  # what is not as it has to be; empty if all is


def cases() -> Iterator[Case]:
    """All of them, some five thousand: every key of every base once, with every value; groups; additions; removals."""
    seen: set[str] = set()
    for base, overrides in BASES.items():
        config = compose("config", overrides, return_hydra_config=True)
        groups = [group for group in config.hydra.runtime.choices if not group.startswith("hydra/")]
        with open_dict(config):
            del config["hydra"]
        values: Any = OmegaConf.to_container(config, resolve=True)
        nodes = {
            ".".join(key.split(".")[: length + 1]) for key, _ in leaves(values) for length in range(key.count("."))
        }
        for key in sorted({*(key for key, _ in leaves(values)), *nodes} - seen - {"resume"}):
            seen.add(key)
            yield from (Case(base, f"{key}={value.replace('{key}', key)}") for value in VALUES)
            yield Case(base, f"~{key}")
        for key in sorted(nodes):
            yield Case(base, f"+{key}.new=3")
        for group in groups:
            yield from (Case(base, override) for override in (f"{group}=null", f"~{group}", f"{group}=no_such"))
    yield from (
        Case("copy", override) for override in ("+new=3", "+new={a: 1}", "resume=", "resume=0", "threads=1000000")
    )


def attempt(case: Case, folder: Path) -> Outcome:
    """Compose, build and train a step, as ``python train.py`` would."""
    overrides, said, fault = [*BASES[case.base], case.override], "", ""
    began = time.perf_counter()
    try:
        config = compose("config", [*overrides, f"hydra.run.dir={folder}"], return_hydra_config=True)
        train_a_step(config, folder)
    except Exception as error:
        said = explain(error, [case.override])
        if not is_of_settings(error):
            fault = f"a traceback: {type(error).__name__}: {error}"
    if time.perf_counter() - began > SLOW:
        fault = f"took {time.perf_counter() - began:.0f} s"
    if said and not fault:
        fault = _fault_of(said, case, folder)
    return Outcome(case, said, fault)


def train_a_step(config: DictConfig, folder: Path) -> None:
    with open_dict(config):
        config.hydra.runtime.output_dir = str(folder)
        HydraConfig.instance().set_config(config)
        hydra = config.pop("hydra")
    folder.mkdir(parents=True)
    with claim(config, hydra):
        run = start(config, hydra)
        run.trainer.fit_loop.epoch_loop.max_steps = 1
        run.fit()


def _fault_of(said: str, case: Case, folder: Path) -> str:
    names = {case.key.split(".")[-1], case.key.split(".")[0], *(["nowhere"] if "nowhere" in case.override else [])}
    if len(said.splitlines()) != 1 or len(said) > 900:
        return "more than one line"
    if not any(name in said for name in names):
        return "the key is not named"
    return "something is left behind" if folder.exists() else ""


def run(count: int | None, seed: int = 0) -> list[Outcome]:
    """The outcomes of so many cases, drawn by chance; None: of all."""
    with initialize_config_dir(str(CONF), version_base="1.3"), tempfile.TemporaryDirectory() as top:
        every = [*cases()]
        chosen = every if count is None else random.Random(seed).sample(every, count)
        return [attempt(case, Path(top) / str(number)) for number, case in enumerate(chosen)]


def report(outcomes: Sequence[Outcome]) -> str:
    bad = [outcome for outcome in outcomes if outcome.fault]
    refused = sum(bool(outcome.said) and not outcome.fault for outcome in outcomes)
    lines = [
        f"{outcome.case.base}: {outcome.case.override[:80]}: {outcome.fault[:300]} | {outcome.said[:200]}"
        for outcome in bad
    ]
    lines.append(
        f"{len(outcomes)} hostile overrides: {refused} refused in one line, "
        f"{len(outcomes) - refused - len(bad)} trained a step, {len(bad)} went wrong"
    )
    return "\n".join(lines)
