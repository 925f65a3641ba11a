"""A run's folder: what is in it, what it is called, and the model that comes back out of it."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from omegaconf import DictConfig

import ntm_lab
from ntm_lab.evaluation import evaluate, grown
from ntm_lab.runs.config import RunError
from ntm_lab.runs.run import Run
from ntm_lab.tasks import Copy

Started = Callable[..., Run]


@pytest.mark.parametrize("model", ["ntm", "lstm"])
def test_the_trained_model_comes_back_to_the_bit(
    model: str, started: Started, tiny_ntm: list[str], tiny_lstm: list[str]
) -> None:
    run = started(*(tiny_ntm if model == "ntm" else tiny_lstm))
    untrained = {name: value.clone() for name, value in run.learner.model.state_dict().items()}
    run.fit()
    loaded = ntm_lab.load(run.folder)
    assert not loaded.training
    weights = loaded.state_dict()
    assert not all(torch.equal(weights[name], untrained[name]) for name in weights)
    inputs = run.task.sample(3, {"length": 4}, torch.Generator().manual_seed(0)).inputs
    with torch.no_grad():
        assert torch.equal(loaded(inputs)[0], run.learner.model(inputs)[0])


INPUTS = Copy(lengths=(1, 4), bits=4).sample(2, {"length": 4}, torch.Generator().manual_seed(0)).inputs


def test_a_loaded_ntm_can_have_more_slots(finished: Path) -> None:
    own, more = ntm_lab.load(finished), ntm_lab.load(finished, slots=40)
    with torch.no_grad():
        assert more.trace(INPUTS)["memory"].shape[2:] == (40, 6)
        assert own.trace(INPUTS)["memory"].shape[2:] == (16, 6)
    assert own.state_dict().keys() == more.state_dict().keys()


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (["memory.init=learned"], "memory.init"),
        (["memory.init=random"], "memory.init"),
        (["memory.weighting=learned"], "memory.weighting"),
    ],
    ids=str,
)
def test_slots_of_their_own_cannot_be_more(
    settings: list[str], key: str, started: Started, tiny_ntm: list[str]
) -> None:
    run = started(*tiny_ntm, *settings, "max_sequences=4")
    run.fit()
    with pytest.raises(ValueError, match=rf"^memory\.slots=40: {re.escape(key)} holds a value .* for each of 16 slots"):
        ntm_lab.load(run.folder, slots=40)
    assert ntm_lab.load(run.folder, slots=16)


def test_a_test_may_give_a_memory_the_slots_that_it_needs(started: Started, tiny_ntm: list[str]) -> None:
    short, long = {"length": 4}, {"length": 20}
    run = started(*tiny_ntm, "+test.grow=true", "test.difficulties=[{length: 4},{length: 20}]")
    model, task = run.learner.model, run.task
    assert run.test() == [*evaluate(model, task, [short], 8), *evaluate(grown(model, task, long), task, [long], 8)]
    assert run.test()[1] != evaluate(model, task, [long], 8)[0] and model.slots == 16


def test_an_lstm_has_no_slots(started: Started, tiny_lstm: list[str]) -> None:
    run = started(*tiny_lstm, "max_sequences=4")
    run.fit()
    with pytest.raises(ValueError, match=r"slots=40: .* has no memory"):
        ntm_lab.load(run.folder, slots=40)


@pytest.mark.parametrize("missing", ["config.yaml", "checkpoints/last.ckpt"])
def test_a_folder_that_is_no_run_says_what_is_missing(missing: str, tmp_path: Path) -> None:
    for part in {"config.yaml", "checkpoints/last.ckpt"} - {missing}:
        (tmp_path / part).parent.mkdir(exist_ok=True)
        (tmp_path / part).touch()
    with pytest.raises(FileNotFoundError, match=re.escape(missing)):
        ntm_lab.load(tmp_path)


@pytest.fixture(scope="module")
def results(finished: Path) -> dict[str, Any]:
    return json.loads((finished / "results.json").read_text())


def test_results_have_just_these_keys(results: dict[str, Any]) -> None:
    assert list(results) == [
        *("task", "model", "seed", "parameters", "state_bits", "sequences", "steps", "seconds"),
        *("sequences_to_solve", "seconds_to_solve", "largest_gradient_norm"),
        *("stopped_by", "versions", "test", "overlap"),
    ]
    assert [set(row) for row in results["test"]] == [{"difficulty", "n", "cost_bits", "wrong_bits", "exact"}]


def test_results_are_those_of_the_run(results: dict[str, Any], finished: Path) -> None:
    expected = {"task": "copy", "model": "ntm", "seed": 0, "sequences": 24, "steps": 6, "stopped_by": "max_sequences"}
    assert expected.items() <= results.items()
    (row,) = results["test"]
    assert (row["difficulty"], row["n"]) == ({"length": 4}, 8)
    assert 0 <= row["exact"] <= 1 and row["wrong_bits"] <= 16 and row["cost_bits"] > 0
    assert results["versions"] == json.loads((finished / "versions.json").read_text())
    assert results["versions"]["torch"] == torch.__version__
    weights = ntm_lab.load(finished).state_dict()
    assert results["parameters"] == sum(value.numel() for value in weights.values()) - 6  # the constant memory's row
    state = 2 * 16 + 16 * 6 + 2 * 16 + 6  # of the LSTM, the memory, two weightings, what was read
    assert results["state_bits"] == 32 * state
    with (finished / "metrics.csv").open() as file:
        last = file.readlines()[-1].split(",")
    assert float(last[2]) == results["seconds"] > 0
    assert set(results["overlap"]) == {f"length_00{length}" for length in (1, 2, 3, 4)}


def test_the_folder_holds_all_of_a_run(finished: Path) -> None:
    names = {path.name for path in finished.iterdir() if not path.name.startswith("events.out.tfevents")}
    parts = {"checkpoints", "config.yaml", "versions.json", "metrics.csv", "episode.png", "results.json", ".lock"}
    assert parts <= names <= parts | {"hparams.yaml"}


def test_the_saved_config_needs_nothing_else(finished: Path) -> None:
    text = (finished / "config.yaml").read_text()
    config = yaml.safe_load(text)
    assert "${" not in text
    assert config["choices"].items() >= {"model": "ntm", "task": "copy", "memory.init": "constant"}.items()
    assert config["model"]["slots"] == config["memory"]["slots"] == 16
    assert config["data"]["batch_size"] == 4
    assert not any(group.startswith("hydra") for group in config["choices"])


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], r"runs/ntm-copy-\d{8}-\d{6}-\d{6}"),
        (["model=lstm", "task=sort"], r"runs/lstm-sort-\d{8}-\d{6}-\d{6}"),
        (["experiment=graves2014/ngrams"], r"runs/ntm-ngrams-\d{8}-\d{6}-\d{6}"),
    ],
    ids=["default", "chosen", "experiment"],
)
def test_a_folder_is_named_by_model_task_and_time(
    overrides: list[str], name: str, composed: Callable[..., DictConfig]
) -> None:
    assert re.fullmatch(name, composed(*overrides).hydra.run.dir)


def test_two_folders_never_have_the_same_name(composed: Callable[..., DictConfig]) -> None:
    assert composed().hydra.run.dir != composed().hydra.run.dir


def test_a_sweep_of_many_settings_has_a_folder_name_that_a_disk_can_hold(
    train: Callable[..., Any], tiny_ntm: list[str], tmp_path: Path
) -> None:
    """Names of more than 255 bytes are refused by most file systems."""
    ended = train("-m", *tiny_ntm, "optimizer.lr=0.01", "seed=3", "max_sequences=4", f"hydra.sweep.dir={tmp_path}")
    assert ended.status == 0, ended.err
    assert len(list(tmp_path.rglob("results.json"))) == 1


@pytest.fixture
def files_of_at_most() -> Iterator[Callable[[int], None]]:
    """``files_of_at_most(1000)``: no file may grow beyond 1,000 bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("size", "kept"),
    [
        (10_000, "there is no checkpoint yet"),
        (40_000, "the last checkpoint is intact, and `python train.py resume={}` goes on from there"),
    ],
    ids=["at once", "with the state of the optimizer"],
)
def test_a_full_disk_is_one_line_that_says_what_is_kept(
    size: int, kept: str, files_of_at_most: Callable[[int], None], started: Started, tiny_ntm: list[str]
) -> None:
    run = started(*tiny_ntm)
    files_of_at_most(size)
    with pytest.raises(RunError) as error:
        run.complete()
    assert str(error.value) == f"{run.folder}: cannot be written (File too large); {kept.format(run.folder)}"
    checkpoint = run.folder / "checkpoints" / "last.ckpt"
    assert checkpoint.exists() == ("intact" in kept)
    if checkpoint.exists():
        assert torch.load(checkpoint, weights_only=True)["global_step"] == 0


def test_a_full_disk_before_the_first_step_is_one_line(
    files_of_at_most: Callable[[int], None], started: Started, tiny_ntm: list[str]
) -> None:
    files_of_at_most(100)
    with pytest.raises(RunError, match=r"cannot be written \(File too large\); there is no checkpoint yet$"):
        started(*tiny_ntm)
