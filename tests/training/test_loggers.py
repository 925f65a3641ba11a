"""What the loggers write, and what they leave out when a run is resumed."""

import csv
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from ntm_lab.training import loggers
from ntm_lab.training.loggers import CSVLog, TensorBoardLog, tag_of


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_columns_grow_and_old_rows_stay(tmp_path: Path) -> None:
    log = CSVLog(tmp_path, None)
    log.log_metrics({"a": 1.5}, step=4)
    log.log_metrics({"b": 2.0}, step=8)
    log.log_metrics({"a": 3.0, "b": 4.0}, step=8)
    assert read(tmp_path / "metrics.csv") == [
        {"sequences": "4", "a": "1.5", "b": ""},
        {"sequences": "8", "a": "", "b": "2.0"},
        {"sequences": "8", "a": "3.0", "b": "4.0"},
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


@pytest.fixture
def resumable(tmp_path: Path) -> Path:
    """Rows at 4, 8, 8 and 12 sequences, of which the last has no b."""
    log = CSVLog(tmp_path, None)
    for step, values in [(4, {"a": 1.0}), (8, {"a": 2.0}), (8, {"b": 0.5}), (12, {"a": 3.0})]:
        log.log_metrics(values, step=step)
    return tmp_path / "metrics.csv"


@pytest.mark.parametrize(("resumed_at", "kept"), [(0, []), (4, [1]), (8, [1, 2, None]), (12, [1, 2, None, 3])])
def test_rows_after_the_checkpoint_are_dropped(resumed_at: int, kept: list[float | None], resumable: Path) -> None:
    log = CSVLog(resumable.parent, resumed_at)
    log.log_metrics({"b": 9.0}, step=20)
    rows = read(resumable)
    assert [float(row["a"]) if row["a"] else None for row in rows] == [*kept, None]
    assert rows[-1] == {"sequences": "20", "a": "", "b": "9.0"}


@pytest.mark.parametrize("left", ["1", "12", "12,3"])
def test_a_half_written_last_row_is_dropped(left: str, resumable: Path) -> None:
    """Killed in the middle of the row 12,3.0, — even where what is left of it looks like an earlier row."""
    whole = resumable.read_text()
    assert whole.splitlines()[-1] == "12,3.0,"
    resumable.write_text(whole[: whole.rindex("12,3.0,")] + left)
    CSVLog(resumable.parent, 100)
    assert [row["sequences"] for row in read(resumable)] == ["4", "8", "8"]


def test_a_file_without_a_whole_line_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("")
    CSVLog(tmp_path, 0).log_metrics({"a": 1.0}, step=4)
    assert read(tmp_path / "metrics.csv") == [{"sequences": "4", "a": "1.0"}]


def accumulated(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0, "images": 0})
    events.Reload()
    return events


def test_tensorboard_hides_what_is_repeated(tmp_path: Path) -> None:
    first = TensorBoardLog(tmp_path, None)
    for step in (4, 8, 12):
        first.log_metrics({"a": float(step)}, step=step)
    first.finalize("success")
    time.sleep(1)  # files are read in the order of their names, which begin with the second
    second = TensorBoardLog(tmp_path, 8)
    second.log_metrics({"a": -12.0}, step=12)
    second.finalize("success")
    assert [(event.step, event.value) for event in accumulated(tmp_path).Scalars("a")] == [(4, 4), (8, 8), (12, -12)]


@pytest.fixture(scope="module")
def events(finished: Path) -> EventAccumulator:
    return accumulated(finished)


OTHERS = ["val_accuracy/showing_01", "memory/usage", "memory/precedence"]


def test_the_dashboard_shows_what_a_run_logs(events: EventAccumulator) -> None:
    """Every chart's every pattern fits a tag, as TensorBoard matches them: of this run, or of one with another memory
    or answer."""
    layout = layout_pb2.Layout.FromString(events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    patterns = {tag for category in layout.category for chart in category.chart for tag in chart.multiline.tag}
    assert {category.title for category in layout.category} == {"cost", "accuracy", "addressing", "training"}
    assert {"cost/train", "cost/val", "train/gradient_norm"} <= patterns
    tags = [*events.Tags()["scalars"], *OTHERS]
    assert [pattern for pattern in patterns if not any(re.match(pattern, tag) for tag in tags)] == []


def test_tensorboard_and_csv_agree(events: EventAccumulator, finished: Path) -> None:
    rows = read(finished / "metrics.csv")
    for tag in ("train/cost", "val/cost", "val_wrong_bits/length_004", "addressing/read_0/sharpness"):
        shown = [(event.step, pytest.approx(event.value, rel=1e-6)) for event in events.Scalars(tag_of(tag))]
        assert shown and [(int(row["sequences"]), float(row[tag])) for row in rows if row[tag]] == shown


def test_cost_comes_first_and_in_log_units_too(events: EventAccumulator) -> None:
    groups = list(dict.fromkeys(tag.split("/")[0] for tag in sorted(events.Tags()["scalars"])))
    assert groups[:3] == ["cost", "cost_by_difficulty", "cost_log10"]
    costs = {event.step: event.value for event in events.Scalars("cost/val")}
    assert costs and {e.step: pytest.approx(10**e.value, rel=1e-5) for e in events.Scalars("cost_log10/val")} == costs


def text_of(events: EventAccumulator, name: str) -> str:
    (event,) = events.Tensors(f"{name}/text_summary")
    return event.tensor_proto.string_val[0].decode()


def test_text_has_the_command_the_settings_and_the_table(events: EventAccumulator, finished: Path) -> None:
    assert "python train.py" in text_of(events, "command") and "log_every=2" in text_of(events, "command")
    assert (finished / "config.yaml").read_text().strip() in text_of(events, "config")
    results = json.loads((finished / "results.json").read_text())
    assert f"{results['test'][0]['cost_bits']:.4f}" in text_of(events, "results")


def test_hparams_are_what_was_asked_for_and_what_came_of_it(finished: Path) -> None:
    found: dict[str, Any] = {}
    for path in finished.glob("events.out.tfevents*"):
        for event in LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.tag == "_hparams_/session_start_info":
                    content = HParamsPluginData.FromString(value.metadata.plugin_data.content)
                    found |= dict(content.session_start_info.hparams.items())
    assert {"task", "model", "seed", "memory.slots", "max_sequences"} <= found.keys()
    assert found["memory.slots"].number_value == 16 and found["task"].string_value == "copy"
    assert not {"callbacks", "logger", "log", "threads", "optimizer.lr"} & found.keys()
    assert "hydra.run.dir" not in found


def test_a_picture_is_shown(events: EventAccumulator, finished: Path) -> None:
    assert events.Images("episode")[-1].step == 24
    assert (finished / "episode.png").read_bytes().startswith(b"\x89PNG")


def test_curves_can_be_drawn_against_steps_and_seconds(finished: Path) -> None:
    rows = read(finished / "metrics.csv")
    assert list(rows[0])[:3] == ["sequences", "step", "seconds"]
    assert all(int(row["sequences"]) == 4 * float(row["step"]) for row in rows)


IMAGE = np.zeros((4, 6, 3), dtype=np.uint8)


def stopped_and_resumed(log: type[Any], folder: Path) -> None:
    """A run that was stopped after 8 sequences, and went on to 16."""
    folder.mkdir()
    first = log(folder, None)
    first.begin("python train.py seed=3", {"seed": 3, "data": {"batch_size": 4}})
    first.log_metrics({"val/cost": 2.0}, step=8)
    first.finalize("failed")
    second = log(folder, 8)
    second.log_metrics({"val/cost": 1.0}, step=16)
    second.show("episode", IMAGE, 16)
    second.end({"seed": 3}, {"cost_bits": 1.5}, "a table")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # mlflow's own affairs
def test_a_resumed_run_is_the_same_one_in_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    stopped_and_resumed(loggers.MLFlowLog, folder)
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("ntm_lab")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.status, found.data.params, found.data.tags["command"]) == (
        *("FINISHED", {"seed": "3"}, "python train.py seed=3"),
    )
    assert [(each.step, each.value) for each in client.get_metric_history(found.info.run_id, "val/cost")] == [
        *((8, 2.0), (16, 1.0)),
    ]
    assert found.data.metrics["test/cost_bits"] == 1.5
    assert {part.path for part in client.list_artifacts(found.info.run_id)} == {
        *("config.yaml", "episode.png", "results.txt"),
    }
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # wandb's own affairs
def test_a_resumed_run_is_the_same_one_in_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    stopped_and_resumed(loggers.WandbLog, folder)
    identity = (folder / "wandb.id").read_text()
    written = list((folder / "wandb").glob(f"offline-run-*-{identity}*/run-{identity}.wandb"))
    assert written and {*written} == set((folder / "wandb").glob("offline-run-*/*.wandb"))
    records = b"".join(path.read_bytes() for path in written)
    assert all(word in records for word in (b"val/cost", b"batch_size", b"cost_bits", b"episode"))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("logger", ["wandb", "mlflow"])
def test_a_logger_whose_package_is_missing_is_one_line_before_a_folder_is_made(
    logger: str, train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    ended = train(f"logger={logger}", f"hydra.run.dir={tmp_path / 'run'}")
    assert ended.status == 1 and not (tmp_path / "run").exists()
    assert ended.err.splitlines()[-1] == (
        f"logger={logger}: the package {logger} is not installed; pip install 'ntm_lab[loggers]'"
    )


Train = Callable[..., object]


def test_without_loggers_a_run_writes_no_curve(train: Train, tiny_ntm: list[str], tmp_path: Path) -> None:
    train(*tiny_ntm, "logger=none", f"hydra.run.dir={tmp_path / 'run'}")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"checkpoints", "config.yaml", "versions.json", "results.json", ".lock"}
