"""Every file under conf/ is found here by itself, chosen, and trained with for two steps."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

CONF = Path(__file__).parents[1] / "conf"
FILES = sorted(CONF.rglob("*.yaml"))
MODELS = sorted((path.stem for path in (CONF / "model").glob("*.yaml")), key=lambda model: model != "ntm")  # NTM first
TASKS = sorted(path.stem for path in (CONF / "task").glob("*.yaml"))

TWO_STEPS = [
    *("data.batch_size=2", "max_sequences=4", "data.validate_every=4"),
    *("data.validation_sequences=2", "data.validation_rungs=1", "test.sequences=2", "test.difficulties=null"),
]
QUICK = {"logger": "csv", "callbacks": "none"}  # unless they are what is tested


def name(path: Path) -> str:
    return str(path.relative_to(CONF).with_suffix(""))


@pytest.fixture(scope="module")
def choices() -> dict[str, dict[str, str]]:
    """Of every model: its groups, and what is chosen from each by default."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        configs = {model: compose("config", [f"model={model}"], return_hydra_config=True) for model in MODELS}
    return {model: dict(config.hydra.runtime.choices) for model, config in configs.items()}


@pytest.fixture(scope="module")
def choosing(choices: dict[str, dict[str, str]]) -> Callable[[Path], list[str]]:
    """The overrides by which a file comes into a run."""

    def overrides(path: Path) -> list[str]:
        if path == CONF / "config.yaml":
            return []
        for model in MODELS:
            for folder in list(path.relative_to(CONF).parents)[:-1]:
                group, choice = str(folder), str(path.relative_to(CONF / folder).with_suffix(""))
                if group == "recipe" and choice not in MODELS:
                    pairs = [(model, task) for model in MODELS for task in TASKS if f"{model}_{task}" == choice]
                    return [
                        f"{group}={value}"
                        for pair in pairs
                        for group, value in zip(("model", "task"), pair, strict=True)
                    ]
                if group in choices[model]:
                    return [f"model={model}"] * (model != MODELS[0]) + [f"{group}={choice}"]
        return []

    return overrides


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_file_composes_and_trains_for_two_steps(
    path: Path,
    choosing: Callable[[Path], list[str]],
    composed: Callable[..., DictConfig],
    train: Callable[..., Any],
    tmp_path: Path,
) -> None:
    overrides = choosing(path)
    assert overrides or path.name == "config.yaml", f"{name(path)}: in no group that a run can choose from"
    overrides += [f"{group}={choice}" for group, choice in QUICK.items() if path.parent.name != group]
    config = composed(*overrides)
    if path.name != "config.yaml":
        assert name(path) in [f"{group}/{choice}" for group, choice in config.hydra.runtime.choices.items()]
    if name(path) == "trainer/gpu" and not torch.cuda.is_available():
        pytest.skip("composes; to train needs a GPU")

    ended = train(*overrides, *TWO_STEPS, f"hydra.run.dir={tmp_path / 'run'}")
    assert ended.status == 0, ended.err
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (results["steps"], results["sequences"]) == (2, 4)
    assert results["test"][0]["cost_bits"] > 0


def targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "_target_")
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from targets(part)


@pytest.mark.parametrize("target", sorted({t for path in FILES for t in targets(yaml.safe_load(path.read_text()))}))
def test_every_target_can_be_imported(target: str) -> None:
    assert callable(get_object(target))


def test_no_file_repeats_another() -> None:
    contents: dict[str, str] = {}
    for path in FILES:
        content = yaml.safe_load(path.read_text())
        if len(content) > 1:
            text = json.dumps(content, sort_keys=True)
            assert text not in contents, f"{name(path)} says the same as {contents[text]}"
            contents[text] = name(path)


def test_a_recipe_is_of_a_model_and_a_task() -> None:
    known = {f"{model}_{task}" for model in MODELS for task in TASKS} | {*MODELS}
    assert {path.stem for path in (CONF / "recipe").glob("*.yaml")} <= known


def test_an_ntm_has_a_recipe_for_every_task() -> None:
    assert {f"ntm_{task}" for task in TASKS} <= {path.stem for path in (CONF / "recipe").glob("*.yaml")}


def test_a_recipe_yields_to_the_command_line(composed: Callable[..., DictConfig]) -> None:
    """What it chooses from a group too: `memory=64x32` is another choice, not a node that a recipe writes over."""
    own = composed("task=sort")
    assert (own.controller._target_, own.memory.slots) == ("ntm_lab.nn.controllers.Feedforward", 32)
    other = composed("task=sort", "controller=lstm", "memory=64x32")
    assert (other.controller._target_, other.memory.slots) == ("ntm_lab.nn.controllers.LSTM", 64)


def test_the_recipe_of_model_and_task_comes_by_itself(composed: Callable[..., DictConfig]) -> None:
    plain = yaml.safe_load((CONF / "recipe" / "ntm_copy.yaml").read_text())["model"]["read_gate_bias"]
    assert composed().model.read_gate_bias == plain != 0
    assert composed("recipe=ntm").model.read_gate_bias == 0
    assert composed("model.read_gate_bias=7").model.read_gate_bias == 7


def test_memory_init_is_a_choice_and_a_node(composed: Callable[..., DictConfig]) -> None:
    """The dot in the folder's name: `memory.init=random` replaces the node by another node, not by a string."""
    config = composed("memory.init=random", "memory.init.std=0.3")
    expected = {"_target_": "ntm_lab.nn.memory.Random", "_partial_": True, "std": 0.3, "trainable": False}
    assert config.memory.init == expected
    assert OmegaConf.to_container(config.model, resolve=True)["memory"]["init"] == expected


def test_memory_sizes_keep_the_memory_init(composed: Callable[..., DictConfig]) -> None:
    config = composed("memory=64x32", "memory.init=learned", "memory.weighting=learned", "memory.width=7")
    assert (config.memory.slots, config.memory.width) == (64, 7)
    assert config.memory.init.trainable is True
    assert config.memory.weighting._target_ == "ntm_lab.nn.memory.Learned"


@pytest.mark.parametrize("override", ["memory.init=constant", "memory=64x32", "controller=lstm", "memory.slots=3"])
def test_the_lstm_has_no_memory_to_be_set(override: str, composed: Callable[..., DictConfig]) -> None:
    with pytest.raises(HydraException, match=r"Could not override '(memory|controller)"):
        composed("model=lstm", override)


def test_the_lstm_has_no_dead_keys(composed: Callable[..., DictConfig]) -> None:
    assert {"memory", "controller"} <= set(composed())
    assert not {"memory", "controller"} & set(composed("model=lstm"))


def test_an_experiment_yields_to_the_command_line(composed: Callable[..., DictConfig]) -> None:
    config = composed("experiment=graves2014/copy", "optimizer=adam", "data.batch_size=3", "memory.init=constant")
    assert config.optimizer._target_ == "torch.optim.Adam"
    assert config.data.batch_size == 3
    assert config.memory.init._target_ == "ntm_lab.nn.memory.Constant"
    assert config.clip._target_ == "ntm_lab.training.optim.ClipElements"  # the experiment's own
