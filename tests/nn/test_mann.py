"""The MANN against the same machine in numpy, slot by slot, with every option, and what its settings promise."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ntm_lab.equations import least_used
from ntm_lab.nn import MANN, MemoryNetwork
from ntm_lab.nn.contents import Random

Array = np.ndarray[Any, Any]
R, N, W = 2, 6, 4
GUARD = 1e-6
SANTORO = {
    "key_strength": False,
    "separate_add": False,
    "late_write": False,
    "read_first": False,
    "own_slots": False,
    "usage_decay": 0.99,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "Santoro": SANTORO,
    "read after the write": {"read_first": False},
    "back to the written slot": {"gate_to": "written"},
    "no late write": {"late_write": False},
    "late write of the key": {"separate_add": False},
    "all heads to all slots": {"own_slots": False},
}


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def mann_steps(weights: dict[str, Array], inputs: Array, options: dict[str, Any]) -> Iterator[dict[str, Array]]:
    """All that holds after each step of one sequence (T, I)."""
    separate, late = options.get("separate_add", True), options.get("late_write", True)
    strong, decay = options.get("key_strength", True), options.get("usage_decay", 0.95)
    memory, reads = weights["access.contents.value"].copy(), weights["reads"]
    used, read, write = np.zeros(N), np.zeros((R, N)), np.zeros((R, N))
    for present in inputs:
        x = np.concatenate((present, reads.ravel()))
        hidden = np.tanh(weights["controller.layers.0.weight"] @ x + weights["controller.layers.0.bias"])
        rows = (weights["heads.weight"] @ hidden + weights["heads.bias"]).reshape(R, -1)
        key, gate, rest = np.tanh(rows[:, :W]), sigmoid(rows[:, W]), rows[:, W + 1 :]
        add, rest = (np.tanh(rest[:, :W]), rest[:, W:]) if separate else (key, rest)
        if late:
            for r in range(R):
                memory = memory + np.outer(write[r], np.tanh(rest[r, :W]))
            rest = rest[:, W:]
        strength = 1 + np.log1p(np.exp(rest[:, 0])) if strong else np.ones(R)
        assert rest.shape[1] == strong

        least = sorted(range(N), key=lambda slot: used[slot])[:R]
        last = write if options.get("gate_to") == "written" else read
        before, memory = memory, memory.copy()
        memory[least] = 0
        write = np.zeros((R, N))
        for r in range(R):
            targets = np.zeros(N)
            targets[least[r] if options.get("own_slots", True) else least] = 1
            write[r] = gate[r] * last[r] + (1 - gate[r]) * targets
            memory = memory + np.outer(write[r], add[r])

        shown = before if options.get("read_first", True) else memory
        norms = np.sqrt((shown**2).sum(1) + GUARD)
        read = np.zeros((R, N))
        for r in range(R):
            powers = np.exp(strength[r] * (shown @ key[r]) / (norms * np.sqrt((key[r] ** 2).sum() + GUARD)))
            read[r] = powers / powers.sum()
        used = decay * used + read.sum(0) + write.sum(0)
        reads = read @ shown
        logits = weights["output.weight"] @ np.concatenate((hidden, reads.ravel())) + weights["output.bias"]
        state = {"memory": memory, "usage": used, "read_weighting": read, "write_weighting": write}
        yield {"logits": logits, "reads": reads} | state


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_mann_is_the_machine_of_the_paper(
    double: Callable[..., MemoryNetwork], inputs: Tensor, options: dict[str, Any]
) -> None:
    """Every signal of every step of every sequence."""
    model = double("MANN", init=partial(Random, trainable=True), heads=R, **options)
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    with torch.no_grad():
        traced = model.trace(inputs)
    for b, sequence in enumerate(inputs.numpy()):
        for t, expected in enumerate(mann_steps(weights, sequence, options)):
            for name, value in expected.items():
                np.testing.assert_allclose(traced[name][b, t].numpy(), value, rtol=0, atol=1e-11, err_msg=f"{name} {t}")


def test_exactly_as_many_slots_as_asked_for_are_least_used() -> None:
    """Of ties the lowest index; "at most the n-th smallest" would mark them all."""
    used = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.5, 0.1, 0.9, 0.1]])
    slots = least_used.least_used(used, 2)
    assert slots.argmax(-1).tolist() == [[0, 1], [1, 3]]
    assert slots.sum(-1).tolist() == [[1, 1], [1, 1]]


def test_a_late_vector_joins_the_slot_that_was_just_written(inputs: Tensor) -> None:
    """With the gate shut on used slots, each step writes to a new slot, and the next one adds its late vector there."""
    model = MANN(3, 2, "feedforward", size=5, slots=N, width=W, gate_bias=-40.0).double()
    signals = model.trace(inputs)
    written = signals["write_weighting"][:, :-1, 0].argmax(-1)  # (B, T − 1)
    for b in range(len(inputs)):
        for t, slot in enumerate(written[b].tolist()):
            before, after = signals["memory"][b, t, slot], signals["memory"][b, t + 1, slot]
            torch.testing.assert_close(after, before + signals["late"][b, t + 1, 0])


def test_initial_biases_and_gain() -> None:
    model = MANN(3, 2, "feedforward", size=50, slots=N, width=W, gate_bias=-3.0, strength_bias=2.0, gain=4.0)
    weight, bias = (model.access.layout.split(part.detach()) for part in (model.heads.weight.T, model.heads.bias))
    assert bias["gate"].unique().tolist() == [-3.0] and bias["strength"].unique().tolist() == [2.0]
    assert torch.equal(weight["key"], weight["add"])
    bound = 4 * (6 / (50 + model.access.layout.size)) ** 0.5
    assert 0.95 * bound < weight["late"].abs().max() <= bound


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 7}, "model.heads=7: must be at most memory.slots=6"),
        ({"gate_to": "here"}, "model.gate_to=here: must be one of read, written"),
        ({"usage_decay": 1.5}, "model.usage_decay=1.5: must be between 0 and 1"),
    ],
)
def test_what_it_cannot_be_is_said(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        MANN(3, 2, slots=N, width=W, **settings)
