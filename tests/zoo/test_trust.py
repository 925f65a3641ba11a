"""What a card may build: plain classes of this package, and those of packages that the person who loads trusts."""

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

import ntm_lab
from ntm_lab.cli import main
from ntm_lab.evaluation import evaluate
from ntm_lab.runs.run import Run
from ntm_lab.zoo.card import read_card, write
from ntm_lab.zoo.find import card_of, find, give_away
from ntm_lab.zoo.hub import HubModel
from ntm_lab.zoo.trust import OWN, check

ChangeCard = Callable[[Path, Callable[[dict[str, Any]], Any]], None]

THEIR_PARTS = """
import os
import torch
from torch.nn import Linear
from ntm_lab.nn.contents import Constant
from ntm_lab.tasks import Copy

class Echo(Copy):
    pass

class Blank(Constant):
    pass

class Plain:
    def __init__(self, *arguments):
        open(arguments[0], "w")

def helper(*arguments):
    open(arguments[0], "w")
"""


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package of other people: version 1.2 of their_package, with a task and a content."""
    site = tmp_path / "site"
    for path, text in {
        "their_package/__init__.py": "",
        "their_package/parts.py": THEIR_PARTS,
        "their_package/_hidden.py": THEIR_PARTS,
        "their_package/broken.py": "1 / 0",
        "their_package-1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: their-package\nVersion: 1.2\n",
        "their_package-1.2.dist-info/top_level.txt": "their_package\n",
    }.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    monkeypatch.syspath_prepend(site)
    yield site
    for name in [name for name in sys.modules if name.partition(".")[0] == "their_package"]:
        del sys.modules[name]


@pytest.fixture
def foreign(theirs: Path, started: Callable[..., Run], tiny_ntm: list[str]) -> Path:
    """A tiny run of their task and their content, given away."""
    classes = ["task._target_=their_package.parts.Echo", "memory.init._target_=their_package.parts.Blank"]
    run = started(*tiny_ntm, *classes)
    run.fit()
    run.report(evaluate(run.learner.model, run.task, [{"length": 4}], 8))
    return give_away(run.folder, theirs.parent / "foreign")


def test_a_card_names_the_packages_it_needs(foreign: Path, given: Path) -> None:
    assert read_card(foreign)["packages"] == {"their_package": "1.2"}
    assert read_card(given)["packages"] == {}


@pytest.mark.parametrize("trust", [("their_package",), ["numpy", "their_package"], "their_package"], ids=str)
def test_a_trusted_package_is_built(trust: Any, foreign: Path, answer: Callable[..., Tensor]) -> None:
    found = find(foreign, trust=trust)
    assert type(found.task).__name__ == "Echo"
    logits = answer(found.model)
    assert torch.equal(logits, answer(ntm_lab.load(foreign, trust=trust)))
    assert torch.equal(logits, answer(HubModel.from_pretrained(foreign, trust=trust)))


@pytest.mark.parametrize("trust", [(), ("their",), ("torch", "their_package.parts"), "ntm_lab"], ids=str)
def test_a_package_that_is_not_trusted_is_not_even_imported(trust: Any, foreign: Path) -> None:
    for name in ("their_package", "their_package.parts"):
        del sys.modules[name]
    with pytest.raises(
        ValueError, match=r"foreign: .*code of the package their_package.* trust=\(\"their_package\",\)"
    ):
        ntm_lab.load(foreign, trust=trust)
    assert "their_package" not in sys.modules


def test_the_command_line_asks_for_trust(foreign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", str(foreign), "--sequences", "4"]
    assert main(command) == 2
    assert "--trust their_package" in capsys.readouterr().err
    assert main([*command, "--trust", "their_package"]) == 0
    assert "length 4" in capsys.readouterr().out


def test_a_card_can_be_read_without_trust(foreign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", str(foreign)]) == 0
    assert "their_package 1.2" in capsys.readouterr().out


def test_a_package_that_is_not_installed_is_named(foreign: Path, theirs: Path) -> None:
    shutil.rmtree(theirs)
    for name in ("their_package", "their_package.parts"):
        del sys.modules[name]
    importlib.invalidate_caches()
    with pytest.raises(ValueError, match=r"foreign: .* install the package their_package"):
        ntm_lab.load(foreign, trust="their_package")


def test_a_class_of_no_installed_package_is_not_given_away(foreign: Path, theirs: Path) -> None:
    """A module beside one's script is here only: nobody else could load the model."""
    shutil.rmtree(theirs / "their_package-1.2.dist-info")
    run = theirs.parent / "run-1"
    with pytest.raises(ValueError, match=r"the package their_package.* is not installed"):
        card_of(find(run))


# What a card must not be able to do. A shell hides behind attributes of our own modules too.
FOREIGN = [
    "os.system",
    "pathlib.Path.touch",
    "builtins.exec",
    "subprocess.Popen",
    "ntm_lab.training.checkpoints.os.system",
    "ntm_lab.training.learner.Learner",
    "ntm_lab.tasks.copy.torch.load",
    "ntm_lab.tasks.base.BaseTask",
    "ntm_lab.zoo.find.find",
    "ntm_lab.tasks",
    "ntm_lab",
    "",
    ".os.system",
    "os..system",
    "os.system\n",
    None,
    3,
    ["os.system"],
    {"_target_": "os.system"},
]
TRUSTED_BUT_NOT_ALLOWED = [
    "their_package.parts.os.system",
    "their_package.parts.torch.load",
    "their_package.parts.Linear",  # torch's
    "their_package.parts.helper",
    "their_package.parts.Plain",
    "their_package.parts.Echo.sample",
    "their_package.parts.Absent",
    "their_package.absent.Echo",
    "their_package.broken.Echo",
    "their_package._hidden.Echo",
    "their_package.__init__.Echo",
    "their_package.parts",
    "their_package",
    "their_package:parts.Echo",
]


def poisoned(card: dict[str, Any], place: str, call: dict[str, Any]) -> None:
    """Put a call in a place of a card's config."""
    config = card["config"]
    if place == "controller":
        config["model"]["controller"] = call
    elif place == "list":
        config["task"]["lengths"] = [1, [call]]
    else:
        config[place] = call


@pytest.mark.parametrize("place", ["task", "model", "controller", "list"])
@pytest.mark.parametrize("target", FOREIGN, ids=str)
def test_a_card_cannot_run_code(place: str, target: Any, copied: Path, change_card: ChangeCard, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    call = {"_target_": target, "_args_": [str(witness) if target != "os.system" else f"touch {witness}"]}
    change_card(copied, lambda card: poisoned(card, place, call))
    for trust in ((), ("os", "pathlib", "builtins", "subprocess", "ntm_lab")):
        with pytest.raises(ValueError, match=r"copied: _target_=(.|\n)* is refused"):
            ntm_lab.load(copied, trust=trust)
    assert not witness.exists()


@pytest.mark.parametrize("target", TRUSTED_BUT_NOT_ALLOWED)
def test_trust_reaches_only_the_models_and_tasks_of_a_package(
    target: str, copied: Path, theirs: Path, change_card: ChangeCard, tmp_path: Path
) -> None:
    witness = tmp_path / "witness"
    call = {"_target_": target, "arguments": str(witness)}
    change_card(copied, lambda card: poisoned(card, "controller", call))
    with pytest.raises(ValueError, match=r"copied: _target_=their_package"):
        ntm_lab.load(copied, trust=("their_package", "torch"))
    assert not witness.exists()


def test_an_alias_of_a_module_is_no_module_of_the_package(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As os.path is posixpath: what is entered in sys.modules under a name need not belong to it."""
    importlib.import_module("their_package")
    monkeypatch.setitem(sys.modules, "their_package.layers", importlib.import_module("torch.nn"))
    with pytest.raises(ValueError, match=r"Linear is refused"):
        check({"_target_": "their_package.layers.Linear"}, "their_package")


@pytest.mark.parametrize(
    ("key", "value"), [("backend", "${oc.env:HOME}"), ("_args_", [1]), ("_convert_", "all"), ("_recursive_", False)]
)
def test_a_card_holds_only_plain_values(key: str, value: Any, copied: Path, change_card: ChangeCard) -> None:
    change_card(copied, lambda card: card["config"]["model"].update({key: value}))
    with pytest.raises(ValueError, match=rf"copied: {key}.* is refused"):
        ntm_lab.load(copied)


def test_a_card_that_nobody_could_load_is_not_written(finished: Path, tmp_path: Path) -> None:
    found = find(finished)
    card = card_of(found)
    card["config"]["task"]["_target_"] = "mine.Task"
    with pytest.raises(ValueError, match=r"_target_=mine\.Task is refused"):
        write(tmp_path / "folder", card, found.model.state_dict())
    assert not (tmp_path / "folder").exists()


def test_a_saved_model_cannot_run_code(copied: Path, change_card: ChangeCard) -> None:
    change_card(copied, lambda card: card["config"]["model"]["controller"].update(_target_="os.system"))
    with pytest.raises(ValueError, match=r"_target_=os\.system is refused"):
        HubModel.from_pretrained(copied)


def test_only_what_tasks_and_models_are_made_of_is_allowed() -> None:
    assert {"ntm_lab.tasks.Copy", "ntm_lab.nn.LSTM", "ntm_lab.nn.contents.Constant"} < set(OWN)
    assert all(isinstance(found, type) for found in OWN.values())


CONF = Path(__file__).parents[2] / "conf"
CHOICES = [
    f"{group}={path.stem}"
    for group in ("model", "controller", "memory.init", "memory.weighting", "task")
    for path in sorted((CONF / group).glob("*.yaml"))
]


@pytest.mark.parametrize("choice", CHOICES)
def test_whatever_conf_builds_can_be_given_away(choice: str, composed: Callable[..., DictConfig]) -> None:
    config = composed(choice)
    check([OmegaConf.to_container(config[part], resolve=True) for part in ("task", "model")])
