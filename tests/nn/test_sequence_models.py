"""What every sequence model promises: explicit state, inert padding, and a trace of what forward computes."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils import _pytree as pytree

from ntm_lab.nn import LSTM

LENGTHS = torch.tensor([3, 1, 5, 2])  # all of them below the six steps of `inputs`, and not in order
EXISTS = torch.arange(6) < LENGTHS.unsqueeze(1)
EXACT = {"rtol": 0, "atol": 1e-12}


def rows(state: Any, index: Any) -> Any:
    """A state of some of the batch's sequences."""
    return pytree.tree_map(lambda part: part[index], state)


def gradients(model: nn.Module, loss: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, list(model.parameters()))


def loss_of(logits: Tensor) -> Tensor:
    """Any function of the logits (steps, O) in which no two steps are alike."""
    return (logits.sin() * torch.arange(1, len(logits) + 1).unsqueeze(1)).sum()


def loss_of_state(state: Any) -> Tensor:
    parts = [part for part in pytree.tree_leaves(state) if part.is_floating_point()]
    return torch.stack([part.square().sum() for part in parts]).sum()


def assert_same_state(model: nn.Module, state: Any, other: Any, inputs: Tensor) -> None:
    """By their numbers or, where one remembers padding that counts for nothing, by what comes next."""
    if [part.shape for part in pytree.tree_leaves(state)] == [part.shape for part in pytree.tree_leaves(other)]:
        assert_close(state, other, **EXACT)
    else:
        assert_close(model(inputs, state)[0], model(inputs, other)[0], **EXACT)


def test_two_pieces_equal_the_whole(model: nn.Module, inputs: Tensor) -> None:
    whole, end = model(inputs)
    first, middle = model(inputs[:, :4])
    second, end_of_second = model(inputs[:, 4:], middle)
    assert_close(torch.cat((first, second), 1), whole, **EXACT)
    assert_close(end_of_second, end, **EXACT)


def test_padded_batch_equals_its_sequences_one_by_one(model: nn.Module, inputs: Tensor) -> None:
    logits, state = model(inputs, lengths=LENGTHS)
    total = torch.zeros(())
    for row, length in enumerate(LENGTHS.tolist()):
        alone, state_alone = model(inputs[row : row + 1, :length])
        assert_close(logits[row, :length], alone[0], **EXACT)
        assert_same_state(model, rows(state, slice(row, row + 1)), state_alone, inputs[:1])
        total = total + loss_of(alone[0]) + loss_of_state(state_alone)
    together = loss_of_state(state) + sum(loss_of(logits[row, :length]) for row, length in enumerate(LENGTHS.tolist()))
    expected = gradients(model, total)
    assert all(gradient.any() for gradient in expected)
    assert_close(gradients(model, together), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("beyond", [1e30, -1e30, float("nan")])
def test_what_lies_past_the_end_changes_nothing(model: nn.Module, inputs: Tensor, beyond: float) -> None:
    filled = inputs.masked_fill(~EXISTS.unsqueeze(2), beyond)
    (logits, state), (expected, expected_state) = (model(given, lengths=LENGTHS) for given in (filled, inputs))
    assert torch.equal(logits[EXISTS], expected[EXISTS])
    assert_close(state, expected_state, rtol=0, atol=0)
    assert_close(gradients(model, loss_of(logits[EXISTS])), gradients(model, loss_of(expected[EXISTS])), rtol=0, atol=0)


def test_order_of_the_batch_does_not_matter(model: nn.Module, inputs: Tensor) -> None:
    order = torch.tensor([2, 0, 3, 1])
    logits, state = model(inputs, lengths=LENGTHS)
    permuted, permuted_state = model(inputs[order], lengths=LENGTHS[order])
    assert_close(permuted[EXISTS[order]], logits[order][EXISTS[order]], **EXACT)
    assert_close(permuted_state, rows(state, order), **EXACT)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "padded"])
def test_trace_has_the_logits_of_forward(model: nn.Module, inputs: Tensor, lengths: Tensor | None) -> None:
    logits, _ = model(inputs, lengths=lengths)
    assert torch.equal(model.trace(inputs, lengths=lengths, signals=())["logits"], logits)
    assert_close(model.trace(inputs, lengths=lengths)["logits"], logits, **EXACT)


def test_trace_goes_on_from_a_state(model: nn.Module, inputs: Tensor) -> None:
    _, middle = model(inputs[:, :4])
    whole, rest = model.trace(inputs), model.trace(inputs[:, 4:], middle)
    for name, signal in rest.items():
        assert_close(signal, whole[name][:, 4:], **EXACT)


def test_bits_of_state_are_those_of_the_state(model: nn.Module, inputs: Tensor) -> None:
    state = pytree.tree_leaves(model(inputs)[1])
    numbers = sum(part[0].numel() for part in state if part.is_floating_point())
    assert model.state_bits(inputs.shape[1]) == 32 * numbers > 0


@pytest.mark.parametrize("layers", [1, 2])
def test_an_lstm_that_is_not_packed_learns_the_same(layers: int, inputs: Tensor) -> None:
    """`trace`, on which training rests, with the padding computed or left out; `forward` is the same code in both."""
    models = [LSTM(inputs.shape[2], 2, 5, layers, packed).double() for packed in (True, False)]
    models[1].load_state_dict(models[0].state_dict())
    packed, padded = (model.trace(inputs, lengths=LENGTHS)["logits"][EXISTS] for model in models)
    assert_close(padded, packed, **EXACT)
    expected, found = (gradients(model, loss_of(out)) for model, out in zip(models, (packed, padded), strict=True))
    assert_close(found, expected, rtol=0, atol=1e-10)
    (logits, state), (other, other_state) = (model(inputs, lengths=LENGTHS) for model in models)
    assert torch.equal(logits, other) and all(map(torch.equal, state, other_state))


def test_packed_is_true_or_false() -> None:
    with pytest.raises(ValueError, match=r"^model.packed=1: must be true or false"):
        LSTM(3, 2, packed=1)  # type: ignore[arg-type]
