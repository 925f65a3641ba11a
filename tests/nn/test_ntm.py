"""The NTM beyond its equations: what its trace shows, other numbers of slots, and its settings."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from ntm_lab.nn import LSTM, NTM, NTMAccess
from ntm_lab.nn.contents import Constant, Random
from ntm_lab.nn.weightings import FirstSlot, Learned

BuildNTM = Callable[..., NTM]
B, T, R, H, N, W, S = 4, 6, 2, 3, 6, 4, 5
K = R + H

SHAPES = {
    "logits": (B, T, 2),
    "read_weighting": (B, T, R, N),
    "write_weighting": (B, T, H, N),
    "reads": (B, T, R, W),
    "memory": (B, T, N, W),
    "key": (B, T, K, W),
    "strength": (B, T, K),
    "gate": (B, T, K),
    "sharpness": (B, T, K),
    "shift": (B, T, K, S),
    "erase": (B, T, H, W),
    "add": (B, T, H, W),
}


@pytest.fixture(params=["reference", "numba"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def many_heads(build_ntm: BuildNTM) -> NTM:
    return build_ntm(read_heads=R, write_heads=H, shift_range=S)


def test_trace_has_every_signal_of_the_docstring(many_heads: NTM, inputs: Tensor) -> None:
    assert {name: tuple(signal.shape) for name, signal in many_heads.trace(inputs).items()} == SHAPES
    assert all(f"``{name}``" in (NTMAccess.__doc__ or "") for name in SHAPES if name not in ("logits", "reads"))


@pytest.mark.parametrize("asked", [("gate", "memory"), ("gate", "reads"), ()], ids="+".join)
def test_trace_has_only_what_is_asked_for(
    many_heads: NTM, inputs: Tensor, backend: str, asked: tuple[str, ...]
) -> None:
    many_heads.backend = backend
    everything, signals = many_heads.trace(inputs), many_heads.trace(inputs, signals=asked)
    assert signals.keys() == {"logits", *asked}
    torch.testing.assert_close(signals, {name: everything[name] for name in signals}, rtol=0, atol=1e-12)


def test_traced_signals_keep_their_ranges(many_heads: NTM, inputs: Tensor) -> None:
    signals = many_heads.trace(inputs)
    for name in ("read_weighting", "write_weighting", "shift"):
        assert (signals[name] >= 0).all()
        torch.testing.assert_close(signals[name].sum(-1), torch.ones_like(signals[name][..., 0]))
    assert (signals["strength"] >= 0).all() and (signals["sharpness"] >= 1).all()
    assert all(((signals[name] >= 0) & (signals[name] <= 1)).all() for name in ("gate", "erase"))


def test_trace_ends_where_the_state_does(many_heads: NTM, inputs: Tensor) -> None:
    """In a padded batch, at the last step of each sequence."""
    lengths = torch.tensor([6, 1, 4, 3])
    signals, (_, state) = many_heads.trace(inputs, lengths=lengths), many_heads(inputs, lengths=lengths)
    last = torch.arange(B), lengths - 1
    weighting = torch.cat((signals["read_weighting"][last], signals["write_weighting"][last]), 1)
    found = signals["memory"][last], weighting, signals["reads"][last]
    torch.testing.assert_close(found, (*state.access, state.reads), rtol=0, atol=1e-12)


def test_past_the_end_signals_are_0_and_logits_the_bias(many_heads: NTM, inputs: Tensor, backend: str) -> None:
    many_heads.backend = backend
    lengths = torch.tensor([5, 1, 4, 3])
    past = torch.arange(T) >= lengths.unsqueeze(1)
    signals = many_heads.trace(
        inputs, lengths=lengths, signals=[name for name in many_heads.signals if name != "memory"]
    )
    logits = signals.pop("logits")[past]
    torch.testing.assert_close(logits, many_heads.output.bias.expand_as(logits), rtol=0, atol=0)
    assert [name for name, signal in signals.items() if signal[past].any() or not signal[~past].any()] == []


def test_memory_is_traced_whatever_the_backend(many_heads: NTM, inputs: Tensor, backend: str) -> None:
    many_heads.backend = backend
    signals = many_heads.trace(inputs, signals=["memory"])
    assert torch.equal(signals["memory"], many_heads.trace(inputs)["memory"])
    assert torch.equal(many_heads.trace(inputs, signals=())["logits"], many_heads(inputs)[0])


def test_reads_come_from_the_memory_before_the_write(many_heads: NTM, inputs: Tensor) -> None:
    signals = many_heads.trace(inputs)
    torch.testing.assert_close(signals["read_weighting"][:, 1:] @ signals["memory"][:, :-1], signals["reads"][:, 1:])


@pytest.mark.parametrize("bounded", [True, False])
def test_only_bounded_keys_and_adds_stay_within_1(build_ntm: BuildNTM, inputs: Tensor, bounded: bool) -> None:
    model = build_ntm(bounded=bounded)
    with torch.no_grad():
        model.heads.weight.mul_(10)
    signals = model.trace(inputs)
    assert bool(signals["key"].abs().max() <= 1) is bounded
    assert bool(signals["add"].abs().max() <= 1) is bounded


def test_baseline_traces_its_hidden_state(inputs: Tensor) -> None:
    model = LSTM(inputs.shape[2], 2, size=7).double()
    signals, (_, state) = model.trace(inputs), model(inputs)
    assert signals.keys() == {"logits", "hidden"}
    assert signals["hidden"].shape == (B, T, 1, 7)
    assert torch.equal(signals["hidden"][:, -1, 0], state.hidden[:, -1])  # the last step, the last layer
    assert model.trace(inputs, signals=()).keys() == {"logits"}


def test_trained_on_16_slots_it_runs_on_64(build_ntm: BuildNTM, inputs: Tensor) -> None:
    model = build_ntm(slots=16, init=Constant, weighting=FirstSlot)
    small, _ = model(inputs)
    large, state = model(inputs, model.initial_state(B, slots=64))
    assert state.memory.shape == (B, 64, W) and state.access.weighting.shape == (B, 2, 64)
    assert not torch.allclose(small, large)  # content addressing spreads over more slots

    model.resize(64)
    resized, state_of_resized = model(inputs)
    assert torch.equal(resized, large)
    torch.testing.assert_close(state_of_resized, state, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        pytest.param({"init": partial(Constant, trainable=True)}, "memory.init", id="trained constant"),
        pytest.param({"init": Random}, "memory.init", id="random"),
        pytest.param({"init": partial(Random, trainable=True)}, "memory.init", id="learned"),
        pytest.param({"weighting": Learned}, "memory.weighting", id="learned weighting"),
    ],
)
def test_what_belongs_to_16_slots_does_not_go_to_64(
    build_ntm: BuildNTM, inputs: Tensor, settings: dict[str, Any], key: str
) -> None:
    model = build_ntm(**{"slots": 16, "init": Constant, "weighting": FirstSlot} | settings)
    before, _ = model(inputs)
    for attempt in (lambda: model.initial_state(B, slots=64), lambda: model.resize(64)):
        with pytest.raises(ValueError, match=f"^memory.slots=64: {key} holds a value of its own for each of 16 slots"):
            attempt()
    assert torch.equal(model(inputs)[0], before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"read_heads": 0}, "model.read_heads=0: "),
        ({"write_heads": 0}, "model.write_heads=0: "),
        ({"shift_range": 4}, "model.shift_range=4: must be odd"),
        ({"shift_range": 0}, "model.shift_range=0: "),
        ({"shift_range": 7}, "model.shift_range=7: .* memory.slots=6"),
        ({"backend": "cuda"}, "model.backend=cuda: must be one of auto, reference, numba, triton$"),
        ({"recompute_every": 0}, "model.recompute_every=0: "),
        ({"size": 0}, "controller.size=0: "),
        ({"layers": 0}, "controller.layers=0: "),
        ({"slots": 0}, "memory.slots=0: "),
        ({"slots": 16.0}, "memory.slots=16.0: "),
        ({"width": -1}, "memory.width=-1: "),
        ({"init": partial(Random, std=-0.1)}, "memory.init.std=-0.1: "),
        ({"weighting": partial(Learned, std=-0.1)}, "memory.weighting.std=-0.1: "),
    ],
    ids=str,
)
def test_error_names_setting_and_value(build_ntm: BuildNTM, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        build_ntm(**settings)


@pytest.mark.parametrize(("key", "value"), [("size", 0), ("layers", 0), ("layers", True)])
def test_error_of_the_baseline_names_setting_and_value(key: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"^model.{key}={value}: "):
        LSTM(3, 2, **{key: value})


@pytest.mark.parametrize("kind", ["read", "write"])
@pytest.mark.parametrize(
    ("signal", "bias", "value", "default"),
    [
        ("gate", -20.0, 0.0, 0.5),
        ("gate", 20.0, 1.0, 0.5),
        ("strength", 5.0, math.log1p(math.exp(5)), math.log(2)),
    ],
)
def test_initial_biases(
    build_ntm: BuildNTM, inputs: Tensor, kind: str, signal: str, bias: float, value: float, default: float
) -> None:
    """They set the heads of their kind and no others."""
    model = build_ntm(read_heads=R, write_heads=H, at_random=False, **{f"{kind}_{signal}_bias": bias})
    torch.nn.init.zeros_(model.heads.weight)
    reads, writes = model.trace(inputs)[signal].split((R, H), -1)
    biased, others = (reads, writes) if kind == "read" else (writes, reads)
    torch.testing.assert_close(biased, torch.full_like(biased, value), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(others, torch.full_like(others, default), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("matched", [True, False])
def test_keys_begin_as_what_is_written(build_ntm: BuildNTM, inputs: Tensor, matched: bool) -> None:
    """Three read heads on two write heads: keys of the reads are those of the writes 0, 1 and 0 again."""
    model = build_ntm(at_random=False, read_heads=3, write_heads=2, matched_keys=matched)
    signals = model.trace(inputs)
    expected = signals["add"][:, :, [0, 1, 0, 0, 1]]
    assert expected.abs().mean() > 0.1
    assert torch.allclose(signals["key"], expected) == matched


@pytest.mark.parametrize("shift_range", [1, 3, 5])
def test_heads_can_begin_by_walking(build_ntm: BuildNTM, shift_range: int) -> None:
    """At a controller's output of 0 only the biases speak: by 1, and where there is no such shift by none."""
    model = build_ntm(at_random=False, shift_range=shift_range, read_shift_bias=1.0, write_shift_bias=2.0)
    with torch.no_grad():
        model.heads.weight.zero_()
    shift = model.trace(torch.zeros(1, 1, 3, dtype=torch.float64), signals=("shift",))["shift"][0, 0]  # (2, S)
    offset = min(1, shift_range // 2)
    odds = shift[:, shift_range // 2 + offset] / shift[:, 0]
    expected = [1.0, 1.0] if shift_range == 1 else [math.exp(1), math.exp(2)]
    assert odds.tolist() == pytest.approx(expected)
