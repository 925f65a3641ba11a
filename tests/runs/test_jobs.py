"""The jobs of a sweep: one that has ended is not run again, the others go on, and never two at once in one folder."""

import json
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from ntm_lab.files import held
from ntm_lab.runs.config import CONFIG
from ntm_lab.runs.folder import CHECKPOINT, LOCK, RESULTS
from ntm_lab.runs.jobs import FAILURE, job_name, sweep_jobs
from ntm_lab.training.checkpoints import SETTINGS

pytestmark = pytest.mark.slow

Train = Callable[..., Any]


@pytest.fixture(scope="module")
def swept(train: Train, tiny_ntm: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two seeds that has ended; to be looked at, not changed."""
    folder = tmp_path_factory.mktemp("sweep")
    ended = train("-m", *tiny_ntm, "seed=0,1", "log_every=1", f"hydra.sweep.dir={folder}")
    assert ended.status == 0, ended.err
    return folder


@pytest.fixture
def sweep(swept: Path, tmp_path: Path) -> Path:
    """One of one's own."""
    return Path(shutil.copytree(swept, tmp_path / "sweep"))


@pytest.fixture
def again(train: Train, tiny_ntm: list[str], sweep: Path) -> Callable[..., Any]:
    """The command of the sweep, once more and with other settings."""

    def run(*overrides: str) -> Any:
        return train("-m", *tiny_ntm, "seed=0,1", "log_every=1", f"hydra.sweep.dir={sweep}", *overrides)

    return run


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / RESULTS).read_text())


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / CHECKPOINT, weights_only=True)["state_dict"]


def test_what_has_ended_is_not_run_again(again: Callable[..., Any], sweep: Path, digest: Callable[[Path], str]) -> None:
    before = [digest(folder) for folder in sorted(sweep.glob("*-ntm-copy"))]
    ended = again()
    assert ended.status == 0, ended.err
    assert [digest(folder) for folder in sorted(sweep.glob("*-ntm-copy"))] == before
    assert ended.out.count("has ended before, and is not run again") == 2
    assert "fresh sequences" not in ended.out


@pytest.mark.parametrize(
    ("lost", "trains"),
    [
        ([RESULTS], False),
        ([RESULTS, CHECKPOINT], True),
        ([RESULTS, CHECKPOINT, "metrics.csv"], True),
        ([RESULTS, CHECKPOINT, "metrics.csv", CONFIG], True),
        ([RESULTS, CHECKPOINT, "metrics.csv", CONFIG, "versions.json"], True),
    ],
    ids=["all but the results", "no checkpoint", "no step yet", "no config", "nothing"],
)
def test_whatever_a_kill_leaves_goes_on(
    lost: list[str], trains: bool, again: Callable[..., Any], sweep: Path, swept: Path
) -> None:
    job = sweep / "1-ntm-copy"
    for part in lost:
        (job / part).unlink()
    ended = again()
    assert ended.status == 0, ended.err
    kept, anew = results(swept / job.name), results(job)
    assert (anew["seconds"] != kept["seconds"]) == trains
    timeless = {"seconds", "seconds_to_solve"}
    assert {key: anew[key] for key in anew.keys() - timeless} == {key: kept[key] for key in kept.keys() - timeless}
    assert all(torch.equal(value, weights(swept / job.name)[name]) for name, value in weights(job).items())
    curves = [(folder / "metrics.csv").read_text().splitlines() for folder in (job, swept / job.name)]
    assert len(curves[0]) == len(curves[1])
    assert ended.out.count("has ended before") == 1


def test_a_job_goes_on_from_its_checkpoint(again: Callable[..., Any], sweep: Path) -> None:
    """Of a run that is over; with a mark in its checkpoint, by which it is seen that it was not begun anew."""
    job = sweep / "0-ntm-copy"
    checkpoint = torch.load(job / CHECKPOINT, weights_only=True)
    checkpoint["learner"]["seconds"] = 1234.5
    torch.save(checkpoint, job / CHECKPOINT)
    (job / RESULTS).unlink()
    assert again().status == 0
    assert results(job)["seconds"] == 1234.5


@pytest.fixture
def before_dropout(sweep: Path) -> Path:
    """The sweep as it would be if ``model.dropout``, ``max_minutes`` and the choice of clipping had come after it."""
    for job in sweep.glob("*-ntm-copy"):
        config = OmegaConf.load(job / CONFIG)
        del config.model["dropout"], config["max_minutes"], config.choices["clip"]
        OmegaConf.save(config, job / CONFIG)
        checkpoint = torch.load(job / CHECKPOINT, weights_only=True)
        for key in ("model.dropout", "max_minutes", "choices.clip"):
            del checkpoint[SETTINGS][key]
        torch.save(checkpoint, job / CHECKPOINT)
    return sweep


def test_a_job_that_is_older_than_a_setting_has_its_default(again: Callable[..., Any], before_dropout: Path) -> None:
    (before_dropout / "1-ntm-copy" / RESULTS).unlink()
    ended = again()
    assert ended.status == 0, ended.err
    assert ended.out.count("has ended before") == 1 and (before_dropout / "1-ntm-copy" / RESULTS).exists()
    refused = again("model.dropout=0.5")
    assert refused.status != 0 and "holds a run with model.dropout=0.0, not 0.5" in refused.err


@pytest.mark.parametrize("has_ended", [True, False], ids=["ended", "stopped"])
@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("data.batch_size=8", "data.batch_size=4, not 8"),
        ("memory.init=learned", "choices.memory.init=constant, not learned"),
        ("max_sequences=32", "max_sequences=24, not 32"),
        ("+trainer.benchmark=true", "trainer.benchmark=nothing, not True"),
    ],
)
def test_other_settings_are_refused(
    override: str, says: str, has_ended: bool, again: Callable[..., Any], sweep: Path, digest: Callable[[Path], str]
) -> None:
    if not has_ended:
        for job in sweep.glob("*-ntm-copy"):
            (job / RESULTS).unlink()
    before = digest(sweep / "0-ntm-copy")
    refused = again(override)
    assert refused.status != 0
    assert f"{sweep / '0-ntm-copy'}: holds a run with {says}; choose another hydra.sweep.dir" in refused.err
    assert "Traceback" not in refused.err
    assert digest(sweep / "0-ntm-copy") == before


def test_what_is_under_way_is_waited_for(again: Callable[..., Any], sweep: Path) -> None:
    """Another process, such as a worker that outlived its sweep, is busy with a job, and ends it when waited for."""
    job = sweep / "0-ntm-copy"
    (job / RESULTS).rename(job / "kept")
    waits = f"{job}: another process works there; waiting for it to end"
    holds = threading.Event()

    def other() -> None:
        limit = time.monotonic() + 120
        with held(job / LOCK):
            holds.set()
            while waits not in getattr(sys.stdout, "getvalue", str)() and time.monotonic() < limit:
                time.sleep(0.01)
            (job / "kept").rename(job / RESULTS)

    busy = threading.Thread(target=other)
    busy.start()
    assert holds.wait(60)
    ended = again()
    busy.join()
    assert ended.status == 0, ended.err
    assert waits in ended.out
    assert ended.out.count("has ended before, and is not run again") == 2


def test_a_single_run_is_not_taken_up(train: Train, tiny_ntm: list[str], finished: Path) -> None:
    refused = train(*tiny_ntm, f"hydra.run.dir={finished}")
    assert refused.status != 0 and "already holds a run" in refused.err


def tiny_sweep(train: Train, clone: Path) -> Any:
    folder, conf = f"hydra.sweep.dir={clone / 'sweep'}", f"--config-dir={clone / 'conf'}"
    return train("-m", "experiment=report/tiny", folder, conf)


def test_jobs_have_the_names_of_their_folders(train: Train, clone: Path) -> None:
    """The group of an experiment's arms by its own name alone, without the folders that it is in."""
    for size in (8, 16):
        arm = clone / f"conf/experiment/report/arms/size_{size}.yaml"
        arm.parent.mkdir(exist_ok=True)
        arm.write_text(f"# @package _global_\ncontroller: {{size: {size}}}\n")
    experiment = clone / "conf/experiment/report/tiny.yaml"
    text = experiment.read_text().replace("base, _self_", "base, _self_, /experiment/report/arms: size_16")
    experiment.write_text(text.replace('seed: "range(0,2)"', 'seed: "range(0,2)", experiment/report/arms: size_8'))

    jobs = sweep_jobs(clone / "conf", "experiment=report/tiny")
    assert jobs == [
        f"arms=size_8,memory.init={init},seed={seed}" for init in ("constant", "learned") for seed in (0, 1)
    ]
    assert tiny_sweep(train, clone).status == 0
    assert {path.parent.name for path in (clone / "sweep").rglob(RESULTS)} == {*jobs}


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ("seed=0", "seed=0"),
        ("experiment/report/batch=ntm,seed=0", "batch=ntm,seed=0"),
        ("data.batch_size=4,experiment/report/batch=ntm,seed=0", "data.batch_size=4,batch=ntm,seed=0"),
        ("+a/b/c=d,task.lengths=[1,4]", "c=d,task.lengths=[1,4]"),
        ("recipe=mine/best,seed=0", "recipe=mine-best,seed=0"),
    ],
)
def test_a_name_has_no_folders_in_it(overrides: str, name: str) -> None:
    assert job_name(overrides) == name


def test_a_name_too_long_for_a_file_ends_in_a_hash() -> None:
    long = ",".join(f"model.setting_{number}=größer" for number in range(40))
    names = {job_name(f"{long},seed={seed}") for seed in range(3)}
    assert len(names) == 3 and all(200 < len(name.encode()) <= 240 for name in names)
    assert all(long.startswith(name.rpartition("-")[0]) for name in names)


def test_a_job_that_fails_leaves_a_note_and_the_others_go_on(train: Train, clone: Path) -> None:
    experiment = clone / "conf/experiment/report/tiny.yaml"
    experiment.write_text(experiment.read_text().replace('memory.init: "constant,learned"', 'memory.slots: "0,16"'))
    ended = tiny_sweep(train, clone)
    assert ended.status == 0
    assert {path.parent.name for path in (clone / "sweep").rglob(RESULTS)} == {
        f"memory.slots=16,seed={s}" for s in (0, 1)
    }
    for seed in (0, 1):
        note = (clone / "sweep" / f"memory.slots=0,seed={seed}" / FAILURE).read_text()
        assert note.startswith("memory.slots=0: must be a whole number of at least 1\n\nTraceback")
    assert len(list((clone / "sweep").rglob(FAILURE))) == 2


def test_a_note_goes_when_the_job_is_tried_again(train: Train, clone: Path) -> None:
    note = clone / "sweep" / "memory.init=constant,seed=0" / FAILURE
    note.parent.mkdir(parents=True)
    note.write_text("no space left")
    tiny_sweep(train, clone)
    assert not note.exists() and (note.parent / RESULTS).exists()
