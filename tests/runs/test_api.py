"""`ntm_lab.train`: the same run as from the command line, and a process that is as it was."""

import json
import logging
import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.version import getbase
from omegaconf import OmegaConf

from ntm_lab.runs.api import TrainedRun, as_overrides, train
from ntm_lab.runs.config import leaves

TINY: dict[str, Any] = {
    "data": {"batch_size": 4, "validate_every": 8, "validation_sequences": 4, "validation_rungs": 2},
    "test": {"sequences": 8, "difficulties": None},
    "memory": {"slots": 16, "width": 6},
    "controller": {"size": 16},
    "max_sequences": 24,
    "logger": "csv",
    "callbacks": "none",
}
SMALL_TASK = ("task.lengths=[1,4]", "task.bits=4")


def tiny(tmp_path: Path, *overrides: str, **settings: Any) -> TrainedRun:
    return train(
        "copy", settings.pop("model", None), *SMALL_TASK, *overrides, **{"folder": tmp_path / "run", **TINY, **settings}
    )


def test_it_is_the_run_of_the_command_line(tmp_path: Path, train: Callable[..., Any], tiny_ntm: list[str]) -> None:
    run = tiny(tmp_path, "optimizer.lr=0.02", seed=3, controller={"size": 16, "layers": 2})
    command = [*tiny_ntm, "seed=3", "optimizer.lr=0.02", "controller.layers=2"]
    ended = train(*command, f"hydra.run.dir={tmp_path / 'other'}")
    assert ended.status == 0, ended.err
    mine, other = (
        torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for folder in (run.folder, tmp_path / "other")
    )
    assert mine.keys() == other.keys() and all(torch.equal(mine[name], other[name]) for name in mine)
    configs = [dict(leaves(OmegaConf.load(tmp_path / name / "config.yaml"))) for name in ("run", "other")]
    differing = {key for key in configs[0] | configs[1] if configs[0].get(key) != configs[1].get(key)}
    assert differing == {"overrides"}
    assert run.results["test"] == json.loads((tmp_path / "other/results.json").read_text())["test"]


def test_what_comes_back_can_be_used(tmp_path: Path) -> None:
    run = tiny(tmp_path)
    assert run.folder == tmp_path / "run"
    assert run.results == json.loads((run.folder / "results.json").read_text())
    assert run.config.max_sequences == 24 and not run.model.training
    batch = run.task.sample(3, {"length": 4}, torch.Generator().manual_seed(0))
    assert run.model(batch.inputs)[0].shape == batch.targets.shape
    assert "length 4" in repr(run) and f"results in {run.folder}" in repr(run)
    assert run._repr_html_().startswith("<pre>fresh sequences")


def state() -> list[Any]:
    """What a run might change for the whole process."""
    flushed = float(torch.tensor(1e-40) * 1) == 0
    loggers = [logging.root.level, logging.root.handlers[:], logging.getLogger("pytorch_lightning").level]
    hydra = [GlobalHydra.instance().hydra, HydraConfig.instance().cfg, getbase()]
    drawn = [torch.get_rng_state().tolist(), random.getstate()]
    return [flushed, torch.get_num_threads(), loggers, hydra, drawn, warnings.filters[:], sys.argv[:]]


@pytest.mark.parametrize("wrong", [{}, {"seed": -1}], ids=["ended", "refused"])
def test_the_process_is_as_it_was(wrong: dict[str, Any], tmp_path: Path) -> None:
    torch.set_num_threads(2)
    torch.set_flush_denormal(False)
    before = state()
    for count in range(2):
        if wrong:
            with pytest.raises(ValueError, match=r"^seed=-1: must be a whole number of at least 0$"):
                tiny(tmp_path, folder=tmp_path / f"{count}", **wrong)
        else:
            tiny(tmp_path, folder=tmp_path / f"{count}", threads=1)
        assert state() == before
    assert {path.name for path in tmp_path.iterdir()} == (set() if wrong else {"0", "1"})


APP = """
from hydra import main
from hydra.core.hydra_config import HydraConfig
from ntm_lab.runs.api import train

@main(version_base="1.2", config_path=None)
def app(config):
    before = HydraConfig.get().runtime.output_dir
    run = train(**{settings}, folder="inner")
    assert HydraConfig.get().runtime.output_dir == before
    print("inner", run.results["sequences"])

app()
"""


def test_it_works_within_another_hydra_application(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP.replace("{settings}", repr(TINY)))
    ended = subprocess.run([sys.executable, "app.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert "inner 24" in ended.stdout and (tmp_path / "inner/results.json").exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model": "elman"}, "Could not find 'model/elman'"),
        ({"memory": {"slots": 0}}, "memory.slots=0: must be a whole number of at least 1"),
        ({"modell": "ntm"}, "Could not override 'modell'"),
        ({"model": "lstm"}, r"asked for with task=copy model=lstm"),
        ({"resume": "nowhere"}, "resume=nowhere: there is no such folder"),
        ({"optimizer": {"lr": 1e30}, "clip": "none", "backend": "reference", "schedule": "constant"}, "at step"),
    ],
    ids=str,
)
def test_what_is_wrong_is_a_value_error_of_one_line(settings: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        tiny(tmp_path, **settings)
    assert len(str(refused.value).splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"^folder=.*/file/below: cannot be written \(Not a directory\)"):
        tiny(tmp_path, folder=tmp_path / "file" / "below")


def test_a_run_is_taken_up_again(tmp_path: Path) -> None:
    first = tiny(tmp_path)
    again = train(resume=first.folder, max_sequences=32)
    assert again.folder == first.folder and again.results["sequences"] == 32


def test_a_task_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "conf/task").mkdir(parents=True)
    (tmp_path / "conf/task/mine.yaml").write_text("_target_: ntm_lab.tasks.Copy\nlengths: [2, 3]\n")
    run = train("mine", config_dir=tmp_path / "conf", folder=tmp_path / "run", **TINY)
    assert run.results["task"] == "mine" and run.task.ranges == {"length": (2, 3)}


@pytest.mark.parametrize("value", ["it's", "a b", "1", "true", "[x]", "a,b", "a=b", "${x}", "", "a/b-c.d", "\\'"])
def test_any_text_reads_back_the_same(value: str) -> None:
    (override,) = OverridesParser.create().parse_overrides([*as_overrides({"key": value})])
    read = override.value()
    assert str(getattr(read, "text", read)) == value
