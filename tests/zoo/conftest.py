"""What the tests of trained models share: a tiny run given away, and a package of other people's classes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ntm_lab.tasks import Copy
from ntm_lab.types import SequenceModel
from ntm_lab.zoo.card import CARD
from ntm_lab.zoo.find import give_away

INPUTS = Copy(lengths=(1, 4), bits=4).sample(2, {"length": 4}, torch.Generator().manual_seed(0)).inputs

Answer = Callable[..., Tensor]
ChangeCard = Callable[[Path, Callable[[dict[str, Any]], Any]], None]


@pytest.fixture(scope="session")
def answer() -> Answer:
    """``answer(model)``: its logits on two sequences of the tiny run's task, or on inputs that are given."""

    def logits(model: SequenceModel, inputs: Tensor = INPUTS) -> Tensor:
        with torch.no_grad():
            return model(inputs)[0]

    return logits


@pytest.fixture(scope="session")
def given(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny NTM's run, given away; to be looked at, not changed."""
    return give_away(finished, tmp_path_factory.mktemp("given") / "tiny")


@pytest.fixture
def copied(given: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(given, tmp_path / "copied"))


@pytest.fixture(scope="session")
def change_card() -> ChangeCard:
    """``change_card(folder, change)``: the card of a folder, changed in place by a function."""

    def changed(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
        card = json.loads((folder / CARD).read_text())
        change(card)
        (folder / CARD).write_text(json.dumps(card))

    return changed
