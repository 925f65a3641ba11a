"""Today's sequence models beside plain programs of their equations."""

import inspect

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from ntm_lab.nn import NTM
from ntm_lab.nn.baselines import XLSTM, LinearMemory, Mamba2, Transformer
from ntm_lab.nn.baselines.linear_memory import CHUNK, linear_memory
from ntm_lab.nn.baselines.mamba2 import StateSpace
from ntm_lab.nn.baselines.xlstm import MatrixLSTM, ScalarLSTM


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
        (lambda: Transformer(3, 2, kernel=0), r"model\.kernel=0: must be a whole number of at least 1"),
        (lambda: LinearMemory(3, 2, size=9), r"model\.size=9: must be a multiple of model\.heads=4"),
        (lambda: Mamba2(3, 2, heads=3), r"model\.heads=3: must divide model\.expand × model\.size = 128"),
        (lambda: XLSTM(3, 2, kind="lstm"), r"model\.kind=lstm: must be one of mlstm, slstm, both"),
        (lambda: XLSTM(3, 2, size=9, kind="slstm"), r"model\.size=9: must be a multiple of model\.heads=4"),
        (lambda: LinearMemory(3, 2, forget="all"), r"model\.forget=all: must be one of none, fixed, scalar, vector"),
    ],
)
def test_bad_settings(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()


class OwnMachine(NTM):
    def __init__(self, *arguments, **settings) -> None:
        super().__init__(*arguments, **settings)


@pytest.mark.parametrize(
    "model, names",
    [
        (Transformer, {"size", "layers", "encoder", "dropout", "positions", "furthest", "heads", "kernel"}),
        (LinearMemory, {"size", "layers", "encoder", "dropout", "heads", "forget", "delta", "negative", "kernel"}),
        (XLSTM, {"size", "layers", "encoder", "dropout", "kind", "heads", "kernel"}),
    ],
)
def test_a_signature_names_the_keywords_that_are_handed_on(model, names) -> None:
    assert {*inspect.signature(model).parameters} == {"input_size", "output_size"} | names


def test_so_does_that_of_a_class_with_a_constructor_of_its_own() -> None:
    """`ntm_lab.runs.settings` would refuse the other keys."""
    assert {*inspect.signature(OwnMachine).parameters} == {*inspect.signature(NTM).parameters}


def convolved(convolution: torch.nn.Conv1d, inputs: Tensor) -> Tensor:
    """A causal convolution (T, size), step by step."""
    (_, _, kernel), zeros = convolution.weight.shape, torch.zeros_like(inputs[:1])
    padded = torch.cat([zeros] * (kernel - 1) + [inputs])
    steps = [(padded[step : step + kernel].T * convolution.weight[:, 0]).sum(1) for step in range(len(inputs))]
    return torch.stack(steps) + convolution.bias


def sample(layer: torch.nn.Module, size: int) -> tuple[torch.nn.Module, Tensor]:
    """A layer in float64 whose every weight is at random, and inputs (T, size) of more steps than a chunk has."""
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in layer.double().parameters():
            part.normal_(0, 0.5, generator=draw)
    return layer, torch.randn(CHUNK + 5, size, generator=draw, dtype=torch.float64)


def outputs_of(layer: torch.nn.Module, inputs: Tensor) -> Tensor:
    return layer(inputs[None], layer.initial_state(1), torch.zeros(0), None)[0][0]


def test_mamba2_is_its_recurrence() -> None:
    """S_t = exp(−Δ A) S_{t−1} + Δ v kᵀ, y = S q + D v, one head and step after the other."""
    layer, inputs = sample(StateSpace(6, heads=2, state=3), 6)
    gate, values, steps = layer.seen(inputs).split([12, 18, 2], 1)
    v, k, q = torch.nn.functional.silu(convolved(layer.convolution, values)).split([12, 3, 3], 1)
    delta = torch.log1p((steps + layer.step_bias).exp())
    reads = torch.zeros_like(v)
    for head in range(2):
        part, memory = slice(6 * head, 6 * head + 6), torch.zeros(6, 3).double()
        for t in range(len(inputs)):
            decay = torch.exp(-delta[t, head] * layer.log_decay[head].exp())
            memory = decay * memory + delta[t, head] * torch.outer(v[t, part], k[t])
            reads[t, part] = memory @ q[t] + layer.skip[head] * v[t, part]
    gated = reads * gate * gate.sigmoid()
    normed = gated / (gated.square().mean(1, keepdim=True) + 1e-5).sqrt() * layer.norm.weight
    assert_close(outputs_of(layer, inputs), layer.output(normed), rtol=1e-9, atol=1e-9)


def test_an_mlstm_is_its_recurrence() -> None:
    """C_t = f C_{t−1} + i v kᵀ, n_t = f n_{t−1} + i k, h = C q / max(|nᵀ q|, 1), with no level and no guard."""
    layer, inputs = sample(MatrixLSTM(6, heads=3), 6)
    seen, gate = layer.up(inputs).split(12, 1)
    hidden = torch.nn.functional.silu(convolved(layer.convolution, seen))
    q, k, v = (
        torch.cat([part.weight[at : at + 4, :, 0] @ source[:, at : at + 4].T for at in (0, 4, 8)]).T
        for part, source in ((layer.query, hidden), (layer.key, hidden), (layer.value, seen))
    )
    gates = layer.gates(torch.cat((q, k, v), 1))
    enter, keep = gates[:, :3].exp(), gates[:, 3:].sigmoid()
    reads = torch.zeros_like(v)
    for head in range(3):
        part, memory, total = slice(4 * head, 4 * head + 4), torch.zeros(4, 4).double(), torch.zeros(4).double()
        for t in range(len(inputs)):
            key = k[t, part] / 2  # √ of the width
            memory = keep[t, head] * memory + enter[t, head] * torch.outer(v[t, part], key)
            total = keep[t, head] * total + enter[t, head] * key
            reads[t, part] = memory @ q[t, part] / (total @ q[t, part]).abs().clamp(min=1)
        reads[:, part] -= reads[:, part].mean(1, keepdim=True)
        reads[:, part] /= (reads[:, part].square().mean(1, keepdim=True) + 1e-5).sqrt()
    expected = layer.down((reads * layer.scale + layer.skip * hidden) * gate * gate.sigmoid())
    assert_close(outputs_of(layer, inputs), expected, rtol=1e-4, atol=1e-4)  # the guard is 1e-6 of e^level


def test_an_slstm_is_its_recurrence() -> None:
    """c_t = f c_{t−1} + i z, n_t = f n_{t−1} + i, h = o c / n, with no level."""
    layer, inputs = sample(ScalarLSTM(6, heads=2), 6)
    hidden = torch.nn.functional.silu(convolved(layer.convolution, inputs))
    weights = [*layer.gates.weight[..., 0].split(6), *layer.cells.weight[..., 0].split(6)]  # of i, f, z, o: (6, 3)
    cell, total, output = torch.zeros(3, 6).double()
    outputs = []
    for t in range(len(inputs)):
        driven = []
        for gate, (weight, source) in enumerate(zip(weights, (hidden, hidden, inputs, inputs), strict=True)):
            of_head = []
            for head in (slice(0, 3), slice(3, 6)):
                recurrent = layer.recurrent[head.start // 3, :, 3 * gate : 3 * gate + 3]
                of_head.append(weight[head] @ source[t, head] + output[head] @ recurrent)
            driven.append(torch.cat(of_head) + layer.bias[gate])
        enter, keep, new, show = driven[0].exp(), driven[1].sigmoid(), driven[2].tanh(), driven[3].sigmoid()
        cell, total = keep * cell + enter * new, keep * total + enter
        output = show * cell / total
        outputs.append(output)
    by_head = torch.stack(outputs).view(-1, 2, 3)
    normed = by_head - by_head.mean(2, keepdim=True)
    normed = normed / (normed.square().mean(2, keepdim=True) + 1e-5).sqrt()
    assert_close(outputs_of(layer, inputs), normed.flatten(1) * layer.scale, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layer", [MatrixLSTM, ScalarLSTM])
def test_exponential_gates_do_not_overflow(layer: type) -> None:
    """A gate of e^200, which float32 does not have, is as good as one of e^80."""
    built, inputs = sample(layer(6, heads=2), 6)
    built.float()
    bias = built.gates.bias if layer is MatrixLSTM else built.bias
    enter = bias.data[:2] if layer is MatrixLSTM else bias.data[0]
    outputs = []
    for level in (80.0, 200.0):
        enter.fill_(level)
        outputs.append(outputs_of(built, inputs.float()))
        outputs[-1].sum().backward()
        assert all(part.grad.isfinite().all() for part in built.parameters())
    assert_close(outputs[1], outputs[0], rtol=1e-3, atol=1e-3)
