"""Today's sequence models beside plain programs of their equations."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from ntm_lab.nn.baselines import LinearMemory, Transformer
from ntm_lab.nn.baselines.linear_memory import CHUNK, linear_memory


def by_steps(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, memory: Tensor, delta: bool) -> tuple:
    """S_t = S_{t−1} diag(α_t) (I − β_t k_t k_tᵀ) + β_t v_t k_tᵀ of one sequence and one head, as it is written."""
    reads = []
    for step in range(len(q)):
        memory = memory @ torch.diag(log_decay[step].exp().expand(k.shape[1]))
        if delta:
            memory = memory @ (torch.eye(k.shape[1]).double() - beta[step] * torch.outer(k[step], k[step]))
        memory = memory + beta[step] * torch.outer(v[step], k[step])
        reads.append(memory @ q[step])
    return torch.stack(reads), memory


@pytest.mark.parametrize("delta", [False, True])
@pytest.mark.parametrize("rates", [1, 4])
@pytest.mark.parametrize("steps", [1, CHUNK, 2 * CHUNK + 5])
def test_chunks_equal_the_recurrence(steps: int, rates: int, delta: bool) -> None:
    draw = torch.Generator().manual_seed(steps)
    q, k, v = torch.randn(3, 2, 3, steps, 4, generator=draw, dtype=torch.float64)
    k = torch.nn.functional.normalize(k, dim=3)
    log_decay = torch.rand(2, 3, steps, rates, generator=draw).double().log()
    beta = 2 * torch.rand(2, 3, steps, 1, generator=draw).double()
    memory = torch.randn(2, 3, 4, 4, generator=draw, dtype=torch.float64)
    reads, end = linear_memory(q, k, v, log_decay, beta, memory, delta)
    for row in range(2):
        for head in range(3):
            parts = [part[row, head] for part in (q, k, v, log_decay, beta, memory)]
            expected, expected_end = by_steps(*parts, delta)
            assert_close(reads[row, head], expected, rtol=1e-9, atol=1e-9)
            assert_close(end[row, head], expected_end, rtol=1e-9, atol=1e-9)


def test_a_delta_memory_forgets_the_old_value_of_a_key() -> None:
    key = torch.tensor([1.0, 0.0]).expand(1, 1, 2, 2)
    values = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    ones, zeros = torch.ones(1, 1, 2, 1), torch.zeros(1, 1, 2, 1)
    reads = {
        delta: linear_memory(key, key, values, zeros, ones, torch.zeros(1, 1, 2, 2), delta)[0][0, 0, 1].tolist()
        for delta in (False, True)
    }
    assert reads == {False: [1, 1], True: [0, 1]}


@pytest.mark.parametrize("positions", ["rotary", "alibi", "sinusoidal", "randomised", "none"])
def test_a_transformer_attends_as_the_formula_says(positions: str) -> None:
    """One layer, one head at a time, by loops over steps and heads."""
    torch.manual_seed(0)
    model = Transformer(3, 2, size=8, layers=1, heads=2, positions=positions).double().eval()
    inputs = torch.randn(1, 7, 3, dtype=torch.float64)
    (attention,) = model.mixers
    place = torch.arange(7).unsqueeze(0)
    shown = model.norms[0](model.embed(inputs, place))
    expected = torch.zeros(7, 8, dtype=torch.float64)
    q, k, v = attention.seen(shown)[0].view(7, 3, 2, 4).unbind(1)
    rates = torch.tensor([1.0, 1e-2]).double()
    for head in range(2):
        for step in range(7):
            scores = []
            for other in range(step + 1):
                query, key = q[step, head], k[other, head]
                if positions == "rotary":  # only the distance counts
                    turn = torch.polar(torch.ones(2).double(), (step - other) * rates)
                    query, key = (torch.complex(part[:2], part[2:]) for part in (query, key))
                    score = (query * turn.conj().conj() * key.conj()).real.sum() / 2
                else:
                    score = query @ key / 2
                scores.append(score - (step - other) * 2.0 ** (-4 * (head + 1)) * (positions == "alibi"))
            weights = torch.stack(scores).softmax(0)
            expected[step, 4 * head : 4 * head + 4] = weights @ v[: step + 1, head]
    mixed, _ = attention(shown, attention.initial_state(1), place, None)
    assert_close(mixed[0], attention.output(expected))


def test_without_positions_only_the_set_of_the_past_counts() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(1, 5, 3)
    swapped = inputs[:, [1, 0, 2, 3, 4]]
    for positions, alike in (("none", True), ("rotary", False), ("alibi", False), ("sinusoidal", False)):
        model = Transformer(3, 2, layers=1, positions=positions).eval()
        assert torch.allclose(model(inputs)[0][:, -1], model(swapped)[0][:, -1], atol=1e-6) == alike


def test_randomised_positions_grow_and_reach_far_in_training_alone() -> None:
    model = Transformer(3, 2, positions="randomised", furthest=100)
    seen = torch.zeros(500, dtype=torch.int64)
    torch.manual_seed(0)
    numbers = model.positions(seen, 10)
    assert (numbers.diff(dim=1) >= 1).all() and numbers.max() <= 100
    assert numbers[:, -1].max() > 60 and numbers[:, -1].min() < 20
    assert model.eval().positions(seen, 10)[0].tolist() == [*range(10)]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Transformer(3, 2, size=9), r"model\.size=9: must be a multiple of 2 × model\.heads=4"),
        (lambda: Transformer(3, 2, positions="learned"), r"model\.positions=learned: must be one of rotary, alibi, "),
        (lambda: LinearMemory(3, 2, size=9), r"model\.size=9: must be a multiple of model\.heads=4"),
        (lambda: LinearMemory(3, 2, forget="all"), r"model\.forget=all: must be one of none, fixed, scalar, vector"),
    ],
)
def test_bad_settings(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()
