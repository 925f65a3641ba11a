"""A checkpoint is on disk whole or not at all, and holds nothing that loading would have to execute."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ntm_lab.training.checkpoints import WholeCheckpointIO, read_checkpoint


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A checkpoint that is there before."""
    path = tmp_path / "checkpoints" / "last.ckpt"
    WholeCheckpointIO().save_checkpoint({"weights": torch.arange(5.0)}, path)
    return path


def test_it_comes_back_as_it_was(old: Path) -> None:
    assert torch.equal(WholeCheckpointIO().load_checkpoint(old)["weights"], torch.arange(5.0))
    WholeCheckpointIO().save_checkpoint({"weights": torch.ones(2)}, old)
    assert torch.equal(WholeCheckpointIO().load_checkpoint(old)["weights"], torch.ones(2))
    assert os.listdir(old.parent) == ["last.ckpt"]


def full_disk(*arguments: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("failing", "error"), [("os.fsync", OSError), ("value", Exception)], ids=["disk full", "half way through"]
)
def test_an_error_leaves_the_old_one(failing: str, error: type, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = old.read_bytes()
    checkpoint: dict[str, Any] = {"weights": torch.randn(1000)}
    if failing == "os.fsync":
        monkeypatch.setattr(os, "fsync", full_disk)
    else:
        checkpoint["function"] = lambda: None  # cannot be pickled
    with pytest.raises(error):
        WholeCheckpointIO().save_checkpoint(checkpoint, old)
    assert old.read_bytes() == before
    assert os.listdir(old.parent) == ["last.ckpt"]


def test_what_would_have_to_be_executed_is_not_loaded(tmp_path: Path) -> None:
    torch.save({"path": Path("/")}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="it holds more than plain values"):
        WholeCheckpointIO().load_checkpoint(tmp_path / "other.ckpt", weights_only=False)


def swap(content: bytes) -> bytes:
    """The names of two members, wherever they stand, so that all checksums of contents stay right."""
    return content.replace(b"data/0", b"??????").replace(b"data/1", b"data/0").replace(b"??????", b"data/1")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (
            lambda content: content.replace(torch.ones(64).numpy().tobytes(), torch.ones(64).neg().numpy().tobytes()),
            "data/1",
        ),
        (swap, "its directory is not what was written"),
        (lambda content: content[:-30], "not a zip file"),
    ],
    ids=["other values", "two tensors swapped", "cut"],
)
def test_rot_is_noticed(damage: Callable[[bytes], bytes], says: str, old: Path) -> None:
    checkpoint = {"one": torch.arange(64.0), "other": torch.ones(64)}
    WholeCheckpointIO().save_checkpoint(checkpoint, old)
    content = damage(old.read_bytes())
    assert content != old.read_bytes()
    old.write_bytes(content)
    with pytest.raises(ValueError, match=says):
        WholeCheckpointIO().load_checkpoint(old)


def test_a_checkpoint_of_an_older_version_has_no_seal(tmp_path: Path) -> None:
    torch.save({"weights": torch.ones(2)}, tmp_path / "old.ckpt")
    assert torch.equal(read_checkpoint(tmp_path / "old.ckpt")["weights"], torch.ones(2))


def test_a_run_leaves_one_checkpoint_of_plain_values(finished: Path) -> None:
    assert os.listdir(finished / "checkpoints") == ["last.ckpt"]
    checkpoint = torch.load(finished / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 6
    assert checkpoint["learner"]["sequences"] == 24
    assert {"state_dict", "optimizer_states", "lr_schedulers", "Data"} <= checkpoint.keys()
