"""The DNC against the same machine in numpy, slot by slot, with every option; its ties, and the gradient it can cut."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ntm_lab.equations import usage
from ntm_lab.nn import DNC, MemoryNetwork
from ntm_lab.nn.contents import Random

Array = np.ndarray[Any, Any]
Weights = dict[str, Array]
R, N, W = 2, 6, 4
GUARD = 1e-6

OPTIONS: dict[str, dict[str, Any]] = {
    "as published": {},
    "no links": {"links": "none"},
    "masking": {"masking": True},
    "deallocation": {"deallocation": True},
    "sharp links": {"link_sharpness": True},
    "all repairs": {"masking": True, "deallocation": True, "link_sharpness": True},
    "masks without links": {"masking": True, "links": "none"},
    "unbounded": {"bounded": False},
    "cut gradient": {"cut_usage_gradient": True},
}


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def oneplus(x: Array) -> Array:
    return 1 + np.log1p(np.exp(x))


def softmax(x: Array) -> Array:
    return np.exp(x) / np.exp(x).sum()


def look_up(memory: Array, key: Array, strength: Array, mask: Array) -> Array:
    """softmax(β · cosine(m ∘ k, m ∘ M)), one slot after the other."""

    def norm(x: Array) -> Array:
        return np.sqrt((x**2).sum() + GUARD)

    cosines = [(mask * slot) @ (mask * key) / (norm(mask * slot) * norm(mask * key)) for slot in memory]
    return softmax(strength * np.array(cosines))


def fields(emitted: Array, sizes: list[int]) -> Iterator[Array]:
    """The parts of a head's parameters, in their order."""
    ends = [0, *np.cumsum(sizes)]
    assert ends[-1] == len(emitted)
    return (emitted[start:end] for start, end in pairwise(ends))


def dnc_steps(weights: Weights, inputs: Array, options: dict[str, Any]) -> Iterator[dict[str, Array]]:
    """All that holds after each step of one sequence (T, I), by the equations of Graves et al. 2016, Methods."""
    links, masking = options.get("links") != "none", options.get("masking", False)
    sharp = options.get("link_sharpness", False)
    squash = np.tanh if options.get("bounded", True) else np.array
    memory, reads = weights["access.contents.value"].copy(), weights["reads"]
    used, write, precedence, link = np.zeros(N), np.zeros(N), np.zeros(N), np.zeros((N, N))
    read = np.zeros((R, N))
    of_read = [W, 1, 1] + [3] * links + [1, 1] * sharp + [W] * masking
    of_write = [W, 1, 1, 1, W, W] + [W] * masking
    for present in inputs:
        x = np.concatenate((present, reads.ravel()))
        hidden = np.tanh(weights["controller.layers.0.weight"] @ x + weights["controller.layers.0.bias"])
        emitted = weights["heads.weight"] @ hidden + weights["heads.bias"]
        head_rows = emitted[: R * sum(of_read)].reshape(R, -1)
        key, strength, allocate, gate, erase, add, *mask = fields(emitted[R * sum(of_read) :], of_write)

        kept = np.ones(N)
        for r in range(R):
            kept = kept * (1 - sigmoid(head_rows[r][W + 1]) * read[r])
        used = (used + write - used * write) * kept
        guarded = GUARD + (1 - GUARD) * used
        allocation, free = np.zeros(N), 1.0
        for slot in sorted(range(N), key=lambda slot: guarded[slot]):  # Python's sort is stable
            allocation[slot] = (1 - guarded[slot]) * free
            free *= guarded[slot]

        cover = 0.1 + 0.9 * sigmoid(mask[0]) if masking else np.ones(W)
        content = look_up(memory, squash(key), oneplus(strength), cover)
        write = sigmoid(gate) * (sigmoid(allocate) * allocation + (1 - sigmoid(allocate)) * content)
        if options.get("deallocation"):
            memory = memory * kept[:, None]
        memory = memory * (1 - np.outer(write, sigmoid(erase))) + np.outer(write, squash(add))

        old_link, link = link, np.zeros((N, N))
        for i in range(N):
            for j in range(N):
                if i != j:
                    link[i, j] = (1 - write[i] - write[j]) * old_link[i, j] + write[i] * precedence[j]
        precedence = (1 - write.sum()) * precedence + write

        last_read, read = read, np.zeros((R, N))
        for r in range(R):
            key, strength, _, *rest = fields(head_rows[r], of_read)
            cover = 0.1 + 0.9 * sigmoid(rest[-1]) if masking else np.ones(W)
            read[r] = look_up(memory, squash(key), oneplus(strength), cover)
            if links:
                backward, forward = link.T @ last_read[r], link @ last_read[r]
                if sharp:
                    backward, forward = (
                        power / power.sum()
                        for power in ((backward + GUARD) ** oneplus(rest[1]), (forward + GUARD) ** oneplus(rest[2]))
                    )
                mode = softmax(rest[0])
                read[r] = mode[0] * backward + mode[1] * read[r] + mode[2] * forward
        reads = read @ memory
        logits = weights["output.weight"] @ np.concatenate((hidden, reads.ravel())) + weights["output.bias"]
        state = {"memory": memory, "usage": used, "read_weighting": read, "write_weighting": write[None]}
        yield {"logits": logits, "reads": reads} | state | ({"precedence": precedence, "link": link} if links else {})


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_dnc_is_the_machine_of_the_paper(
    double: Callable[..., MemoryNetwork], inputs: Tensor, options: dict[str, Any]
) -> None:
    """Every signal of every step of every sequence."""
    model = double("DNC", init=partial(Random, trainable=True), read_heads=R, **options)
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    with torch.no_grad():
        traced = model.trace(inputs)
    for b, sequence in enumerate(inputs.numpy()):
        for t, expected in enumerate(dnc_steps(weights, sequence, options)):
            for name, value in expected.items():
                np.testing.assert_allclose(traced[name][b, t].numpy(), value, rtol=0, atol=1e-11, err_msg=f"{name} {t}")


@pytest.mark.parametrize("slots", [4, 64, 128, 256])
def test_the_first_of_equally_used_slots_is_allocated(slots: int) -> None:
    """An unstable sort gives another one at some sizes."""
    allocation = usage.allocation(torch.zeros(2, slots))
    assert allocation.argmax(1).tolist() == [0, 0]
    assert allocation[:, 0].min() > 0.999
    used = torch.ones(1, slots)
    used[0, [2, 3]] = 0.25
    assert usage.allocation(used).argmax().item() == 2


def test_one_free_slot_does_not_take_the_gradient_from_the_others() -> None:
    used = torch.tensor([[0.0, 0.5, 0.75]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(usage.allocation(used)[0, 2], used)
    assert gradient.ne(0).all()


def test_the_gradient_through_usage_can_be_cut(inputs: Tensor) -> None:
    """Values stay as they are; of the last write weighting, through usage alone, nothing arrives."""
    reads, usages = [], []
    for cut in (False, True):
        torch.manual_seed(0)
        model = DNC(3, 2, "feedforward", size=5, slots=N, width=W, cut_usage_gradient=cut).double()
        state = model.initial_state(len(inputs))
        write = torch.rand_like(state.access.write_weighting).softmax(-1).requires_grad_()
        heads = model.access.layout.bound(torch.randn(len(inputs), model.access.layout.size).double())
        read, after, _ = model.access.step(heads, state.access._replace(write_weighting=write))
        reads.append(read.detach())
        usages.append(after.usage)
    torch.testing.assert_close(*reads, rtol=0, atol=0)
    torch.testing.assert_close(usages[0].detach(), usages[1], rtol=0, atol=0)
    assert usages[0].requires_grad and not usages[1].requires_grad


@pytest.mark.parametrize(
    ("setting", "signal", "value"),
    [
        ({"allocation_gate_bias": 20.0}, "allocation_gate", 1.0),
        ({"write_gate_bias": -20.0}, "write_gate", 0.0),
        ({"free_gate_bias": 0.0}, "free_gate", 0.5),
        ({"read_strength_bias": 5.0}, "read_strength", 1 + np.log1p(np.exp(5))),
        ({"write_strength_bias": 5.0}, "write_strength", 1 + np.log1p(np.exp(5))),
        ({"backward_mode_bias": 20.0}, "read_mode", [1.0, 0.0, 0.0]),
        ({"content_mode_bias": 20.0}, "read_mode", [0.0, 1.0, 0.0]),
        ({"forward_mode_bias": 20.0}, "read_mode", [0.0, 0.0, 1.0]),
    ],
    ids=str,
)
def test_initial_biases_by_name(setting: dict[str, float], signal: str, value: float | list[float]) -> None:
    model = DNC(3, 2, "feedforward", size=5, slots=N, width=W, read_heads=2, **setting)
    torch.nn.init.zeros_(model.heads.weight)
    found = model.trace(torch.randn(1, 2, 3))[signal][0, -1]
    expected = torch.tensor(value, dtype=torch.float32)
    torch.testing.assert_close(found, expected.expand_as(found), rtol=1e-5, atol=1e-6)


def test_keys_begin_as_what_is_written(inputs: Tensor) -> None:
    signals = DNC(3, 2, "feedforward", slots=N, width=W).double().trace(inputs)
    torch.testing.assert_close(signals["read_key"], signals["add"])
    torch.testing.assert_close(signals["write_key"], signals["add"])


def test_what_a_setting_needs_is_said() -> None:
    with pytest.raises(ValueError, match=r"^model.link_sharpness=true: needs model.links=dense"):
        DNC(3, 2, links="none", link_sharpness=True)
    with pytest.raises(ValueError, match=r"^model.links=sparse: must be one of none, dense"):
        DNC(3, 2, links="sparse")
