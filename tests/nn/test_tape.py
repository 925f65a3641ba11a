"""The stack and the tape, moved by hand, and the tape's length oracle."""

from functools import partial

import pytest
import torch
from torch.testing import assert_close

from ntm_lab.nn import StackAccess, TapeAccess, TapeRNN
from ntm_lab.nn.contents import Constant
from ntm_lab.tasks.languages import Reverse

ZEROS = partial(Constant, value=0.0)


def moved(access: StackAccess | TapeAccess, actions: list[int], jump: int = 0) -> list[list[float]]:
    """The memory after pure actions, whose steps write 1, 2, 3, …; a slot has one number."""
    state = access.initial_state(1)
    if isinstance(access, TapeAccess):
        state = access.with_jump(state, torch.tensor([jump]))
    after = []
    for step, action in enumerate(actions, 1):
        heads = {"action": torch.eye(access.layout.fields["action"].size)[action].view(1, 1, -1)}
        reads, state, _ = access.step(heads | {"add": torch.tensor([[[float(step)]]])}, state)
        assert torch.equal(reads[0, 0], state.memory[0, 0])
        after.append(state.memory[0, :, 0].tolist())
    return after


def test_a_stack_is_pushed_and_popped() -> None:
    push, pop, stay = range(3)
    _, two, kept, popped = moved(StackAccess(4, 1, init=ZEROS), [push, push, stay, pop])
    assert two == kept == [2, 1, 0, 0] and popped == [1, 0, 0, 0]


def test_a_head_writes_and_moves_over_a_tape() -> None:
    stay, right, left, far_right, far_left = range(5)
    plain = TapeAccess(4, 1, init=ZEROS)
    assert moved(plain, [stay, right, left]) == [[1, 0, 0, 0], [0, 0, 0, 2], [2, 3, 0, 0]]
    told = TapeAccess(5, 1, init=ZEROS, oracle=True)
    assert moved(told, [right, far_right, far_left], jump=2) == [[0, 0, 0, 0, 1], [0, 0, 1, 2, 0], [2, 0, 3, 0, 1]]
    assert moved(told, [far_right], jump=7) == moved(told, [far_right], jump=2)  # a ring


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_the_oracle_is_the_length_of_the_word(dtype: torch.dtype) -> None:
    """Beyond 256, where bfloat16 has no odd numbers; padding is no part of the word."""
    task, lengths = Reverse(), torch.tensor([300, 301, 7])
    batch = task.sample(3, {"length": lengths}, torch.Generator().manual_seed(0))
    model = TapeRNN(task.input_size, 2, "recurrent", slots=400, width=1, size=2, oracle=True).to(dtype)
    with torch.no_grad():
        _, state = model(batch.inputs[:, :1].to(dtype), model.told(model.initial_state(3), lengths))
        assert state.access.jump.argmax(1).tolist() == lengths.tolist()
        short = task.sample(3, {"length": torch.tensor([3, 5, 1])}, torch.Generator().manual_seed(0))
        _, state = model(short.inputs.to(dtype), lengths=short.lengths)
    assert state.access.jump.argmax(1).tolist() == [3, 5, 1]
    assert model.title == "Tape, recurrent controller, length oracle"


def test_a_tape_that_was_told_goes_on_in_pieces() -> None:
    """The whole input tells the length by itself; of a piece somebody has to."""
    task = Reverse()
    batch = task.sample(2, {"length": torch.tensor([3, 5])}, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    model = TapeRNN(task.input_size, 2, "recurrent", slots=6, size=5, oracle=True).double()
    inputs = batch.inputs.double()
    whole, end = model(inputs, lengths=batch.lengths)
    start = model.told(model.initial_state(2), torch.tensor([3, 5]))
    first, middle = model(inputs[:, :4], start)
    second, last = model(inputs[:, 4:], middle, batch.lengths - 4)
    exists = torch.arange(inputs.shape[1]) < batch.lengths.unsqueeze(1)
    assert_close(torch.cat((first, second), 1)[exists], whole[exists], rtol=0, atol=1e-12)
    assert_close(last, end, rtol=0, atol=1e-12)
    untold, _ = model(inputs[:, :4], model.initial_state(2))
    assert (untold - first).abs().max() > 1e-6  # it makes use of the length
