"""Results that are kept: found again, and not mistaken for those of another question or other weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ntm_lab.evaluation import cache, evaluate_cached, open_cache
from ntm_lab.evaluation.cache import NAME, fingerprint
from ntm_lab.nn import LSTM
from ntm_lab.tasks import Copy

TASK = Copy(lengths=(1, 5), bits=3)


class Counting(LSTM):
    """How many sequences it has answered."""

    answered = 0

    def forward(self, inputs: Tensor, *others: Any, **more: Any) -> tuple[Tensor, Any]:
        self.answered += len(inputs)
        return super().forward(inputs, *others, **more)


@pytest.fixture
def model() -> Counting:
    torch.manual_seed(0)
    return Counting(TASK.input_size, TASK.output_size, size=4, layers=1)


def ask(folder: Path, model: Counting, length: int = 3, sequences: int = 20, seed: int = 2) -> dict[str, Any]:
    """A row, and how many sequences it took."""
    before, told = model.answered, list[int]()
    (row,) = evaluate_cached(model, TASK, [{"length": length}], sequences, seed, open_cache(folder, model), told.append)
    assert sum(told) == sequences
    return row | {"took": model.answered - before}


def test_the_same_question_is_answered_once(model: Counting, tmp_path: Path) -> None:
    first, again = ask(tmp_path, model), ask(tmp_path, model)
    assert (first.pop("took"), again.pop("took")) == (20, 0)
    assert first == again


@pytest.mark.parametrize("change", [{"length": 4}, {"sequences": 21}, {"seed": 3}], ids=str)
def test_another_question_is_another_answer(change: dict[str, int], model: Counting, tmp_path: Path) -> None:
    first, other = ask(tmp_path, model), ask(tmp_path, model, **change)
    assert other["took"] == change.get("sequences", 20)
    assert other["cost_bits"] != first["cost_bits"]
    assert ask(tmp_path, model)["took"] == 0  # the first is still there


def test_other_weights_begin_anew(model: Counting, tmp_path: Path) -> None:
    first = ask(tmp_path, model)
    with torch.no_grad():
        model.output.bias[0] += 1
    other = ask(tmp_path, model)
    assert other["took"] == 20 and other["cost_bits"] != first["cost_bits"]
    assert len(json.loads((tmp_path / NAME).read_text())["rows"]) == 1


def test_a_fingerprint_depends_on_every_weight(model: Counting) -> None:
    seen = {fingerprint(model)}
    for parameter in model.parameters():
        with torch.no_grad():
            parameter.view(-1)[-1] += 1e-3
        seen.add(fingerprint(model))
    assert len(seen) == 1 + len(list(model.parameters()))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', "null"])
def test_a_damaged_file_is_as_good_as_none(text: str, model: Counting, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(text)
    assert ask(tmp_path, model)["took"] == 20
    assert ask(tmp_path, model)["took"] == 0


def test_another_format_is_not_read(model: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(tmp_path, model)
    monkeypatch.setattr(cache, "FORMAT", -1)
    assert ask(tmp_path, model)["took"] == 20


def test_where_nothing_can_be_written_nothing_is(model: Counting, tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    assert ask(absent, model)["took"] == 20
    assert not absent.exists()


def test_a_model_of_the_package_has_no_cache(model: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "PACKAGE", tmp_path)
    (tmp_path / "one").mkdir()
    assert open_cache(tmp_path / "one", model) is None
    assert ask(tmp_path / "one", model)["took"] == ask(tmp_path / "one", model)["took"] == 20
    assert list(tmp_path.rglob("*.json")) == []
