"""The memory network: gradients, signals by kind, other numbers of slots, half precision and autocast, export."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import ntm_lab
from ntm_lab.nn import MANNAccess, MemoryNetwork, NetworkState
from ntm_lab.nn.contents import Random
from ntm_lab.types import Kind

HALF = (torch.bfloat16, torch.float16)


Build = Callable[..., MemoryNetwork]


def test_gradients(double: Build, name: str) -> None:
    """With respect to inputs, initial state and parameters, of logits and final state."""
    # of random contents, as slots that are all alike are tied in usage, and where a tie breaks there is no gradient
    model = double(name, "lstm", slots=5, width=2, init=partial(Random, std=1.0, trainable=True))
    if getattr(model.access, "cut_usage_gradient", False):
        return  # it is not the gradient: `test_dnc` tells what is cut
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(1, 3, model.input_size, generator=generator, dtype=torch.float64, requires_grad=True)
    _, start = model(torch.randn(1, 2, model.input_size, generator=generator, dtype=torch.float64))
    leaves, form = pytree.tree_flatten(start.detach())
    parameters = {key: value.detach().clone().requires_grad_() for key, value in model.named_parameters()}

    def outcome(inputs: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        state = pytree.tree_unflatten(list(others[: len(leaves)]), form)
        values = dict(zip(parameters, others[len(leaves) :], strict=True))
        logits, state = torch.func.functional_call(model, values, (inputs, state))
        return logits, *(part for part in pytree.tree_leaves(state) if part.requires_grad)

    given = [leaf.clone().requires_grad_() for leaf in leaves]
    assert torch.autograd.gradcheck(outcome, (inputs, *given, *parameters.values()), fast_mode=True)


def test_signals_are_what_they_are_declared(double: Build, name: str, inputs: Tensor) -> None:
    """In shape and in range, by their kind."""
    model = double(name, "lstm")
    traced = model.trace(inputs)
    assert traced.keys() == {"logits", *model.signals}
    batch, steps, _ = inputs.shape
    slots, width = model.slots, model.slot_width
    for signal, kind in model.signals.items():
        values, shape = traced[signal], traced[signal].shape[2:]
        assert values.shape[:2] == (batch, steps) and values.isfinite().all()
        match kind:
            case Kind.WEIGHTING:
                assert len(shape) == 2 and shape[1] == slots
                assert (values >= 0).all()
                if not isinstance(model.access, MANNAccess) or model.access.own_slots:
                    assert (values.sum(-1) <= 1 + 1e-9).all()
            case Kind.DISTRIBUTION:
                assert len(shape) == 2 and (values >= 0).all()
                torch.testing.assert_close(values.sum(-1), torch.ones_like(values[..., 0]))
            case Kind.VECTOR:
                assert len(shape) == 2 and shape[1] == width
            case Kind.GATE:
                assert len(shape) == 1 and ((values >= 0) & (values <= 1)).all()
            case Kind.SCALAR:
                assert len(shape) == 1
            case Kind.USAGE:
                assert shape == (slots,) and (values >= 0).all()
            case Kind.MEMORY:
                assert shape == (slots, width)
            case Kind.MATRIX:
                assert shape == (slots, slots)


def test_a_resized_model_is_one_that_was_built_so(double: Build, name: str, inputs: Tensor) -> None:
    model, large = double(name, "feedforward"), double(name, "feedforward", slots=11)
    large.load_state_dict(model.state_dict())
    expected, end = large(inputs)
    logits, state = model(inputs, model.initial_state(len(inputs), slots=11))
    assert torch.equal(logits, expected) and model.slots == 6
    model.resize(11)
    assert model.slots == 11
    logits, state = model(inputs)
    assert torch.equal(logits, expected) and state.memory.shape[1] == 11
    torch.testing.assert_close(state, end, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_under_autocast_it_computes_what_float32_does(plain: Build, name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model, inputs, lengths = plain(name, "lstm"), torch.randn(4, 6, 3), torch.tensor([6, 2, 6, 1])
    expected, end = model(inputs, lengths=lengths)
    with torch.autocast("cpu", dtype=dtype):
        logits, state = model(inputs.to(dtype).float(), lengths=lengths)
        half, _ = model(inputs.to(dtype), lengths=lengths)
        logits.sum().backward()
    torch.testing.assert_close(logits, half)
    torch.testing.assert_close((logits, state), (expected, end), rtol=0, atol=0.05)
    assert all(part.grad is not None and part.grad.isfinite().all() for part in model.heads.parameters())


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_in_half_precision_it_stays_close_and_finite(plain: Build, name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model, inputs = plain(name, "lstm"), torch.randn(4, 6, 3)
    expected, _ = model(inputs)
    logits, state = model.to(dtype)(inputs.to(dtype))
    assert {part.dtype for part in pytree.tree_leaves((logits, state))} == {dtype}
    torch.testing.assert_close(logits.float(), expected, rtol=0, atol=0.1)
    logits.sum().backward()
    assert all(part.grad is None or part.grad.isfinite().all() for part in model.parameters())


def test_a_shipped_model_under_autocast() -> None:
    model = ntm_lab.load("copy-ntm-lstm")
    inputs = torch.randn(4, 7, 9, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits, _ = model(inputs)
    with torch.no_grad():
        torch.testing.assert_close(logits, model(inputs)[0])


def test_a_step_is_what_forward_repeats(double: Build, name: str, inputs: Tensor) -> None:
    model = double(name, "lstm")
    expected, end = model(inputs)
    state, logits = model.initial_state(len(inputs)), []
    for present in inputs.unbind(1):
        answer, state = model.step(present, state)
        logits.append(answer)
    torch.testing.assert_close(torch.stack(logits, 1), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(state, end, rtol=0, atol=1e-12)


class Step(nn.Module):
    """A step alone, as a module that can be exported."""

    def __init__(self, model: MemoryNetwork) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, state: NetworkState) -> tuple[Tensor, NetworkState]:
        return self.model.step(inputs, state)


@pytest.mark.parametrize("name", ["NTM", "DNC", "MANN"])
def test_a_step_can_be_exported(plain: Build, name: str) -> None:
    """And the exported program computes the same, for another batch size as well."""
    model = plain(name, "lstm").eval()
    batch = torch.export.Dim("batch", min=2, max=64)
    start = pytree.tree_map(torch.clone, model.initial_state(3))
    shapes = {"inputs": {0: batch}, "state": pytree.tree_map(lambda part: {0: batch}, start)}
    program = torch.export.export(Step(model), (torch.randn(3, 3), start), dynamic_shapes=shapes)
    state, inputs = model.initial_state(5), torch.randn(5, 3)
    expected, after = model.step(inputs, state)
    logits, exported = program.module()(inputs, pytree.tree_map(torch.clone, state))
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(exported, after)


def test_a_detached_state_holds_no_graph(double: Build, name: str, inputs: Tensor) -> None:
    _, state = double(name, "lstm")(inputs)
    assert any(part.requires_grad for part in pytree.tree_leaves(state))
    detached = state.detach()
    assert isinstance(detached, NetworkState) and not any(part.requires_grad for part in pytree.tree_leaves(detached))
    torch.testing.assert_close(detached.memory, state.memory.detach(), rtol=0, atol=0)
