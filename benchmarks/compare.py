"""Is this tree faster than another commit? `python benchmarks/compare.py --base REV [WORKLOAD…]`.

Times training steps of both in turn, each in a process of its own with its own compiled code, and prints the ratio new
to old, pair by pair in its median and quartiles: below 1 is faster. It refuses where the two do not compute the same,
which it looks at first: logits and gradients of the same weights, to a relative 1e-4.
"""

import argparse
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from results import processor
from speed import whole_numbers
from tqdm import tqdm
from workloads import WORKLOADS

from ntm_lab.studies import tables

ROOT = Path(__file__).parents[1]
TOLERANCE = 1e-4  # of float32, relative to the largest value


class Side:
    """A tree's process, which answers requests over pipes."""

    def __init__(self, tree: Path, backend: str) -> None:
        paths = os.pathsep.join(map(str, (tree / "src", ROOT / "benchmarks")))
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "benchmarks" / "compare.py"), "--serve", backend],
            env={**os.environ, "PYTHONPATH": paths}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def ask(self, *request: Any) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        pickle.dump(request, self.process.stdin)
        self.process.stdin.flush()
        return pickle.load(self.process.stdout)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def serve(backend: str) -> None:
    """Answer requests: ("outputs", workload, batch) or ("time", workload, batch, seconds)."""
    from timing import seconds_of, training_step
    from workloads import loss_of

    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # what is printed is no answer
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    steps = {}
    while True:
        try:
            what, name, batch, *rest = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        workload = WORKLOADS[name]
        torch.manual_seed(0)
        if what == "outputs":
            model = workload.build(backend)
            generator = torch.Generator().manual_seed(1)
            with torch.no_grad():  # the same weights whatever a revision begins with
                for part in model.parameters():
                    part.copy_(0.1 * torch.randn(part.shape, generator=generator))
            drawn = workload.draw(batch, True, generator)
            logits, _ = model(drawn.inputs, lengths=drawn.lengths)
            loss_of(model, drawn).backward()
            parts = {key: part.grad for key, part in model.named_parameters() if part.grad is not None}
            answer: Any = {"logits": logits.detach()} | parts
        else:
            if (name, batch) not in steps:
                steps[name, batch] = training_step(workload, workload.build(backend), batch, 1, False)
                for _ in range(3):
                    steps[name, batch]()
            (seconds,) = rest
            count = max(1, round(seconds / seconds_of(steps[name, batch])))
            answer = statistics.median(seconds_of(steps[name, batch]) for _ in range(count))
        pickle.dump(answer, answers)
        answers.flush()


def differences(old: dict[str, torch.Tensor], new: dict[str, torch.Tensor]) -> list[str]:
    """What both have and do not have alike."""
    found = []
    for name in old.keys() & new.keys():
        scale = old[name].abs().max().clamp(min=1e-6)
        largest = float((old[name] - new[name]).abs().max() / scale) if old[name].shape == new[name].shape else 1.0
        if not largest <= TOLERANCE:
            found.append(f"{name} by {largest:.1e}")
    return sorted(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"{', '.join(WORKLOADS)} (default: ntm)")
    parser.add_argument("--base", default="HEAD", metavar="REV", help="the commit to compare with (default HEAD)")
    parser.add_argument("--batches", type=whole_numbers, metavar="B,…", help="default: the workload's")
    parser.add_argument("--backend", default="numba", choices=["numba", "reference"])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.2, help="of each half of a pair, about")
    parser.add_argument("--serve", metavar="BACKEND", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    if arguments.pairs < 2:
        parser.error(f"--pairs={arguments.pairs}: must be at least 2")
    names = arguments.workloads or ["ntm"]
    for name in names:
        if name not in WORKLOADS:
            parser.error(f"{name}: must be among {', '.join(WORKLOADS)}")
    cases = [(name, batch) for name in names for batch in arguments.batches or WORKLOADS[name].batches]

    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "base"
        subprocess.run(
            ["git", "-C", str(ROOT), "worktree", "add", "--quiet", "--detach", str(tree), arguments.base], check=True
        )
        old, new = Side(tree, arguments.backend), Side(ROOT, arguments.backend)
        try:
            for name, batch in cases:
                found = differences(old.ask("outputs", name, batch), new.ask("outputs", name, batch))
                if found:
                    sys.exit(f"{name}, B = {batch}: the two do not compute the same: {', '.join(found)}")
            rows = []
            for name, batch in tqdm(cases, unit=" cases"):
                pairs = [
                    [side.ask("time", name, batch, arguments.seconds) for side in (old, new)]
                    for _ in range(arguments.pairs)
                ]
                before, after = (1e3 * statistics.median(side) for side in zip(*pairs, strict=True))
                low, median, high = statistics.quantiles([second / first for first, second in pairs], n=4)
                rows.append(
                    [name, str(batch), f"{before:.2f}", f"{after:.2f}", f"{median:.3f} ({low:.3f} to {high:.3f})"]
                )
        finally:
            old.close()
            new.close()
            subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", str(tree)], check=True)
    print(f"\n{arguments.base} and this tree, {arguments.backend}, one thread of {processor()}\n")
    head = ["workload", "B", "old, ms", "new, ms", "new / old (quartiles)"]
    print(tables.markdown(head, rows, [False, True, True, True, True]))


if __name__ == "__main__":
    main()
