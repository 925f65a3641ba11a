"""What every sequence model takes and refuses: batches, single sequences, packed ones, lengths."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from torch.testing import assert_close
from torch.utils import _pytree as pytree

from ntm_lab.nn.baselines import Transformer

WIDTH = 3
LENGTHS = torch.tensor([3, 6, 1, 4])
GOOD = torch.zeros(4, 6, WIDTH, dtype=torch.float64)


def test_a_single_sequence_is_a_batch_of_one(model: nn.Module, inputs: Tensor) -> None:
    batch, end = model(inputs[:1])
    logits, state = model(inputs[0])
    assert_close(logits, batch[0], rtol=0, atol=1e-12)
    assert_close(state, pytree.tree_map(lambda part: part[0], end), rtol=0, atol=1e-12)
    again, _ = model(inputs[1], state)
    assert_close(again, model(inputs[1:2], end)[0][0], rtol=0, atol=1e-12)
    assert_close(model.trace(inputs[0])["logits"], logits, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sort", [False, True], ids=["not sorted", "sorted"])
def test_packed_sequences_come_back_packed(model: nn.Module, inputs: Tensor, sort: bool) -> None:
    lengths = LENGTHS.sort(descending=True).values if sort else LENGTHS
    packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=sort)
    logits, state = model(packed)
    expected, end = model(inputs, lengths=lengths)
    assert isinstance(logits, PackedSequence) and torch.equal(logits.batch_sizes, packed.batch_sizes)
    padded, found = pad_packed_sequence(logits, batch_first=True)
    assert found.tolist() == lengths.tolist()
    exists = torch.arange(inputs.shape[1]) < lengths.unsqueeze(1)
    assert_close(padded[exists], expected[exists], rtol=0, atol=1e-12)
    assert_close(state, end, rtol=0, atol=1e-12)


def test_no_step_at_all_changes_nothing(model: nn.Module, inputs: Tensor) -> None:
    _, start = model(inputs)
    logits, state = model(inputs[:, :0], start)
    assert logits.shape == (4, 0, 2)
    assert_close(state, start, rtol=0, atol=0)
    assert model.trace(inputs[:, :0])["logits"].shape == (4, 0, 2)


def test_a_sequence_of_length_0_keeps_its_state(model: nn.Module, inputs: Tensor) -> None:
    _, start = model(inputs)
    _, state = model(inputs, start, torch.tensor([0, 6, 0, 2]))
    if isinstance(model, Transformer):  # which remembers padding, that counts for nothing
        kept, before = (pytree.tree_map(lambda part: part[[0, 2]], one) for one in (state, start))
        assert_close(model(inputs[:2], kept)[0], model(inputs[:2], before)[0], rtol=0, atol=1e-12)
        return
    rows = pytree.tree_map(lambda new, old: bool((new[[0, 2]] == old[[0, 2]]).all()), state, start)
    assert all(pytree.tree_leaves(rows))
    assert not all(torch.equal(a[1], b[1]) for a, b in zip(*map(pytree.tree_leaves, (state, start)), strict=True))


REFUSED: list[tuple[Any, Any, type[Exception], str]] = [
    (np.zeros((4, 6, WIDTH)), None, TypeError, "inputs: must be a tensor or a PackedSequence, not ndarray"),
    (GOOD.float(), None, TypeError, "inputs: dtype is torch.float32, must be the model's torch.float64"),
    (GOOD.long(), None, TypeError, "inputs: dtype is torch.int64"),
    (GOOD[..., 1:], None, ValueError, f"inputs: shape is (4, 6, {WIDTH - 1}), must be (B, T, {WIDTH})"),
    (GOOD[0, 0], None, ValueError, f"inputs: shape is ({WIDTH},), must be"),
    (GOOD, [6, 2, 1, 3], TypeError, "lengths: must be a tensor of whole numbers, not list"),
    (GOOD, torch.ones(4), TypeError, "lengths: must be a tensor of whole numbers, not torch.float32"),
    (GOOD, torch.tensor([6, 2]), ValueError, "lengths: shape is (2,), must be (4,)"),
    (GOOD, torch.tensor([7, 2, 1, 3]), ValueError, "lengths=[7, 2, 1, 3]: must be from 0 to the 6 steps"),
    (GOOD, torch.tensor([6, -2, 1, 3]), ValueError, "lengths=[6, -2, 1, 3]: must be from 0"),
    (GOOD[0], torch.tensor([6]), ValueError, "lengths: must be None for a single sequence"),
]


def test_what_it_cannot_take_is_said_in_one_line(model: nn.Module) -> None:
    for inputs, lengths, error, message in REFUSED:
        for attempt in (model, model.trace):
            with pytest.raises(error, match="^" + re.escape(message)) as raised:
                attempt(inputs, lengths=lengths)
            assert "\n" not in str(raised.value)


def test_it_stands_in_for_an_lstm(plain: Callable[..., nn.Module], name: str) -> None:
    """In a module of someone's own that was written for nn.LSTM(batch_first=True)."""

    class Regressor(nn.Module):
        def __init__(self, recurrent: nn.Module) -> None:
            super().__init__()
            self.recurrent, self.head = recurrent, nn.Linear(2, 1)

        def forward(self, inputs: Tensor) -> Tensor:
            hidden, _ = self.recurrent(inputs)
            return self.head(hidden[:, -1])

    torch.manual_seed(0)
    model = Regressor(plain(name, "lstm"))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    inputs = torch.randn(32, 5, WIDTH)
    targets = inputs.sum((1, 2)).tanh().unsqueeze(1)
    losses = []
    for _ in range(60):
        loss = nn.functional.mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
