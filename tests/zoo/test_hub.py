"""Trained models as huggingface_hub knows them, all of it offline."""

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import torch

import ntm_lab
from ntm_lab.tasks import Copy
from ntm_lab.zoo import shipped
from ntm_lab.zoo.card import CARD, read_card
from ntm_lab.zoo.find import find
from ntm_lab.zoo.hub import HubModel

INPUTS = Copy(lengths=(1, 4), bits=4).sample(3, {"length": 4}, torch.Generator().manual_seed(0)).inputs


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **settings: Any) -> None:
        raise AssertionError("no network is needed")

    monkeypatch.setattr(socket, "socket", refuse)


@pytest.fixture
def saved(finished: Path, tmp_path: Path) -> Path:
    HubModel(find(finished)).save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def test_a_run_makes_the_round_trip_to_the_bit(saved: Path, finished: Path, caplog: pytest.LogCaptureFixture) -> None:
    before, after = HubModel(find(finished)), HubModel.from_pretrained(saved)
    lengths = torch.tensor([9, 5, 7])
    with torch.no_grad():
        assert torch.equal(before(INPUTS)[0], after(INPUTS)[0])
        assert torch.equal(before(INPUTS, lengths=lengths)[0], after(INPUTS, lengths=lengths)[0])
        assert torch.equal(before(INPUTS)[0], ntm_lab.load(finished)(INPUTS)[0])
        _, state = after(INPUTS[:, :4])
        assert torch.allclose(after(INPUTS[:, 4:], state)[0], after(INPUTS)[0][:, 4:], atol=1e-5)
        traces = (model.trace(INPUTS, signals=["memory", "gate"]) for model in (before, after))
        assert all(torch.equal(one, other) for one, other in zip(*(trace.values() for trace in traces), strict=True))
    assert before.card == after.card
    assert read_card(saved).items() >= after.card.items()
    assert after.task.ranges == {"length": (1, 4)}
    assert not after.training
    assert not caplog.records


def test_trained_further_it_is_saved_as_it_is(saved: Path, tmp_path: Path) -> None:
    model = HubModel.from_pretrained(saved)
    with torch.no_grad():
        next(model.parameters()).add_(0.5)
    model.save_pretrained(tmp_path / "again")
    again = HubModel.from_pretrained(tmp_path / "again")
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), again.parameters(), strict=True))
    assert not torch.equal(next(again.parameters()), next(HubModel.from_pretrained(saved).parameters()))


def test_a_saved_model_is_found_like_any_other(saved: Path) -> None:
    with torch.no_grad():
        assert torch.equal(ntm_lab.load(saved)(INPUTS)[0], HubModel.from_pretrained(saved)(INPUTS)[0])


def test_its_page_shows_the_card(saved: Path) -> None:
    text = (saved / "README.md").read_text()
    assert "library_name: ntm_lab" in text and "# copy-ntm-lstm" in text
    assert json.loads(text.split("```json")[1].split("```")[0]).items() <= read_card(saved).items()


def test_a_shipped_model_can_be_published(tmp_path: Path) -> None:
    name = next(iter(shipped.cards()))
    found = find(name)
    HubModel(found).save_pretrained(tmp_path)
    batch = found.task.sample(2, {axis: low for axis, (low, _) in found.task.ranges.items()}, torch.Generator())
    with torch.no_grad():
        assert torch.equal(HubModel.from_pretrained(tmp_path)(batch.inputs)[0], found.model(batch.inputs)[0])


def test_a_run_is_no_hub_folder(finished: Path, tmp_path: Path) -> None:
    """Its config.yaml may name any class, which nobody expects of what was downloaded."""
    run = shutil.copytree(finished, tmp_path / "run")
    with pytest.raises(FileNotFoundError, match=rf"has no {CARD}"):
        HubModel.from_pretrained(run)


def test_what_is_not_there_is_not_looked_for_elsewhere_when_offline(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        HubModel.from_pretrained("nobody/nothing", local_files_only=True, cache_dir=tmp_path)
