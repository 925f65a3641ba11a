"""What a machine with a CUDA GPU has to say: `python tools/gpu_check.py [--json FILE]`, at most five minutes.

It needs torch, triton, numpy and pytest, and no installation of ntm_lab: it imports the checkout that it lies in.

1. The tests of the Triton kernels, this time on the GPU, within three minutes.
2. Milliseconds of a training step (forward, backward, clipping, Adam) of every machine on every backend that can serve,
   at batches of 1, 32, 1024 and 8192: launched one by one, and replayed as a CUDA graph, where the backend can be
   captured as one. What does not fit into memory or time is a dash, with its reason in the JSON.

Prints a table, and writes everything as JSON. It ends with 1 if a test failed.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

import torch  # noqa: E402
from torch.nn.functional import binary_cross_entropy_with_logits  # noqa: E402

from ntm_lab.nn import DNC, MANN, NTM  # noqa: E402

TEST_SECONDS = 180
TIMING_SECONDS = 110
BATCHES = (1, 32, 1024, 8192)
STEPS, INPUTS, OUTPUTS = 41, 9, 8  # copy at length 20
MACHINES: dict[str, Callable[..., torch.nn.Module]] = {"NTM": NTM, "DNC": DNC, "MANN": MANN}


class Row(NamedTuple):
    machine: str
    backend: str
    batch: int
    graph: bool  # replayed as a CUDA graph
    ms: float | None
    why_not: str | None


def run_tests() -> dict[str, Any]:
    """The Triton tests on this GPU; of what they print the last line."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--confcutdir=tests/fast"]
    try:
        ended = subprocess.run(
            [*command, "-c", os.devnull, "--rootdir=.", "tests/fast/test_triton.py"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            timeout=TEST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"passed": False, "said": f"not done after {TEST_SECONDS} s"}
    lines = ended.stdout.strip().splitlines()
    return {
        "passed": ended.returncode == 0,
        "said": lines[-1] if lines else ended.stderr[-500:],
        "output": ended.stdout,
    }


def training_step(machine: str, backend: str, batch: int, device: torch.device) -> Callable[[], None]:
    """One step of training on random bits that stay the same, ready to be captured as a graph."""
    torch.manual_seed(0)
    model = MACHINES[machine](INPUTS, OUTPUTS, backend=backend).to(device)
    inputs = torch.randint(2, (batch, STEPS, INPUTS), device=device).float()
    targets = torch.randint(2, (batch, STEPS, OUTPUTS), device=device).float()
    parameters = list(model.parameters())
    optimizer = torch.optim.Adam(parameters, lr=1e-4, fused=True, capturable=device.type == "cuda")

    def step() -> None:
        optimizer.zero_grad()
        logits, _ = model(inputs)
        binary_cross_entropy_with_logits(logits, targets).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 10.0, foreach=True)
        optimizer.step()

    return step


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """The same step as a CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def milliseconds(step: Callable[[], None], device: torch.device, seconds: float = 1.0) -> float:
    """Of one step, the mean over about that many seconds, after three to warm up."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    for _ in range(3):
        step()
    wait()
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds or count < 3:
        step()
        wait()
        count += 1
    return 1e3 * (time.perf_counter() - started) / count


def measure(machine: str, backend: str, batch: int, graph: bool, device: torch.device) -> Row:
    """A row; whatever goes wrong is its reason, and the others are measured all the same."""
    try:
        step = training_step(machine, backend, batch, device)
        row = Row(machine, backend, batch, graph, milliseconds(captured(step) if graph else step, device), None)
    except (RuntimeError, ValueError, torch.OutOfMemoryError) as error:
        row = Row(machine, backend, batch, graph, None, str(error).splitlines()[0])
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    return row


def table(rows: list[Row]) -> str:
    batches = sorted({row.batch for row in rows})
    lines = [
        "| ms a step | " + " | ".join(f"B = {batch}" for batch in batches) + " |",
        "| --- |" + " ---: |" * len(batches),
    ]
    names = dict.fromkeys((row.machine, row.backend, row.graph) for row in rows)
    times = {(row.machine, row.backend, row.graph, row.batch): row.ms for row in rows}
    for name in names:
        cells = [times.get((*name, batch)) for batch in batches]
        machine, backend, graph = name
        title = f"{machine}, {backend}{', as a CUDA graph' if graph else ''}"
        lines.append(f"| {title} | " + " | ".join("–" if ms is None else f"{ms:.2f}" for ms in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("gpu_check.json"), metavar="FILE")
    parser.add_argument("--no-tests", action="store_true", help="only the timing")
    parser.add_argument(
        "--device", choices=["cuda", "cpu"], default="cuda", help="cpu: to try this script without a GPU"
    )
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)), metavar="B,…")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error(f"--device={device}: there is no GPU here, must be cpu")
    tests = {"passed": True, "said": "not run"} if arguments.no_tests else run_tests()
    print(f"tests: {tests['said']}", flush=True)

    started, rows = time.perf_counter(), []
    fast = "triton" if device.type == "cuda" else "numba"
    for batch in map(int, arguments.batches.split(",")):
        for machine in MACHINES:
            for backend, graph in [(fast, False), (fast, True), ("reference", False), ("reference", True)]:
                if graph and device.type != "cuda":
                    continue
                if time.perf_counter() - started > TIMING_SECONDS:
                    rows.append(Row(machine, backend, batch, graph, None, f"not begun after {TIMING_SECONDS} s"))
                else:
                    rows.append(measure(machine, backend, batch, graph, device))
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    print(
        f"\n{name}, torch {torch.__version__}; copy at length 20, controller LSTM 100, memory 128x20\n\n{table(rows)}"
    )
    about = {"device": name, "torch": torch.__version__, "tests": tests, "rows": [row._asdict() for row in rows]}
    arguments.json.write_text(json.dumps(about, indent=1) + "\n")
    sys.exit(not tests["passed"])


if __name__ == "__main__":
    main()
