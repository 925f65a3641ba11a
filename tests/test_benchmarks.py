"""The scripts of benchmarks/: that what they say is what they measured. Nothing here is timed."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).parents[1] / "benchmarks"
ABOUT = {"date": "2026-01-02", "command": "speed.py dnc", "device": "A chip, 9 GHz", "vectors": "AVX2"}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a script as it imports its neighbours."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in [path.stem for path in FOLDER.glob("*.py")]:
        sys.modules.pop(name, None)


def rows(results: ModuleType, **ms: float) -> list[Any]:
    return [results.Row("dnc", name, 16, 1, False, each, each, each, 5) for name, each in ms.items()]


def test_what_is_saved_is_loaded_and_no_file_is_overwritten(script: Any, tmp_path: Path, monkeypatch: Any) -> None:
    results = script("results")
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    measured = rows(results, numba=2.0, reference=30.0)
    first, second = (results.save(measured, ABOUT) for _ in range(2))
    assert (first.name, second.name) == ("2026-01-02-a-chip-9-ghz.json", "2026-01-02-a-chip-9-ghz-2.json")
    assert results.load(first) == (ABOUT, measured)


def test_a_document_gets_its_tables_from_the_file(script: Any) -> None:
    tables, results = script("tables"), script("results")
    text = "before\n<!-- speed: dnc numba reference -->\nold\n<!-- /speed -->\nafter\n"
    made = tables.filled(text, ABOUT, rows(results, numba=2.0, reference=30.0, plain=25.0))
    assert "| numba | 2.00 |\n| reference | 30.00 |\n| reference / numba | 15.00 |" in made
    assert made.startswith("before\n") and made.endswith("after\n")
    assert "A chip, 9 GHz (AVX2), 2026-01-02" in made and "old" not in made and "plain" not in made
    ratio = "some <!-- ratio: dnc {}/numba 16 -->3<!-- /ratio --> times as fast"
    assert "-->12<!--" in tables.filled(ratio.format("plain"), ABOUT, rows(results, numba=2.0, plain=24.7))
    for text, absent in (
        ("<!-- speed: mann -->\n<!-- /speed -->", "mann"),
        (ratio.format("plain"), "dnc plain/numba 16"),
    ):
        with pytest.raises(KeyError, match=rf"{absent}: was not measured by speed\.py dnc"):
            tables.filled(text, ABOUT, rows(results, numba=2.0))


def test_a_comparison_is_refused_where_values_differ(script: Any) -> None:
    differences = script("compare").differences
    old = {"logits": torch.tensor([1.0, 2.0]), "gone": torch.ones(1), "weight": torch.ones(2)}
    assert differences(old, {"logits": torch.tensor([1.0, 2.0001]), "weight": torch.ones(2)}) == []
    assert differences(old, {"logits": torch.tensor([1.0, 2.001]), "weight": torch.ones(3)}) == [
        "logits by 5.0e-04",
        "weight by 1.0e+00",
    ]
    assert differences(old, {"logits": torch.tensor([1.0, float("nan")])}) == ["logits by nan"]


@pytest.mark.parametrize("name", ["ntm", "dnc", "dnc-4", "mann"])
def test_contestants_compute_one_cost_of_a_workload(name: str, script: Any) -> None:
    """Every model of a workload, cut to few steps, gives a finite cost and a gradient to all of its weights."""
    workloads = script("workloads")
    workload = workloads.WORKLOADS[name]._replace(steps=6, slots=8)
    for contestant in workloads.contestants(workload, "cpu"):
        model = workload.build(contestant)
        cost = workloads.loss_of(model, workload.draw(3, True, torch.Generator().manual_seed(0)))
        cost.backward()
        norm = torch.nn.utils.get_total_norm([part.grad for part in model.parameters() if part.grad is not None])
        assert cost.isfinite() and norm.isfinite() and norm > 0, contestant


def test_the_plain_dnc_allocates_the_least_used_slots_first(script: Any) -> None:
    """By hand: of usages 0.5, 0, 1 the second slot is free, and what it leaves over is nothing."""
    allocation = script("plain_dnc").allocation
    assert allocation(torch.tensor([[0.5, 0.0, 1.0]])).tolist()[0] == pytest.approx([0, 1, 0], abs=1e-5)
    assert allocation(torch.tensor([[0.5, 0.25, 1.0]])).tolist()[0] == pytest.approx([0.125, 0.75, 0], abs=1e-5)


def test_the_table_of_models_has_them_all(script: Any) -> None:
    models, results = script("models"), script("results")
    assert {*models.names()} == {path.stem for path in (FOLDER.parent / "conf/model").glob("*.yaml")}
    built = {name: models.build(name) for name in ("tape_rnn", "transformer", "xlstm model.kind=slstm")}
    times = [
        results.Row(f"T = {steps}", name, 16, 1, False, 0.1 * steps, 0, 0, 5) for name in built for steps in (41, 241)
    ]
    made = models.table(times, built)
    slstm = 2 * (4 + 3) * 64  # two layers: output, cell, normaliser, level, and three inputs
    lines = [line.split(" | ") for line in made.splitlines()[2:]]
    assert [line[2:] for line in lines] == [
        ["19,840", "4.1", "24.1 |"],
        ["8,192 · T", "4.1", "24.1 |"],
        [f"{32 * slstm:,}", "4.1", "24.1 |"],
    ]
    page = f"before\n{models.BEGIN}old\n{models.END}\nafter\n"
    assert models.filled(page, "new") == page.replace("old", "new")
    assert models.BEGIN in models.PAGE.read_text() and models.END in models.PAGE.read_text()
    with pytest.raises(ValueError, match="has no <!-- models -->"):
        models.filled("nothing", "new")
