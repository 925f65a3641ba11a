"""The memory that a run would take, estimated before any is allocated."""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ntm_lab.runs.config import RunError, leaves
from ntm_lab.tasks.difficulties import hardest
from ntm_lab.types import Difficulty, SequenceModel, Task

FLOAT = 4  # bytes
BEYOND = 2**62  # numbers, of a model so large that they cannot be counted
COPIES = 4  # per parameter: value, gradient, and Adam's two averages
SMALL = 2048  # settings that are all below need no estimate, which costs a second
THIN = 64  # steps along an axis of difficulty from which those of a longer one are told
LIMITS = (  # of a container, by version of cgroups
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


def machine_bytes() -> int:
    """The memory of this machine, or of this container if that is less."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")] if hasattr(os, "sysconf") else []
    for limit in map(Path, LIMITS):
        text = limit.read_text().strip() if limit.is_file() else ""
        found += [int(text)] if text.isdigit() else []
    return min(found, default=2**63)


def check_fits(
    settings: Mapping[str, Any], task: Task, make_model: Callable[[int, int], SequenceModel], draw: bool = True
) -> None:
    """Raise RunError, with the bytes, for settings whose model, state or batches exceed this machine's memory.

    The estimate is a lower bound, so that no run that would fit is refused. Without ``draw`` it is that of sequences of
    one step, for a task whose files may not be there.
    """
    numbers = ((abs(number), key) for key, value in _sizes(settings) for number in _whole(value))
    largest, key = max(numbers, key=lambda pair: pair[0], default=(0, "task"))  # of equals the first
    data, on_cpu = settings.get("data", {}), settings.get("trainer", {}).get("accelerator", "cpu") == "cpu"
    if max(largest, task.input_size, task.output_size) < SMALL:
        return
    parameters, state, kept = _model_sizes(make_model, task)
    for draws in (False, True)[: 1 + draw]:  # one step may be too large to be drawn
        steps = estimated_steps(task, hardest(task)) if draws else 1
        sequence = steps * (task.input_size + task.output_size)
        parts = {
            "model": parameters * COPIES,
            "batch": on_cpu * data.get("batch_size", 1) * (sequence + state * (1 + steps // kept)),
            "validation": data.get("validation_sequences", 1) * (sequence + state),
        }
        needed, there = FLOAT * sum(parts.values()), machine_bytes()
        if needed > there:
            listed = ", ".join(f"{name} {_in_words(FLOAT * size)}" for name, size in parts.items())
            raise RunError(
                f"{key}={dict(_sizes(settings))[key]}: this run would take {_in_words(needed)} ({listed}), "
                f"more than the {_in_words(there)} of this machine"
            )


def check_difficulties(settings: Any, task: Task, key: str = "") -> None:
    """Raise RunError for a difficulty, wherever it is set, with a single sequence larger than the machine's memory."""
    if isinstance(settings, list):
        for part in settings:
            check_difficulties(part, task, key)
    elif isinstance(settings, Mapping):
        numbers = [value for value in settings.values() if type(value) is int]
        if settings.keys() == task.ranges.keys() and len(numbers) == len(settings) and max(numbers, default=0) >= SMALL:
            needed = FLOAT * estimated_steps(task, settings) * (task.input_size + task.output_size)
            if needed > machine_bytes():
                raise RunError(
                    f"{key}={settings}: a sequence would take {_in_words(needed)}, more than the "
                    f"{_in_words(machine_bytes())} of this machine"
                )
        for name, part in settings.items():
            check_difficulties(part, task, f"{key}.{name}" if key else str(name))


def estimated_steps(task: Task, difficulty: Difficulty) -> int:
    """The approximate number of steps of a sequence, from one that is short enough to be drawn."""
    if max(difficulty.values(), default=0) < SMALL:
        return int(task.sample(1, difficulty, torch.Generator()).lengths.max())
    thin = {axis: min(value, THIN) for axis, value in difficulty.items()}
    steps = int(task.sample(1, thin, torch.Generator()).lengths.max())
    for axis, value in thin.items():
        steps = steps * difficulty[axis] // value
    return steps


def _model_sizes(make_model: Callable[[int, int], SequenceModel], task: Task) -> tuple[int, int, int]:
    """The count of numbers in a model and in its state of one sequence, and the number of steps for which training
    keeps one state; without allocating any. Zeros for a model that cannot be built on the meta device."""
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = make_model(task.input_size, task.output_size)
            state = pytree.tree_leaves(model.initial_state(1))
    except Exception as error:  # such as of a model that looks at its values
        return (BEYOND if "overflow" in str(error) else 0), 0, 1
    parameters = sum(part.numel() for part in model.state_dict().values())
    return parameters, sum(part.numel() for part in state), getattr(model, "recompute_every", 1)


def _sizes(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The settings that decide how large a run is."""
    for group in ("memory", "controller", "data", "task", "model"):
        for key, value in leaves({group: settings.get(group) or {}}):
            if key != "data.validate_every":
                yield key, value


def _whole(value: Any) -> Iterator[int]:
    for one in value if isinstance(value, list | tuple) else [value]:
        if isinstance(one, int):
            yield one


def _in_words(size: int) -> str:
    """Bytes in a readable unit."""
    for unit, bytes_each in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if size >= bytes_each:
            return f"{size / bytes_each:,.0f} {unit}"
    return f"{size} bytes"
