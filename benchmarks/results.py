"""What was measured, as data: one JSON file a run, dated and named by the machine, and tables made from it."""

import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ntm_lab.studies import tables

FOLDER = Path(__file__).parent / "results"


class Row(NamedTuple):
    """One contestant at one setting."""

    workload: str
    contestant: str
    batch: int
    threads: int
    mixed: bool  # lengths from 1 to T, else all T
    ms: float  # a step of training, the median
    low: float  # its quartiles
    high: float
    steps: int  # that were timed


def processor() -> str:
    """Its name, as the system gives it."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    return names[0].strip() if names else platform.processor() or platform.machine()


def surroundings(device: str) -> dict[str, Any]:
    """What else decides how long something takes, and the command that was given."""
    revision = subprocess.run(
        ["git", "-C", str(FOLDER.parent), "describe", "--always", "--dirty", "--exclude=*"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return {
        "date": date.today().isoformat(),
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "revision": revision.stdout.strip(),
        "device": torch.cuda.get_device_name() if device == "cuda" else processor(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
    }


def save(rows: Iterable[Row], about: dict[str, Any], file: Path | None = None) -> Path:
    """Write what was measured; by default under the date and the machine, beside what there is already."""
    if file is None:
        machine = re.sub(r"[^a-z0-9]+", "-", about["device"].lower()).strip("-")
        file = FOLDER / f"{about['date']}-{machine}.json"
        for number in range(2, 100):
            if not file.exists():
                break
            file = file.with_name(f"{about['date']}-{machine}-{number}.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n  ".join(json.dumps(row._asdict()) for row in rows)
    file.write_text(f'{{\n "about": {json.dumps(about)},\n "rows": [\n  {lines}\n ]\n}}\n')
    return file


def load(file: Path) -> tuple[dict[str, Any], list[Row]]:
    content = json.loads(file.read_text())
    return content["about"], [Row(**row) for row in content["rows"]]


def table(rows: Sequence[Row], ratios: Sequence[tuple[str, str]] = ()) -> str:
    """Milliseconds a step of each contestant by batch, and ratios; the rows are of one number of threads."""
    batches = list(dict.fromkeys(row.batch for row in rows))
    times = {(row.contestant, row.batch): row.ms for row in rows}
    names = list(dict.fromkeys(row.contestant for row in rows))
    lines = [[name, *(f"{times[name, batch]:.2f}" for batch in batches)] for name in names]
    for above, below in ratios:
        if {above, below} <= {*names}:
            quotients = (times[above, batch] / times[below, batch] for batch in batches)
            lines.append([f"{above} / {below}", *(f"{quotient:.2f}" for quotient in quotients)])
    head = ["ms a step", *(f"B = {batch}" for batch in batches)]
    return tables.markdown(head, lines, [False, *[True] * len(batches)])
