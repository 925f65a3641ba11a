"""Which settings tell runs apart, and what the arms are called."""

import pandas as pd
import pytest

from ntm_lab.studies.arms import differing, find_key, name_arms


def table(*runs: dict[str, object], overrides: tuple[str, ...] = ()) -> pd.DataFrame:
    """Runs as `read_runs` gives them: settings, then seed and results."""
    rows = [{"run": f"runs/{place}", "overrides": [*overrides]} | run for place, run in enumerate(runs)]
    return pd.DataFrame(rows).assign(seed=range(len(rows)), parameters=7)


CONTROLLERS = table(
    {"choices.model": "ntm", "choices.controller": "lstm", "optimizer.lr": 0.01, "controller.size": 100.0},
    {"choices.model": "ntm", "choices.controller": "lstm", "optimizer.lr": 0.01, "controller.size": 100.0},
    {"choices.model": "ntm", "choices.controller": "feedforward", "optimizer.lr": 0.003, "controller.size": 100.0},
    {"choices.model": "lstm", "choices.controller": None, "optimizer.lr": 0.001},
)


def test_what_follows_from_a_choice_is_not_named() -> None:
    assert differing(CONTROLLERS) == ["choices.model", "choices.controller"]


def test_what_was_asked_for_comes_first() -> None:
    runs = CONTROLLERS.assign(overrides=[["seed=1", "optimizer.lr=1e-2"]] * len(CONTROLLERS))
    assert differing(runs) == ["optimizer.lr"]


@pytest.mark.parametrize(
    "key",
    ["seed", "run", "threads", "log_every", "test.sequences", "logger.csv.folder", "choices.callbacks", "backend",
     "model.slots", "optimizer._target_", "parameters"],
)  # fmt: skip
def test_what_is_no_difference(key: str) -> None:
    runs = table({"choices.model": "ntm", key: 1}, {"choices.model": "ntm", key: 2})
    assert differing(runs) == []


def test_arms_in_order_numbers_by_size() -> None:
    runs = table(*({"data.batch_size": size, "choices.model": model} for model in ("ntm", "lstm") for size in (16, 2)))
    arms = name_arms(runs, ["choices.model", "data.batch_size"])
    names = ["model=ntm, batch_size=2", "model=ntm, batch_size=16", "model=lstm, batch_size=2"]
    assert arms.cat.categories.tolist() == [*names, "model=lstm, batch_size=16"]
    assert arms.tolist()[:2] == [names[1], names[0]]


def test_values_read_as_they_were_set() -> None:
    runs = table(
        {"optimizer.lr": 1e-6, "task.start_code": True, "controller.size": 64.0},
        {"optimizer.lr": 0.003, "task.start_code": False},
    )
    arms = name_arms(runs, ["optimizer.lr", "task.start_code", "controller.size"])
    assert arms.tolist() == ["lr=1e-06, start_code=true, size=64", "lr=0.003, start_code=false"]


def test_lists_are_told_apart_by_what_is_in_them() -> None:
    runs = table(*({"task.lengths": [1, longest], "optimizer.betas": [0.9, 0.95]} for longest in (20, 5, 20)))
    assert differing(runs) == ["task.lengths"]
    assert name_arms(runs, ["task.lengths"]).tolist() == ["lengths=[1, 20]", "lengths=[1, 5]", "lengths=[1, 20]"]


def test_names_that_would_be_alike_are_said_in_full() -> None:
    runs = table({"memory.init.std": 0.1, "memory.weighting.std": 0.0}, {"memory.init.std": 0.2})
    arms = name_arms(runs, ["memory.init.std", "memory.weighting.std"])
    assert arms.tolist() == ["memory.init.std=0.1, memory.weighting.std=0", "memory.init.std=0.2"]


def test_a_setting_that_an_arm_does_not_have() -> None:
    runs = table({"penalty.entropy.weight": 0.5}, {})
    assert name_arms(runs, ["penalty.entropy.weight"]).tolist() == ["weight=0.5", "no weight"]


def test_folders_and_no_key_at_all() -> None:
    runs = table({}, {}).assign(folder=["b", "a"])
    assert name_arms(runs, ["folder"]).cat.categories.tolist() == ["b", "a"]  # as they were given
    assert name_arms(runs, []).tolist() == ["all runs"] * 2


def test_keys_in_full_and_in_short() -> None:
    found = {name: find_key(name, CONTROLLERS) for name in ("controller", "optimizer.lr", "lr", "size", "seed")}
    assert found == {
        "controller": "choices.controller",
        "optimizer.lr": "optimizer.lr",
        "lr": "optimizer.lr",
        "size": "controller.size",
        "seed": "seed",
    }


def test_keys_that_are_not_there_or_not_clear() -> None:
    told = r"^nothing: is no setting of these runs; they differ in model, controller, optimizer\.lr, controller\.size$"
    with pytest.raises(ValueError, match=told):
        find_key("nothing", CONTROLLERS)
    with pytest.raises(ValueError, match=r"^std: may be memory\.init\.std, memory\.weighting\.std$"):
        find_key("std", table({"memory.init.std": 0.1, "memory.weighting.std": 0.0}))
    with pytest.raises(ValueError, match="no setting of these runs; they differ in nothing but the seed"):
        find_key("parameters", table({"choices.model": "ntm"}))
