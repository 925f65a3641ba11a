"""What the loggers write, and what they leave out when a run is resumed."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from ntm_lab.training.loggers import CSVLog, tensorboard


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
    first = tensorboard(tmp_path, None)
    for step in (4, 8, 12):
        first.log_metrics({"a": float(step)}, step=step)
    first.finalize("success")
    second = tensorboard(tmp_path, 8)
    second.log_metrics({"a": -12.0}, step=12)
    second.finalize("success")
    assert [(event.step, event.value) for event in accumulated(tmp_path).Scalars("a")] == [(4, 4), (8, 8), (12, -12)]


@pytest.fixture(scope="module")
def events(finished: Path) -> EventAccumulator:
    return accumulated(finished)


OTHERS = ["val_accuracy/showing_01", "addressing/usage", "addressing/precedence"]


def test_the_dashboard_shows_what_a_run_logs(events: EventAccumulator) -> None:
    """Every chart's every pattern fits a tag, as TensorBoard matches them: of this run, or of one with another memory
    or answer."""
    layout = layout_pb2.Layout.FromString(events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    patterns = {tag for category in layout.category for chart in category.chart for tag in chart.multiline.tag}
    assert {category.title for category in layout.category} == {"cost", "accuracy", "addressing", "training"}
    assert {"train/cost", "val/cost", "train/gradient_norm"} <= patterns
    tags = [*events.Tags()["scalars"], *OTHERS]
    assert [pattern for pattern in patterns if not any(re.match(pattern, tag) for tag in tags)] == []


def test_tensorboard_and_csv_agree(events: EventAccumulator, finished: Path) -> None:
    rows = read(finished / "metrics.csv")
    for tag in ("train/cost", "val/cost", "val_wrong_bits/length_004", "addressing/read_0/sharpness"):
        shown = [(event.step, pytest.approx(event.value, rel=1e-6)) for event in events.Scalars(tag)]
        assert shown and [(int(row["sequences"]), float(row[tag])) for row in rows if row[tag]] == shown


def test_a_picture_is_shown(events: EventAccumulator, finished: Path) -> None:
    assert events.Images("episode")[-1].step == 24
    assert (finished / "episode.png").read_bytes().startswith(b"\x89PNG")


def test_curves_can_be_drawn_against_steps_and_seconds(finished: Path) -> None:
    rows = read(finished / "metrics.csv")
    assert list(rows[0])[:3] == ["sequences", "step", "seconds"]
    assert all(int(row["sequences"]) == 4 * float(row["step"]) for row in rows)


Train = Callable[..., object]


def test_without_loggers_a_run_writes_no_curve(train: Train, tiny_ntm: list[str], tmp_path: Path) -> None:
    train(*tiny_ntm, "logger=none", f"hydra.run.dir={tmp_path / 'run'}")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"checkpoints", "config.yaml", "versions.json", "results.json", ".lock"}
