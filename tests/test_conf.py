"""Every file under conf/ is found here by itself, chosen, and trained with for two steps."""

import inspect
import json
import re
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

from ntm_lab.nn.access import DNCAccess, MANNAccess, NTMAccess
from ntm_lab.runs.config import leaves
from ntm_lab.tasks.answers import measures_of
from ntm_lab.training.loggers import EXTRAS

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
def choices() -> dict[tuple[str, ...], dict[str, str]]:
    """By the overrides that bring groups in, a model or a task: all groups, and what is chosen from each by default."""
    bringing = [(), *((f"model={model}",) for model in MODELS[1:]), *((f"task={task}",) for task in TASKS)]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        configs = {first: compose("config", [*first], return_hydra_config=True) for first in bringing}
    return {first: dict(config.hydra.runtime.choices) for first, config in configs.items()}


@pytest.fixture(scope="module")
def choosing(choices: dict[tuple[str, ...], dict[str, str]]) -> Callable[[Path], list[str]]:
    """The overrides by which a file comes into a run."""

    def overrides(path: Path) -> list[str]:
        if path == CONF / "config.yaml":
            return []
        if path.parts[-3] == "recipe" and path.stem in TASKS:
            return [f"model={path.parts[-2]}", f"task={path.stem}"]  # it comes by itself
        for first, groups in choices.items():
            for folder in list(path.relative_to(CONF).parents)[:-1]:
                choice = str(path.relative_to(CONF / folder).with_suffix(""))
                group = str(folder)
                if group in groups and (group != "recipe" or choice.startswith(f"{groups['model']}/")):
                    return [*first, f"{group}={choice}"]
        return []

    return overrides


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=name)
@pytest.mark.filterwarnings("ignore:::(mlflow|wandb|pydantic|sqlalchemy|alembic)")  # their own affairs
def test_every_file_composes_and_trains_for_two_steps(
    path: Path,
    choosing: Callable[[Path], list[str]],
    composed: Callable[..., DictConfig],
    train: Callable[..., Any],
    babi: Path,
    tmp_path: Path,
) -> None:
    overrides = choosing(path)
    assert overrides or path.name == "config.yaml", f"{name(path)}: in no group that a run can choose from"
    if "task=babi" in overrides:
        overrides += [f"task.root={babi}", "task.tasks=[1,4,8]", "task.partial=true"]
    overrides += [f"{group}={choice}" for group, choice in QUICK.items() if path.parent.name != group]
    config = composed(*overrides)
    if path.name != "config.yaml":
        assert name(path) in [f"{group}/{choice}" for group, choice in config.hydra.runtime.choices.items()]
    if name(path) == "trainer/gpu" and not torch.cuda.is_available():
        pytest.skip("composes; to train needs a GPU")
    if path.parent.name == "logger" and path.stem in EXTRAS:
        pytest.importorskip(path.stem)

    ended = train(*overrides, *TWO_STEPS, f"hydra.run.dir={tmp_path / 'run'}")
    if name(path) == "task.images/omniglot":  # which everybody has to bring
        assert ended.status == 1 and "task.images.root=null: " in ended.err
        return
    assert ended.status == 0, ended.err
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (results["steps"], results["sequences"]) == (2, 4)
    assert results["test"][0][measures_of(results["test"][0])[0].name] > 0


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


def test_a_recipe_is_of_a_model_and_every_model_has_a_general_one() -> None:
    recipes = {str(path.relative_to(CONF / "recipe").with_suffix("")) for path in CONF.glob("recipe/**/*.yaml")}
    assert {recipe.split("/")[0] for recipe in recipes} == {*MODELS}
    assert {f"{model}/general" for model in MODELS} <= recipes


def test_every_task_of_ours_has_its_budget_and_its_recipe_for_the_ntm() -> None:
    bits = {"copy", "repeat_copy", "associative_recall", "sort", "ngrams"}
    assert bits <= {path.stem for path in CONF.glob("recipe/ntm/*.yaml")}
    assert bits <= {path.stem for path in CONF.glob("budget/*.yaml")}


def suggested(path: Path) -> Iterator[str]:
    """The dotted keys of what a file says in ``recipe``."""
    node = yaml.safe_load(path.read_text())
    yield from (f"recipe.{key}" for key, _ in leaves(node.get("recipe") or {}))


def test_whatever_a_recipe_suggests_is_read_and_the_other_way_round() -> None:
    said = {key for path in FILES for key in suggested(path)}
    read = {key for path in FILES for key in re.findall(r"oc\.select:(recipe(?:\.[a-z_]\w*)+)", path.read_text())}
    assert said == read


# An experiment may also set what every choice of these groups has.
FITTING = {"model": {"recipe", "experiment"}, **{key: {"experiment"} for key in ("task", "memory", "controller")}}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_file_writes_into_the_settings_of_another_group(path: Path) -> None:
    """The settings of a group belong to the file that is chosen from it; what others want of it is in ``recipe``."""
    if not path.read_text().startswith("# @package _global_"):
        return
    own = path.relative_to(CONF).parts[0]
    groups = {folder.name for folder in CONF.iterdir() if folder.is_dir()} - {"recipe", "form"}
    foreign = {key for key in yaml.safe_load(path.read_text()) if key in groups and key != own}
    assert {key for key in foreign if own not in FITTING.get(key, ())} == set()


@pytest.mark.parametrize("model", MODELS)
def test_a_configuration_is_printed_with_its_values(model: str, composed: Callable[..., DictConfig]) -> None:
    """`--cfg job --resolve`: a list that an interpolation falls back on has no place in a resolved configuration."""
    config = composed(f"model={model}")
    OmegaConf.resolve(OmegaConf.masked_copy(config, [key for key in config if key != "hydra"]))


def test_a_recipe_yields_to_the_command_line(composed: Callable[..., DictConfig]) -> None:
    """What it chooses from a group too: `memory=64x32` is another choice, not a node that a recipe writes over."""
    own = composed("task=sort")
    assert (own.controller._target_, own.memory.slots) == ("ntm_lab.nn.controllers.Feedforward", 32)
    other = composed("task=sort", "controller=lstm", "memory=64x32")
    assert (other.controller._target_, other.memory.slots) == ("ntm_lab.nn.controllers.LSTM", 64)


def test_the_recipe_of_model_and_task_comes_by_itself(composed: Callable[..., DictConfig]) -> None:
    plain = yaml.safe_load((CONF / "recipe/ntm/copy.yaml").read_text())["model"]["read_gate_bias"]
    assert composed().model.read_gate_bias == plain != 0
    assert composed("recipe=ntm/general").model.read_gate_bias == 0
    assert composed("model.read_gate_bias=7").model.read_gate_bias == 7


@pytest.mark.parametrize("chosen", ["task=associative_recall", "controller=feedforward", "model=lstm", "task=sort"])
def test_an_optimizer_has_its_own_rate(chosen: str, composed: Callable[..., DictConfig]) -> None:
    """A rate that was found for Adam is none for another optimizer; what a person sets wins over all."""
    own = composed("optimizer=rmsprop", "recipe=ntm/general").optimizer
    assert composed(chosen, "optimizer=rmsprop").optimizer == own
    assert (own.lr, own.eps) == (1e-4, 1e-4)
    assert composed(chosen).optimizer.lr != composed().optimizer.lr == 1e-2
    for optimizer in ("adam", "rmsprop"):
        assert composed(chosen, f"optimizer={optimizer}", "optimizer.lr=0.3", "optimizer.eps=0.5").optimizer.lr == 0.3


@pytest.mark.parametrize(
    ("chosen", "other", "group"),
    [
        (["task=ngrams"], "memory.init=constant", "memory.init"),
        (["task=ngrams"], "clip=none", "clip"),
        (["experiment=collier2018/copy"], "clip=elements", "clip"),
        (["experiment=collier2018/copy"], "optimizer=rmsprop", "optimizer"),
        (["experiment=graves2014/copy"], "optimizer=adam", "optimizer"),
    ],
    ids=str,
)
def test_another_choice_has_the_settings_of_its_own_file(
    chosen: list[str], other: str, group: str, composed: Callable[..., DictConfig]
) -> None:
    """Not those that a recipe or an experiment meant for the choice that it makes itself."""
    mixed = OmegaConf.select(composed(*chosen, other), group)
    assert mixed.keys() == OmegaConf.select(composed(other), group).keys()
    assert dict(mixed) | {"trainable": None} == dict(OmegaConf.select(composed(other), group)) | {"trainable": None}


def test_a_budget_belongs_to_the_task_whatever_the_model(composed: Callable[..., DictConfig]) -> None:
    for model in MODELS:
        config = composed(f"model={model}", "task=sort")
        assert (config.max_sequences, config.data.validate_every) == (480_000, 16_000)
        other = composed(f"model={model}", "task=sort", "budget=general", "max_sequences=7")
        assert (other.max_sequences, other.data.validate_every) == (7, 800)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (["task=one_shot"], (20_000, 1_600)),
        (["task=one_shot", "task.images=omniglot"], (100_000, 3_200)),
        (["task=one_shot", "max_sequences=7"], (7, 1_600)),
        (["budget=one_shot"], (100_000, 3_200)),
    ],
    ids=["digits", "omniglot", "own", "no images"],
)
def test_a_budget_may_ask_which_images_there_are(
    chosen: list[str], expected: tuple[int, int], composed: Callable[..., DictConfig]
) -> None:
    config = composed(*chosen)
    assert (config.max_sequences, config.data.validate_every) == expected


def test_encoders_of_images_know_their_size(composed: Callable[..., DictConfig]) -> None:
    chosen = ["model=mann", "task=one_shot", "model.encoder=convolutions"]
    assert composed(*chosen).model.encoder.side == 8
    assert composed(*chosen, "task.images=omniglot", "task.images.size=28").model.encoder.side == 28


OWN_TASK = """
_target_: ntm_lab.tasks.Copy
lengths: [1, 3]
bits: 2
"""


@pytest.mark.parametrize("model", MODELS)
def test_an_own_task_needs_no_recipe_and_no_budget(model: str, train: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "conf/task/mine").mkdir(parents=True)
    (tmp_path / "conf/task/mine/short.yaml").write_text(OWN_TASK)
    settings = [
        f"--config-dir={tmp_path / 'conf'}",
        "task=mine/short",
        f"model={model}",
        "logger=csv",
        "callbacks=none",
    ]
    ended = train(*settings, *TWO_STEPS, f"hydra.run.dir={tmp_path / 'run'}")
    assert ended.status == 0, ended.err
    choices = OmegaConf.load(tmp_path / "run/config.yaml").choices
    assert (choices.task, choices.recipe, choices.budget) == ("mine/short", f"{model}/mine/short", "mine/short")


def test_own_recipes_and_budgets_are_found(composed: Callable[..., DictConfig], tmp_path: Path) -> None:
    for group, text in {"budget": "max_sequences: 77", "recipe/ntm": "defaults: [/recipe/ntm/copy]"}.items():
        (tmp_path / group).mkdir(parents=True)
        (tmp_path / group / "short.yaml").write_text(f"# @package _global_\n{text}\n")
    (tmp_path / "task").mkdir()
    (tmp_path / "task/short.yaml").write_text(OWN_TASK)
    config = composed("task=short", f"hydra.searchpath=[{tmp_path}]")
    assert (config.max_sequences, config.model.read_gate_bias) == (77, -4.0)


@pytest.mark.parametrize("model", ["ntm", "dnc", "mann"])
def test_a_model_names_all_settings_of_its_access(model: str, composed: Callable[..., DictConfig]) -> None:
    """Those of a DNC and a MANN are the defaults of the class, which say what learns."""
    node = composed(f"model={model}", "task=copy", f"recipe={model}/general").model
    access = {"ntm": NTMAccess, "dnc": DNCAccess, "mann": MANNAccess}[model]
    defaults = {name: one.default for name, one in inspect.signature(access).parameters.items()}
    network = {"controller", "backend", "recompute_every", "encoder", "dropout"}
    assert node.keys() == {*defaults, *network, "_target_", "_partial_"}
    if model != "ntm":
        own = defaults.keys() - {"slots", "width", "init"}
        assert {name: node[name] for name in own} == {name: defaults[name] for name in own}


def test_memory_init_is_a_choice_and_a_node(composed: Callable[..., DictConfig]) -> None:
    """The dot in the folder's name: `memory.init=random` replaces the node by another node, not by a string."""
    config = composed("memory.init=random", "memory.init.std=0.3")
    expected = {"_target_": "ntm_lab.nn.contents.Random", "_partial_": True, "std": 0.3, "trainable": False}
    assert config.memory.init == expected
    assert OmegaConf.to_container(config.model, resolve=True)["init"] == expected


def test_memory_sizes_keep_the_memory_init(composed: Callable[..., DictConfig]) -> None:
    config = composed("memory=64x32", "memory.init=learned", "memory.weighting=learned", "memory.width=7")
    assert (config.memory.slots, config.memory.width) == (64, 7)
    assert config.memory.init.trainable is True
    assert config.memory.weighting._target_ == "ntm_lab.nn.weightings.Learned"


@pytest.mark.parametrize("override", ["memory.init=constant", "memory=64x32", "controller=lstm", "memory.slots=3"])
def test_the_lstm_has_no_memory_to_be_set(override: str, composed: Callable[..., DictConfig]) -> None:
    with pytest.raises(HydraException, match=r"Could not override '(memory|controller)"):
        composed("model=lstm", override)


@pytest.mark.parametrize("model", ["dnc", "mann"])
def test_only_the_ntm_has_initial_weightings(model: str, composed: Callable[..., DictConfig]) -> None:
    with pytest.raises(HydraException, match=r"Could not override 'memory.weighting'"):
        composed(f"model={model}", "memory.weighting=uniform")


def test_the_lstm_has_no_dead_keys(composed: Callable[..., DictConfig]) -> None:
    assert {"memory", "controller"} <= set(composed())
    assert not {"memory", "controller"} & set(composed("model=lstm"))


def test_an_experiment_yields_to_the_command_line(composed: Callable[..., DictConfig]) -> None:
    config = composed("experiment=graves2014/copy", "optimizer=adam", "data.batch_size=3", "memory.init=constant")
    assert config.optimizer._target_ == "ntm_lab.training.optim.Adam"
    assert config.data.batch_size == 3
    assert config.memory.init._target_ == "ntm_lab.nn.contents.Constant"
    assert config.clip._target_ == "ntm_lab.training.optim.ClipElements"  # the experiment's own
