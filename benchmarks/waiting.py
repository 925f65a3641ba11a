"""How long one waits for a run, beside its training: `python benchmarks/waiting.py`.

The main job is run by train.py, each time in a process of its own, in turn with a process that imports torch,
pytorch_lightning and hydra. Prints, pair by pair and as medians, seconds of

- imports: until Python has imported the three;
- start: from Enter to the first step;
- training: as in results.json, without validations;
- end: from the last step to the final table;
- all: from Enter to the final table;

and two ratios: start / imports, and (all − imports) / training.

``--sweep N`` times sweeps of N short jobs instead, by each launcher in turn with one such job as a process of its own,
and prints sweep / (that job + N × 0.2 s / cores).

On a machine that others load, ``--cpu`` takes the processor's time instead of the clock's: of the process itself, as if
there were always a core for it, and of a sweep with all its workers, as if they shared the cores evenly.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl

TRAIN = Path(__file__).parents[1] / "train.py"
THREE = ["-c", "import torch, pytorch_lightning, hydra; print('imports', flush=True)"]
MARKS = "+callbacks.marks._target_=waiting.Marks"
SHORT = ("callbacks=none", "logger=csv", "max_sequences=16", "test.sequences=16")
LAUNCHERS = {"none": (), "joblib": ("hydra/launcher=joblib",)}
COLUMNS = ("imports", "start", "training", "end", "all", "start/imports", "(all-imports)/training")


class Marks(pl.Callback):
    """In the run that is timed: prints when it begins and ends to train, and how much of it is training alone."""

    def __init__(self) -> None:
        self.spent = [0.0, 0.0]  # by the clock, by the processor
        self.began: tuple[float, float] | None = None

    def on_train_epoch_start(self, *args: object) -> None:
        if self.began is None and not any(self.spent):
            print("first step", flush=True)
        self.began = time.perf_counter(), time.process_time()

    def on_validation_start(self, *args: object) -> None:
        if self.began is not None:
            now = time.perf_counter(), time.process_time()
            self.spent = [sum + end - start for sum, start, end in zip(self.spent, self.began, now, strict=True)]
            self.began = None

    def on_train_end(self, *args: object) -> None:
        print("last step", *self.spent, flush=True)


def lines(arguments: Sequence[str], cpu: bool) -> dict[str, float]:
    """Seconds from the beginning of a Python process to each line that it prints."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [Path(__file__).parent, *sys.path]))}
    command, started = [sys.executable, *arguments], time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        found = {}
        for line in process.stdout:
            found[line.strip()] = used(process.pid) if cpu else time.perf_counter() - started
    if process.returncode:
        sys.exit(f"{' '.join(command)}: ended with status {process.returncode}")
    return found


def used(process: int) -> float:
    """Seconds of the processor that a process has taken, on Linux."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def pair(cpu: bool, overrides: Sequence[str]) -> list[float]:
    """A row of COLUMNS."""
    imports = lines(THREE, cpu)["imports"]
    with tempfile.TemporaryDirectory() as folder:
        seen = lines([str(TRAIN), MARKS, f"hydra.run.dir={folder}/run", *overrides], cpu)
    last = next(line for line in seen if line.startswith("last step"))
    table = next(when for line, when in seen.items() if line.startswith("fresh sequences"))
    training = float(last.split()[3 if cpu else 2])
    start = seen["first step"]
    return [imports, start, training, table - seen[last], table, start / imports, (table - imports) / training]


def whole(arguments: Sequence[str], cpu: bool) -> float:
    """Seconds of a process and all that it starts, the cores being shared evenly."""
    before, started = os.times(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        places = [f"hydra.sweep.dir={folder}/sweep", f"hydra.run.dir={folder}/run"]
        subprocess.run([sys.executable, *arguments, *places], check=True, capture_output=True)
    after = os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return processor if cpu else time.perf_counter() - started


def sweep(count: int, cpu: bool) -> list[float]:
    """One job as a process of its own, then the sweep by each launcher, then the sweeps' ratios."""
    cores = len(os.sched_getaffinity(0))
    alone = whole([str(TRAIN), *SHORT], cpu)
    sweeps = []
    for name, launcher in LAUNCHERS.items():
        took = whole([str(TRAIN), "-m", *SHORT, f"seed=range(0,{count})", *launcher], cpu)
        sweeps.append(took / (cores if cpu and name != "none" else 1))
    return [alone, *sweeps, *(took / (alone + count * 0.2 / cores) for took in sweeps)]


def show(values: Sequence[float], heads: Sequence[str], label: str) -> None:
    print(
        f"{label:>8}"
        + "".join(f"{value:>{max(9, len(head) + 2)}.2f}" for head, value in zip(heads, values, strict=True))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--cpu", action="store_true", help="time of the processor instead of the clock (Linux)")
    parser.add_argument("--sweep", type=int, metavar="N", help="sweeps of N short jobs instead")
    parser.add_argument("overrides", nargs="*", help="of the run that is timed")
    arguments = parser.parse_args()
    names = [f"{name} launcher" if name == "none" else name for name in LAUNCHERS]
    heads = COLUMNS if arguments.sweep is None else ("one job", *names, *(f"{name}, ratio" for name in names))
    print(f"{'pair':>8}" + "".join(f"{head:>{max(9, len(head) + 2)}}" for head in heads))
    rows = []
    for number in range(1, arguments.pairs + 1):
        rows.append(
            pair(arguments.cpu, arguments.overrides)
            if arguments.sweep is None
            else sweep(arguments.sweep, arguments.cpu)
        )
        show(rows[-1], heads, str(number))
    show([statistics.median(column) for column in zip(*rows, strict=True)], heads, "median")


if __name__ == "__main__":
    main()
