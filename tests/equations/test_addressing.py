"""Every stage of addressing: against the paper's equations, its invariants, its numerics and its gradients."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from ntm_lab.equations import content_weighting, interpolate, sharpen, shift_weighting


class HeadParameters(NamedTuple):
    """What heads are addressed by."""

    key: Tensor
    strength: Tensor
    gate: Tensor
    shift: Tensor
    sharpness: Tensor


def address(memory: Tensor, previous: Tensor, head: HeadParameters) -> Tensor:
    """All stages, one after the other."""
    gated = interpolate(content_weighting(memory, head.key, head.strength), previous, head.gate)
    return sharpen(shift_weighting(gated, head.shift), head.sharpness)


B, K, N, W = 2, 3, 6, 4
SHIFTS = [1, 3, 5]
Vector = Sequence[float]


def drawn(shifts: int = 3, seed: int = 0) -> tuple[Tensor, Tensor, HeadParameters]:
    """Memory, last weightings and heads at random; rows and keys too long to feel the guard of the norm."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    head = HeadParameters(
        key=1e3 * normal(B, K, W),
        strength=3 * normal(B, K, 1).exp(),
        gate=normal(B, K, 1).sigmoid(),
        shift=normal(B, K, shifts).softmax(-1),
        sharpness=1 + normal(B, K, 1).exp(),
    )
    return 1e3 * normal(B, N, W), normal(B, K, N).softmax(-1), head


# Graves, Wayne, Danihelka 2014, for one head of one sequence


def equations_5_and_6(memory: Sequence[Vector], key: Vector, strength: Vector) -> list[float]:
    def length(vector: Vector) -> float:
        return math.sqrt(sum(entry**2 for entry in vector))

    powers = []
    for row in memory:
        cosine = sum(a * b for a, b in zip(key, row, strict=True)) / (length(key) * length(row))
        powers.append(math.exp(strength[0] * cosine))
    return [power / sum(powers) for power in powers]


def equation_7(content: Vector, previous: Vector, gate: Vector) -> list[float]:
    return [gate[0] * new + (1 - gate[0]) * old for new, old in zip(content, previous, strict=True)]


def equation_8(weighting: Vector, shift: Vector) -> list[float]:
    reach = len(shift) // 2
    shifted = [0.0] * len(weighting)
    for i in range(len(weighting)):
        for offset in range(-reach, reach + 1):
            shifted[i] += weighting[(i - offset) % len(weighting)] * shift[offset + reach]
    return shifted


def equation_9(weighting: Vector, sharpness: Vector) -> list[float]:
    powers = [weight ** sharpness[0] for weight in weighting]
    return [power / sum(powers) for power in powers]


def equations_5_to_9(memory: Sequence[Vector], previous: Vector, *head: Vector) -> list[float]:
    key, strength, gate, shift, sharpness = head
    gated = equation_7(equations_5_and_6(memory, key, strength), previous, gate)
    return equation_9(equation_8(gated, shift), sharpness)


def address_all(memory: Tensor, previous: Tensor, *head: Tensor) -> Tensor:
    return address(memory, previous, HeadParameters(*head))


STAGES: list[Any] = [
    pytest.param(content_weighting, equations_5_and_6, lambda m, w, h: (m, h.key, h.strength), id="content"),
    pytest.param(interpolate, equation_7, lambda m, w, h: (w.flip(-1), w, h.gate), id="interpolate"),
    pytest.param(shift_weighting, equation_8, lambda m, w, h: (w, h.shift), id="shift"),
    pytest.param(sharpen, equation_9, lambda m, w, h: (w, h.sharpness), id="sharpen"),
    pytest.param(address_all, equations_5_to_9, lambda m, w, h: (m, w, *h), id="address"),
]
Stage = Callable[..., Tensor]
each_stage = pytest.mark.parametrize(("stage", "equation", "choose"), STAGES)


@pytest.mark.parametrize("shifts", SHIFTS)
@each_stage
def test_stage_follows_its_equation(stage: Stage, equation: Callable[..., Any], choose: Any, shifts: int) -> None:
    arguments = choose(*drawn(shifts))
    parts = [part if part.shape[1] == K else part.unsqueeze(1).expand(-1, K, -1, -1) for part in arguments]
    expected = [[equation(*(part[b, k].tolist() for part in parts)) for k in range(K)] for b in range(B)]
    np.testing.assert_allclose(stage(*arguments).numpy(), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("shifts", SHIFTS)
@each_stage
def test_result_is_a_weighting(stage: Stage, equation: Any, choose: Any, shifts: int, dtype: torch.dtype) -> None:
    for seed in range(5):
        weighting = stage(*(part.to(dtype) for part in choose(*drawn(shifts, seed))))
        assert weighting.shape == (B, K, N)
        assert (weighting >= 0).all()
        torch.testing.assert_close(weighting.sum(-1), torch.ones(B, K, dtype=dtype))


@pytest.mark.parametrize("shifts", SHIFTS)
@each_stage
def test_gradients(stage: Stage, equation: Any, choose: Any, shifts: int) -> None:
    memory, previous, head = drawn(shifts)
    arguments = choose(memory / 1e3, previous, head._replace(key=head.key / 1e3))
    assert torch.autograd.gradcheck(stage, [part.clone().requires_grad_() for part in arguments])


@pytest.mark.parametrize(("shifts", "offset"), [(s, o) for s in SHIFTS for o in range(-(s // 2), s // 2 + 1)])
def test_shift_moves_by_its_offset_and_wraps(shifts: int, offset: int) -> None:
    """One head on each slot, all of them shifted alike."""
    shift = torch.zeros(1, N, shifts)
    shift[..., shifts // 2 + offset] = 1
    everywhere = torch.eye(N).unsqueeze(0)
    assert torch.equal(shift_weighting(everywhere, shift), everywhere.roll(offset, -1))


def test_without_strength_content_is_uniform() -> None:
    memory, _, head = drawn()
    weighting = content_weighting(memory, head.key, torch.zeros_like(head.strength))
    torch.testing.assert_close(weighting, torch.full_like(weighting, 1 / N))


def test_sharpness_1_leaves_a_weighting_as_it_is() -> None:
    _, weighting, head = drawn()
    torch.testing.assert_close(sharpen(weighting, torch.ones_like(head.sharpness)), weighting, rtol=0, atol=1e-10)


def test_gate_1_takes_the_content_and_0_the_last_weighting() -> None:
    _, previous, head = drawn()
    content = previous.roll(1, -1)
    assert torch.equal(interpolate(content, previous, torch.ones_like(head.gate)), content)
    assert torch.equal(interpolate(content, previous, torch.zeros_like(head.gate)), previous)


@pytest.mark.parametrize("zero", ["row", "memory", "key"])
def test_a_zero_vector_is_similar_to_nothing(zero: str) -> None:
    """Its cosine counts as 0, like that of an orthogonal row, and the gradient is finite."""
    memory = torch.tensor([[[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]])
    key = torch.tensor([[[1.0, 0.0]]])
    if zero == "memory":
        memory.zero_()
    if zero == "key":
        key.zero_()
    memory.requires_grad_()
    key.requires_grad_()
    weighting = content_weighting(memory, key, torch.ones(1, 1, 1))
    powers = torch.tensor([1.0, 1.0, math.e if zero == "row" else 1.0])
    torch.testing.assert_close(weighting[0, 0], powers / powers.sum())
    weighting[0, 0, 2].backward()
    assert memory.grad is not None and memory.grad.isfinite().all()
    assert key.grad is not None and key.grad.isfinite().all()


ONE_HOT = torch.tensor([1.0] + [0.0] * 127)
NEARLY_ONE_HOT = torch.tensor([1.0] + [1e-9] * 127)
UNIFORM = torch.full((128,), 1 / 128)


@pytest.mark.parametrize("sharpness", [1.0, 50.0])
@pytest.mark.parametrize(
    ("weighting", "expected"),
    [
        pytest.param(ONE_HOT, ONE_HOT, id="one-hot"),
        pytest.param(NEARLY_ONE_HOT, ONE_HOT, id="nearly one-hot"),
        pytest.param(UNIFORM, UNIFORM, id="uniform"),  # (1/128)^50 is 0 in float32
    ],
)
def test_sharpening_does_not_underflow(weighting: Tensor, expected: Tensor, sharpness: float) -> None:
    weighting = weighting.clone().view(1, 1, -1).requires_grad_()
    power = torch.full((1, 1, 1), sharpness, requires_grad=True)
    sharpened = sharpen(weighting, power)
    torch.testing.assert_close(sharpened[0, 0], expected, rtol=1e-5, atol=1e-8)
    sharpened[0, 0, 0].backward()
    assert weighting.grad is not None and weighting.grad.isfinite().all()
    assert power.grad is not None and power.grad.isfinite().all()


def test_address_from_one_slot_by_location_alone() -> None:
    """With the gate shut and a shift of one, every head goes on to the next slot; zeros all around do no harm."""
    memory, _, head = (part.float() if isinstance(part, Tensor) else part for part in drawn())
    previous = torch.eye(N)[:K].expand(B, -1, -1)
    shift = torch.tensor([0.0, 0.0, 1.0]).expand(B, K, -1)
    parts = [part.float().requires_grad_() for part in head._replace(gate=torch.zeros(B, K, 1), shift=shift)]
    weighting = address(memory, previous, HeadParameters(*parts))
    torch.testing.assert_close(weighting, previous.roll(1, -1))
    weighting[..., 1].sum().backward()
    assert all(part.grad is not None and part.grad.isfinite().all() for part in parts)
