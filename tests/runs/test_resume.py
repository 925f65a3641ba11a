"""A run that was killed, or has ended, goes on as if nothing had happened; and what cannot go on is left as it is."""

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ntm_lab.files import held
from ntm_lab.runs.folder import CHECKPOINT, LOCK, resume_command

ROOT = Path(__file__).parents[2]
KILLS = 3
STEPS, ROUND = 60, 8  # of training, and between two checkpoints

# Everything that has a state of its own: bandit, schedule, momentum, mixed lengths, and a log of every step.
STATEFUL = [
    *("curriculum=prediction_gain", "data.mixed_lengths=true", "optimizer=adam", "schedule=cosine", "log_every=1"),
    *("stop_at_cost=null", f"max_sequences={4 * STEPS}", f"data.validate_every={4 * ROUND}", "logger=default"),
    *("callbacks=addressing", "memory.init=learned", "memory.weighting=learned"),
]

Train = Callable[..., Any]


def begin(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def end(process: subprocess.Popen[bytes]) -> None:
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err.decode()


def logged_step(folder: Path) -> float:
    """The step of the last whole row of metrics.csv."""
    path = folder / "metrics.csv"
    rows = path.read_text().split("\n")[1:-1] if path.exists() else []
    return float(rows[-1].split(",")[1]) if rows else 0.0


def kill_at(step: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    """SIGKILL as soon as this step is in the log."""
    limit = time.monotonic() + 120
    while logged_step(folder) < step:
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < limit
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def killed_and_not(tiny_ntm: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of two runs of the same settings, one of them killed at random steps and resumed each time."""
    folder = tmp_path_factory.mktemp("resume")
    whole, killed = folder / "whole", folder / "killed"
    settings = [*tiny_ntm, *STATEFUL]
    uninterrupted = begin(*settings, f"hydra.run.dir={whole}")
    process = begin(*settings, f"hydra.run.dir={killed}")
    for step in sorted(random.Random(1).sample(range(2, STEPS - 4), KILLS)):
        kill_at(step, process, killed)
        assert not (killed / "results.json").exists()
        process = begin(f"resume={killed}")
    end(process)
    end(uninterrupted)
    return whole, killed


def test_the_kills_fall_between_checkpoints() -> None:
    """By the same draw: none is at the end of a round, and each is in a round of its own."""
    steps = sorted(random.Random(1).sample(range(2, STEPS - 4), KILLS))
    assert all(step % ROUND for step in steps)
    assert len({step // ROUND for step in steps}) == KILLS


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two nested structures are not the same to the bit."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [found for key in one for found in differences(one[key], other[key], f"{path}/{key}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        return [
            found for index in range(len(one)) for found in differences(one[index], other[index], f"{path}/{index}")
        ]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if one.dtype == other.dtype and torch.equal(one, other) else [path]
    return [] if one == other or (one != one and other != other) else [path]


def load(folder: Path) -> dict[str, Any]:
    return torch.load(folder / CHECKPOINT, weights_only=True)


@pytest.mark.slow
@pytest.mark.xdist_group("killed")
def test_a_killed_run_ends_with_the_same_weights_and_states(killed_and_not: tuple[Path, Path]) -> None:
    whole, killed = (load(folder) for folder in killed_and_not)
    assert whole["global_step"] == killed["global_step"] == STEPS
    for checkpoint in (whole, killed):
        del checkpoint["loops"]  # Lightning's own counters of starts and ends; what it counts by is global_step
    assert {"state_dict", "optimizer_states", "lr_schedulers", "Data", "learner"} <= whole.keys()
    times = {"/learner/seconds", "/learner/solved_since/1", "/callbacks/TimeLimit/time_elapsed/train"}
    assert set(differences(whole, killed)) <= times | {"/callbacks/TimeLimit/time_elapsed/validate"}
    assert whole["Data"]["curriculum"]["observed"] == 4 * STEPS
    assert whole["lr_schedulers"][0]["_last_lr"] == pytest.approx([0.02 * whole["lr_schedulers"][0]["base_lrs"][0]])


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.xdist_group("killed")
def test_a_killed_run_has_the_same_curve(killed_and_not: tuple[Path, Path]) -> None:
    whole, killed = (rows(folder) for folder in killed_and_not)
    assert list(whole[0]) == list(killed[0])
    without_seconds = [[row | {"seconds": ""} for row in curve] for curve in (whole, killed)]
    assert without_seconds[0] == without_seconds[1]
    assert sum(bool(row["train/cost"]) for row in whole) == STEPS
    seconds = [float(row["seconds"]) for row in killed]
    assert seconds == sorted(seconds)


@pytest.mark.slow
@pytest.mark.xdist_group("killed")
@pytest.mark.parametrize("tag", ["cost/train", "cost_log10/val", "curriculum/length", "memory/read_0/sharpness"])
def test_a_killed_run_has_the_same_scalars(tag: str, killed_and_not: tuple[Path, Path]) -> None:
    curves = []
    for folder in killed_and_not:
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
        events.Reload()
        curves.append([(event.step, event.value) for event in events.Scalars(tag)])
    assert curves[0] == curves[1]
    assert curves[0][-1][0] == 4 * STEPS


@pytest.mark.slow
@pytest.mark.xdist_group("killed")
def test_a_killed_run_has_the_same_results(killed_and_not: tuple[Path, Path]) -> None:
    whole, killed = (OmegaConf.load(folder / "results.json") for folder in killed_and_not)
    assert whole.test == killed.test
    assert (whole.sequences, whole.steps, whole.overlap) == (killed.sequences, killed.steps, killed.overlap)


@pytest.fixture
def ended(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_a_finished_run_is_not_trained_on(ended: Path, train: Train) -> None:
    before, curve = load(ended), rows(ended)
    assert train(f"resume={ended}").status == 0
    assert differences(before, load(ended)) == []
    assert rows(ended) == curve


def test_a_solved_run_is_not_trained_on(train: Train, tiny_ntm: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(*tiny_ntm, "schedule=constant", "stop_at_cost=1e9", "max_sequences=1000", f"hydra.run.dir={folder}")
    before = load(folder)
    assert before["learner"]["sequences"] == 16
    assert train(f"resume={folder}").status == 0
    assert differences(before, load(folder)) == []


def test_a_larger_budget_goes_on_as_if_it_had_been_so_from_the_start(
    train: Train, tiny_ntm: list[str], tmp_path: Path
) -> None:
    """With a schedule that does not depend on the budget."""
    settings = [*tiny_ntm, "schedule=constant", "stop_at_cost=null", "curriculum=look_back"]
    train(*settings, "max_sequences=48", f"hydra.run.dir={tmp_path / 'whole'}")
    train(*settings, "max_sequences=24", f"hydra.run.dir={tmp_path / 'longer'}")
    again = train(f"resume={tmp_path / 'longer'}", "max_sequences=48", "test.sequences=5")
    assert again.status == 0 and "48 sequences in" in again.out
    whole, longer = load(tmp_path / "whole"), load(tmp_path / "longer")
    assert differences(whole["state_dict"], longer["state_dict"]) == []
    assert differences(whole["Data"], longer["Data"]) == []
    assert [row["val/cost"] for row in rows(tmp_path / "whole")] == [
        row["val/cost"] for row in rows(tmp_path / "longer")
    ]
    assert OmegaConf.load(tmp_path / "longer" / "results.json").test[0].n == 5


DROPPING = """
from torch.nn import functional as F
from ntm_lab.nn.controllers import Feedforward


class Dropping(Feedforward):
    def forward(self, inputs, state):
        output, state = super().forward(inputs, state)
        return F.dropout(output, 0.5, self.training), state

    def weights(self):
        return None
"""


def test_what_a_model_draws_itself_goes_on_too(
    train: Train, tiny_ntm: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A controller of one's own that drops units by PyTorch's own generator, which nothing else in training uses."""
    (tmp_path / "own_controller.py").write_text(DROPPING)
    monkeypatch.syspath_prepend(tmp_path)
    settings = [*tiny_ntm, "controller=feedforward", "controller._target_=own_controller.Dropping"]
    settings += ["schedule=constant", "stop_at_cost=null"]
    for name, budget in (("whole", 48), ("longer", 24)):
        ended = train(*settings, f"max_sequences={budget}", f"hydra.run.dir={tmp_path / name}")
        assert ended.status == 0, ended.err
    assert train(f"resume={tmp_path / 'longer'}", "max_sequences=48").status == 0
    whole, longer = (load(tmp_path / name)["state_dict"] for name in ("whole", "longer"))
    assert differences(whole, longer) == []


def test_what_was_said_before_may_be_said_again(ended: Path, train: Train) -> None:
    assert train(f"resume={ended}", "model=ntm", "data.batch_size=4", "memory.init=constant").status == 0


def test_an_lstm_is_resumed_without_saying_that_it_is_one(train: Train, tiny_lstm: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert train(*tiny_lstm, f"hydra.run.dir={folder}").status == 0
    assert train(f"resume={folder}").status == 0
    refused = train(f"resume={folder}", "memory.slots=8")  # a setting that only the default config has
    assert refused.status != 0 and "has memory.slots=None, not 8" in refused.err


# A folder that is neither new nor finished


@pytest.fixture
def interrupted(train: Train, tiny_ntm: list[str], tmp_path: Path) -> list[str]:
    """The command of a run whose logger crashed when it began: it has a config and nothing that could be lost."""
    command = [*tiny_ntm, f"hydra.run.dir={tmp_path / 'run'}"]
    crashed = train(*command, "logger.csv._target_=csv.writer")
    assert crashed.status != 0 and "Traceback" not in crashed.err
    assert crashed.err.splitlines()[-1].startswith("logger.csv: ")
    assert (tmp_path / "run/config.yaml").exists() and not (tmp_path / "run" / CHECKPOINT).exists()
    return command


def test_an_interrupted_start_begins_anew_with_the_same_command(
    interrupted: list[str], train: Train, tmp_path: Path
) -> None:
    assert train(*interrupted).status == 0
    assert "ntm_lab.training.loggers.CSVLog" in (tmp_path / "run/config.yaml").read_text()
    assert load(tmp_path / "run")["global_step"] == 6


def test_an_interrupted_start_begins_anew_with_resume(
    interrupted: list[str], train: Train, tiny_ntm: list[str], tmp_path: Path
) -> None:
    config = tmp_path / "run/config.yaml"
    config.write_text(config.read_text().replace("csv.writer", "ntm_lab.training.loggers.CSVLog"))
    assert train(f"resume={tmp_path / 'run'}", "max_sequences=32").status == 0
    assert train(*tiny_ntm, "max_sequences=32", f"hydra.run.dir={tmp_path / 'whole'}").status == 0
    one, other = (load(tmp_path / name)["state_dict"] for name in ("run", "whole"))
    assert differences(one, other) == []
    assert OmegaConf.load(config).max_sequences == 32


@pytest.mark.parametrize("begun", ["hydra.run.dir", "resume"])
def test_a_folder_in_which_another_process_works_is_refused(
    begun: str, ended: Path, train: Train, tiny_ntm: list[str], digest: Callable[[Path], str]
) -> None:
    command = [f"resume={ended}", "max_sequences=48"] if begun == "resume" else [*tiny_ntm, f"hydra.run.dir={ended}"]
    if begun == "hydra.run.dir":
        empty(ended)
    with held(ended / LOCK):
        before = digest(ended)
        refused = train(*command)
        assert refused.status != 0 and f"{ended}: another process works there" in refused.err
        assert "Traceback" not in refused.err
        assert digest(ended) == before
    assert train(*command).status == 0


@pytest.mark.parametrize(
    "name", ["a=b", "a,b", "a[1]{b}", "a b", "ü", "it's", 'a"b', "${a}", "$HOME", "nan", "1", "a\\"]
)
def test_the_command_for_resuming_can_be_pasted(name: str, tmp_path: Path) -> None:
    """Into a shell, whose words Hydra reads."""
    command = resume_command(tmp_path / name).replace("python train.py", "printf %s")
    word = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    (override,) = OverridesParser.create().parse_overrides([word])
    value = override.value()
    read = OmegaConf.create({"resume": str(getattr(value, "text", value))})
    assert read.resume == str(tmp_path / name)


def test_curves_of_something_else_are_one_line(ended: Path, train: Train) -> None:
    (ended / "metrics.csv").write_bytes(b"\xff\xfe,")
    refused = train(f"resume={ended}")
    assert refused.status != 0 and f"{ended / 'metrics.csv'}: is damaged" in refused.err
    assert "Traceback" not in refused.err


def test_resuming_makes_no_other_folder(ended: Path, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = ended.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert train(f"resume={ended}").status == 0
    assert [path for path in elsewhere.rglob("*") if path.name != "runs"] == []


def without(*parts: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        for part in parts:
            (folder / part).unlink()

    return damage


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def truncate(part: str, keep: float) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = (folder / part).read_bytes()
        (folder / part).write_bytes(content[: int(keep * len(content))])

    return damage


def cut_before(text: str) -> Callable[[Path], None]:
    """What is left of the saved config is sound YAML or not, by where it is cut."""

    def damage(folder: Path) -> None:
        whole = (folder / "config.yaml").read_text()
        (folder / "config.yaml").write_text(whole[: whole.rindex(text)])

    return damage


def setting(key: str, value: Any) -> Callable[[Path], None]:
    """Another value in the saved config, as if by hand."""

    def damage(folder: Path) -> None:
        config = OmegaConf.load(folder / "config.yaml")
        for node in (key, f"model.{key}"):
            if OmegaConf.select(config, node) is not None:
                OmegaConf.update(config, node, value)
        (folder / "config.yaml").write_text(OmegaConf.to_yaml(config))

    return damage


def bomb(folder: Path) -> None:
    """Ten lines that stand for 9¹⁰ values."""
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 11))]
    with (folder / "config.yaml").open("a") as file:
        file.write("\n".join(lines))


def saves(content: Any) -> Callable[[Path], None]:
    return lambda folder: torch.save(content, folder / CHECKPOINT)


def older(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """A checkpoint as of a version that kept no settings in it, and changed."""

    def damage(folder: Path) -> None:
        checkpoint = load(folder)
        del checkpoint["settings"]
        change(checkpoint)
        torch.save(checkpoint, folder / CHECKPOINT)

    return damage


REFUSED = {
    "missing": (shutil.rmtree, [], ["there is no such folder"]),
    "empty": (empty, [], ["no config.yaml"]),
    "no checkpoint": (without(CHECKPOINT), [], ["it has no checkpoints/last.ckpt"]),
    "no config": (without("config.yaml"), [], ["it has no config.yaml"]),
    "checkpoint cut in half": (truncate(CHECKPOINT, 0.5), [], [f"its {CHECKPOINT} is damaged or only half written"]),
    "checkpoint nearly whole": (truncate(CHECKPOINT, 0.99), [], [f"its {CHECKPOINT} is damaged or only half written"]),
    "checkpoint empty": (truncate(CHECKPOINT, 0), [], [f"its {CHECKPOINT} is damaged or only half written"]),
    "config cut between two keys": (cut_before("threads:"), [], ["config.yaml"]),
    "config cut within a key": (cut_before("s: 1\ntraining_slots"), [], ["its config.yaml cannot be read"]),
    "config empty": (truncate("config.yaml", 0), [], ["its config.yaml cannot be read"]),
    "another model": (None, ["model=lstm"], ["model=ntm, not lstm"]),
    "another task": (None, ["task=sort"], ["task=copy, not sort"]),
    "another value": (None, ["data.batch_size=8"], ["data.batch_size=4, not 8", "max_sequences"]),
    "another seed": (None, ["seed=1"], ["seed=0, not 1"]),
    "another memory": (None, ["memory.init=learned"], ["memory.init=constant, not learned"]),
    "another size in the config": (setting("controller.size", 17), [], ["controller.size=17", "trained with 16"]),
    "another batch size in the config": (
        setting("data.batch_size", 8),
        [],
        ["has data.batch_size=8", "trained with 4"],
    ),
    "another optimizer in the config": (
        setting("optimizer", {"_target_": "ntm_lab.training.optim.GravesRMSProp", "_partial_": True, "lr": 1e-4}),
        [],
        ["has optimizer._target_=ntm_lab.training.optim.GravesRMSProp", "trained with ntm_lab.training.optim.Adam"],
    ),
    "an alias bomb": (bomb, [], ["its config.yaml cannot be read", "alias"]),
    "a checkpoint of something else": (saves({"state_dict": {}}), [], [f"its {CHECKPOINT} is no checkpoint of a run"]),
    "a checkpoint that is a list": (saves([1]), [], [f"its {CHECKPOINT} is damaged", "it is a list"]),
    "a checkpoint of another run": (older(lambda it: it["state_dict"].pop("model.reads")), [], ["model.reads differ"]),
    "another optimizer's state": (
        older(lambda it: it["optimizer_states"][0]["param_groups"][0].update(decay=0.9)),
        [],
        ["optimizer: the checkpoint's has decay"],
    ),
    "a state that cannot be loaded": (older(lambda it: it["Data"].pop("counts")), [], ["KeyError: 'counts'"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_go_on_is_left_as_it_is(
    case: str, ended: Path, train: Train, digest: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    damage, overrides, says = REFUSED[case]
    if damage is not None:
        damage(ended)
    elsewhere = ended.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    before = digest(ended)

    refused = train(f"resume={ended}", *overrides)
    said = [line for line in refused.err.splitlines() if line.startswith("resume=")]
    assert refused.status != 0
    assert len(said) == 1 and said[0].startswith(f"resume={ended}: ")
    assert [part for part in says if part not in said[0]] == []
    assert "Traceback" not in refused.err
    assert digest(ended) == before and ended.exists() == (case != "missing")
    assert [path for path in elsewhere.rglob("*") if path.name != "runs"] == []
