"""Before a sweep begins, one job of every combination of choices is composed, so that what is misspelt is found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode

from hydra_plugins.ntm_lab_sweeper import GridSweeper
from ntm_lab.runs.search import CONF


def test_one_job_of_every_combination_is_composed(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = [
        [f"model={model}", f"+memory.init={init}", f"seed={seed}", "task.bits=4"]
        for seed in range(50)
        for init in ("constant", "learned")
        for model in ("ntm", "dnc")
    ]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        config = hydra.compose_config("config", [], RunMode.MULTIRUN, with_log_configuration=False)
        context, composed = HydraContext(config_loader=hydra.config_loader, callbacks=Any), []
        sweeper = Plugins.instance().instantiate_sweeper(
            hydra_context=context, task_function=lambda config: None, config=config
        )
        assert isinstance(sweeper, GridSweeper)
        monkeypatch.setattr(
            hydra.config_loader,
            "load_sweep_config",
            lambda master_config, sweep_overrides: composed.append(sweep_overrides),
        )
        sweeper.validate_batch_is_legal(batch)
    assert sorted(composed) == sorted(batch[:4])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("model=ntm,rocket", "Could not find 'model/rocket'"),
        ("memory.slot=1,2", "memory.slot"),
        ("model=ntm,lstm memory.slots=8", "memory"),  # which only one of the two has
    ],
)
def test_what_is_misspelt_is_refused_before_the_first_job(
    wrong: str, says: str, train: Callable[..., Any], tmp_path: Path
) -> None:
    refused = train("-m", "max_sequences=4", *wrong.split(), f"hydra.sweep.dir={tmp_path / 'sweep'}")
    assert refused.status != 0 and says in refused.err, refused.err
    assert [path.name for path in tmp_path.rglob("*")] == ["sweep", "multirun.yaml"]
