"""GravesRMSProp against its equations in numpy, clipping by hand, schedules by hand."""

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import clip_grad_norm_

from ntm_lab.fast import updates
from ntm_lab.training.optim import (
    Adam,
    ClipElements,
    ClipNorm,
    Constant,
    Cosine,
    GravesRMSProp,
    HoldThenCosine,
    NoClip,
    Schedule,
)

SHAPES = [(4, 3), (5,), ()]


def random_tensors(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in SHAPES]


def random_steps(optimizer: torch.optim.Optimizer, seeds: range) -> None:
    """A step with random gradients for every seed."""
    for seed in seeds:
        for parameter, gradient in zip(optimizer.param_groups[0]["params"], random_tensors(seed), strict=True):
            parameter.grad = gradient
        optimizer.step()


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    """As it comes back from a checkpoint that may hold nothing but plain values and tensors."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_graves_rmsprop_follows_its_equations() -> None:
    lr, decay, momentum, eps = 0.01, 0.9, 0.8, 1e-3
    parameters = [Parameter(value) for value in random_tensors(0)]
    random_steps(GravesRMSProp(parameters, lr, decay, momentum, eps), range(1, 6))

    for index, start in enumerate(random_tensors(0)):
        weight = start.numpy().copy()
        square, mean, step = (np.zeros_like(weight) for _ in range(3))
        for seed in range(1, 6):
            gradient = random_tensors(seed)[index].numpy()
            square = decay * square + (1 - decay) * gradient**2
            mean = decay * mean + (1 - decay) * gradient
            step = momentum * step - lr * gradient / np.sqrt(square - mean**2 + eps)
            weight = weight + step
        np.testing.assert_allclose(parameters[index].detach().numpy(), weight, rtol=1e-12)


def test_graves_rmsprop_is_not_the_centered_one_of_pytorch() -> None:
    """On a gradient that varies little, eps outside the root lets PyTorch's take steps that are many times larger."""
    moved = {}
    for name, optimizer_class, settings in [
        ("graves", GravesRMSProp, {"decay": 0.95}),
        ("pytorch", torch.optim.RMSprop, {"alpha": 0.95, "centered": True}),
    ]:
        weight = Parameter(torch.zeros(1, dtype=torch.float64))
        optimizer = optimizer_class([weight], lr=1e-4, momentum=0.9, eps=1e-4, **settings)
        for _ in range(300):
            weight.grad = torch.full((1,), 1e-3, dtype=torch.float64)
            optimizer.step()
        moved[name] = -weight.item()
    assert 0 < 5 * moved["graves"] < moved["pytorch"]


def test_a_change_of_lr_acts_on_new_steps_only() -> None:
    """Δ goes on at momentum times what it was when lr falls to 0."""
    parameters = [Parameter(value) for value in random_tensors(0)]
    optimizer = GravesRMSProp(parameters, lr=0.1, momentum=0.5)
    random_steps(optimizer, range(1, 2))
    first = [parameter.detach() - start for parameter, start in zip(parameters, random_tensors(0), strict=True)]
    optimizer.param_groups[0]["lr"] = 0.0
    random_steps(optimizer, range(2, 3))
    for parameter, start, step in zip(parameters, random_tensors(0), first, strict=True):
        torch.testing.assert_close(parameter.detach(), start + 1.5 * step)


def test_a_large_constant_gradient_leaves_the_weights_finite() -> None:
    """n and ḡ² agree in the end, and rounding makes their difference negative by more than eps."""
    weight = Parameter(torch.zeros(1000))
    optimizer = GravesRMSProp([weight])
    weight.grad = torch.linspace(1e3, 1e4, 1000)
    for _ in range(600):
        optimizer.step()
    assert weight.isfinite().all()


def test_a_parameter_without_gradient_stays() -> None:
    moving, resting = Parameter(torch.ones(2)), Parameter(torch.ones(2))
    moving.grad = torch.ones(2)
    GravesRMSProp([moving, resting]).step()
    assert (moving < 1).all() and torch.equal(resting, torch.ones(2))


@pytest.mark.parametrize("optimizer_class", [GravesRMSProp, Adam], ids=lambda optimizer: optimizer.__name__)
@pytest.mark.parametrize("first_steps", [0, 3])
def test_optimizer_state_goes_through_a_checkpoint(
    optimizer_class: Callable[..., torch.optim.Optimizer], first_steps: int
) -> None:
    whole = [Parameter(value) for value in random_tensors(0)]
    random_steps(optimizer_class(whole), range(1, 7))

    first = [Parameter(value) for value in random_tensors(0)]
    interrupted = optimizer_class(first)
    random_steps(interrupted, range(1, 1 + first_steps))
    second = [Parameter(parameter.detach().clone()) for parameter in first]
    resumed = optimizer_class(second, lr=1.0)
    resumed.load_state_dict(through_a_file(interrupted.state_dict()))
    random_steps(resumed, range(1 + first_steps, 7))
    assert all(torch.equal(a, b) for a, b in zip(whole, second, strict=True))


SETTINGS: dict[str, Any] = {"lr": 0.01, "betas": (0.9, 0.95)}


def descend(
    optimizer: torch.optim.Optimizer, clip: Callable[..., Any], steps: range, dtype: torch.dtype, wide: bool = True
) -> None:
    """Steps with random gradients, whose norm is on either side of 1 as they go on."""
    parameters = optimizer.param_groups[0]["params"]
    for seed in steps:
        for parameter, gradient in zip(parameters, random_tensors(seed), strict=True):
            gradient = (gradient * 0.02 * seed).to(dtype)
            parameter.grad = gradient if wide or gradient.dim() < 2 else gradient.T.contiguous().T
        clip(parameters)
        optimizer.step()


def weights(dtype: torch.dtype) -> list[Parameter]:
    return [Parameter(value.to(dtype)) for value in random_tensors(0)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_adam_and_clipping_in_one_pass_are_those_of_pytorch(dtype: torch.dtype) -> None:
    ours, theirs = weights(dtype), weights(dtype)
    optimizer, other = Adam(ours, **SETTINGS, fused=True), torch.optim.Adam(theirs, **SETTINGS)
    descend(optimizer, ClipNorm(1.0), range(1, 51), dtype)
    assert updates.suited(ours) and not torch.equal(ours[0], theirs[0])
    descend(other, lambda parameters: clip_grad_norm_(parameters, 1.0), range(1, 51), dtype)
    torch.testing.assert_close(ours, theirs, rtol=20 * torch.finfo(dtype).eps, atol=20 * torch.finfo(dtype).eps)
    for own, their in zip(optimizer.state.values(), other.state.values(), strict=True):
        torch.testing.assert_close(own, their, rtol=20 * torch.finfo(dtype).eps, atol=20 * torch.finfo(dtype).eps)


@pytest.mark.parametrize(
    ("options", "dtype", "wide"),
    [
        pytest.param({"weight_decay": 0.1}, torch.float32, True, id="weight decay"),
        pytest.param({"amsgrad": True}, torch.float32, True, id="amsgrad"),
        pytest.param({"lr": torch.tensor(0.01)}, torch.float32, True, id="a rate that is a tensor"),
        pytest.param({}, torch.bfloat16, True, id="half precision"),
        pytest.param({}, torch.float32, False, id="gradients that are not contiguous"),
    ],
)
def test_adam_takes_pytorchs_step_where_one_pass_cannot_serve(
    options: dict[str, Any], dtype: torch.dtype, wide: bool
) -> None:
    ours, theirs = weights(dtype), weights(dtype)
    for optimizer in (Adam(ours, **SETTINGS | options), torch.optim.Adam(theirs, **SETTINGS | options)):
        descend(optimizer, NoClip(), range(1, 11), dtype, wide)
    assert all(map(torch.equal, ours, theirs))


def test_hooks_are_called_once_a_step_whoever_takes_it() -> None:
    torch.optim.Adam(weights(torch.float32))  # now its step is wrapped in hooks, too
    optimizer, calls = Adam(weights(torch.float32)), []
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    descend(optimizer, NoClip(), range(1, 4), torch.float32)
    assert len(calls) == 3


@pytest.mark.parametrize("optimizer_class", [GravesRMSProp, Adam], ids=lambda optimizer: optimizer.__name__)
def test_gradients_are_dropped_or_set_to_0(optimizer_class: Callable[..., torch.optim.Optimizer]) -> None:
    parameter = Parameter(torch.ones(2))
    optimizer = optimizer_class([parameter])
    parameter.grad = torch.ones(2)
    optimizer.zero_grad(set_to_none=False)
    assert parameter.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert parameter.grad is None


def test_a_step_in_one_pass_is_seen_by_autograd() -> None:
    """A weight that backward still needs must not have changed."""
    parameters = weights(torch.float64)
    optimizer = Adam(parameters)
    descend(optimizer, NoClip(), range(1, 3), torch.float64)
    loss = (parameters[0] ** 2).sum()
    random_steps(optimizer, range(3, 4))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_what_does_not_fit_is_not_written_over() -> None:
    """A state of another size, as from a file that is not this model's, is for PyTorch to refuse."""
    parameters = weights(torch.float32)
    optimizer = Adam(parameters)
    descend(optimizer, NoClip(), range(1, 3), torch.float32)
    optimizer.state[parameters[0]]["exp_avg"] = torch.zeros(1)
    with pytest.raises(RuntimeError, match="shape"):
        descend(optimizer, NoClip(), range(3, 4), torch.float32)


@pytest.mark.parametrize(
    ("key", "value"), [("lr", -1.0), ("lr", "1e-4"), ("lr", math.inf), ("decay", 1.0), ("momentum", -0.1), ("eps", 0)]
)
def test_optimizer_names_the_setting_that_is_wrong(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^optimizer.{key}={value}: must be "):
        GravesRMSProp([Parameter(torch.zeros(1))], **{key: value})


@pytest.fixture
def parameters() -> list[Parameter]:
    """Gradients (3, 0) and 4, of norm 5 together, and a parameter without."""
    values = [Parameter(torch.zeros(2)), Parameter(torch.zeros(())), Parameter(torch.zeros(7))]
    values[0].grad, values[1].grad = torch.tensor([3.0, 0.0]), torch.tensor(4.0)
    return values


@pytest.mark.parametrize(
    ("clip", "after"),
    [
        pytest.param(NoClip(), [3.0, 4.0], id="NoClip"),
        pytest.param(ClipNorm(2.5), [1.5, 2.0], id="ClipNorm"),
        pytest.param(ClipNorm(50), [3.0, 4.0], id="ClipNorm, below the limit"),
        pytest.param(ClipElements(3.5), [3.0, 3.5], id="ClipElements"),
    ],
)
def test_clipping_returns_the_norm_before(
    clip: Callable[..., Tensor], after: list[float], parameters: list[Parameter]
) -> None:
    norm = clip(parameter for parameter in parameters)  # a generator, as from Module.parameters()
    assert norm.item() == pytest.approx(5)
    first, second, third = (parameter.grad for parameter in parameters)
    assert first is not None and second is not None and third is None
    assert [*first.tolist(), second.item()] == pytest.approx([after[0], 0, after[1]])


@pytest.mark.parametrize("gradient", [math.inf, math.nan], ids=str)
@pytest.mark.parametrize("clip", [NoClip(), ClipNorm(10), ClipElements(10)], ids=lambda clip: type(clip).__name__)
def test_clipping_reports_a_norm_that_is_not_finite(
    clip: Callable[..., Tensor], gradient: float, parameters: list[Parameter]
) -> None:
    parameters[1].grad = torch.tensor(gradient)
    assert not clip(parameters).isfinite()


@pytest.mark.parametrize("clip", [NoClip(), ClipNorm(10), ClipElements(10)], ids=lambda clip: type(clip).__name__)
def test_a_norm_is_found_where_squares_overflow(clip: NoClip | ClipNorm | ClipElements) -> None:
    parameter = Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3e30, 4e30])
    assert clip([parameter]).item() == pytest.approx(5e30)
    clipped = {NoClip: [3e30, 4e30], ClipNorm: [6, 8], ClipElements: [10, 10]}[type(clip)]
    assert parameter.grad.tolist() == pytest.approx(clipped)


@pytest.mark.parametrize("clip", [ClipNorm, ClipElements], ids=lambda clip: clip.__name__)
@pytest.mark.parametrize("limit", [0, -1.0, math.nan], ids=str)
def test_clipping_needs_a_positive_limit(clip: type[ClipNorm | ClipElements], limit: float) -> None:
    with pytest.raises(ValueError, match=f"^clip.limit={limit}: must be above 0"):
        clip(limit)


def scheduled(schedule: type[Schedule], **settings: Any) -> Any:
    """A schedule in batches of 10, unless told otherwise for 400 sequences, over a learning rate of 2."""
    return schedule(GravesRMSProp([Parameter(torch.zeros(1))], lr=2.0), 10, **({"max_sequences": 400} | settings))


def rate_after(schedule: Schedule, sequences: int) -> float:
    """The learning rate when so many more sequences have been seen."""
    for _ in range(sequences // schedule.batch_size):
        schedule.optimizer.step()
        schedule.step()
    return schedule.optimizer.param_groups[0]["lr"]


def test_constant_never_changes_and_may_always_stop() -> None:
    schedule = scheduled(Constant)
    assert schedule.finished
    assert rate_after(schedule, 1000) == 2


def test_cosine_falls_over_the_whole_run() -> None:
    """Of 400 sequences a quarter: 0.2 + 0.8 (1 + cos π/4) / 2; a half: 0.6; the end and beyond: 0.2."""
    schedule = scheduled(Cosine, final=0.2)
    assert rate_after(schedule, 0) == 2
    assert rate_after(schedule, 100) == pytest.approx(2 * (0.2 + 0.4 * (1 + math.sqrt(0.5))))
    assert rate_after(schedule, 100) == pytest.approx(2 * 0.6)
    rate_after(schedule, 190)
    assert not schedule.finished
    assert rate_after(schedule, 10) == pytest.approx(2 * 0.2)
    assert schedule.finished
    assert rate_after(schedule, 100) == pytest.approx(2 * 0.2)


def test_cosine_holds_for_a_share_of_the_run_first() -> None:
    """Of 400 sequences the first half at the full rate; half way down 0.6 of it, at the end 0.2."""
    schedule = scheduled(Cosine, final=0.2, hold=0.5)
    assert rate_after(schedule, 0) == rate_after(schedule, 100) == rate_after(schedule, 100) == 2
    assert rate_after(schedule, 100) == pytest.approx(2 * 0.6)
    assert rate_after(schedule, 100) == pytest.approx(2 * 0.2) and schedule.finished


def test_hold_then_cosine_holds_until_learned_then_falls() -> None:
    schedule = scheduled(HoldThenCosine, below=0.01, patience=2, sequences=100, final=0.5)
    for value in (0.0, 0.01, math.nan, 0.009):  # never two in a row below
        schedule.observe({"error_rate": value})
        assert rate_after(schedule, 200) == 2
    schedule.observe({"error_rate": 0.0})
    assert rate_after(schedule, 50) == pytest.approx(2 * 0.75)
    for _ in range(3):  # what is heard now changes nothing
        schedule.observe({"error_rate": 0.0})
    assert rate_after(schedule, 40) > 1
    assert rate_after(schedule, 10) == pytest.approx(1)
    assert schedule.descent == 1 and not schedule.finished
    schedule.observe({"error_rate": 0.0})
    assert schedule.finished
    for value in (1.0, 1.0):  # too late
        schedule.observe({"error_rate": value})
    assert schedule.finished and rate_after(schedule, 500) == pytest.approx(1)


def test_hold_then_cosine_starts_over_when_what_was_learned_is_lost() -> None:
    schedule = scheduled(HoldThenCosine, patience=2, sequences=100, final=0.5)
    for value in (0.0, 0.0):
        schedule.observe({"error_rate": value})
    assert rate_after(schedule, 50) == pytest.approx(2 * 0.75)
    schedule.observe({"error_rate": 1.0})
    assert schedule.descent == 0 and rate_after(schedule, 500) == 2
    schedule.observe({"error_rate": 0.0})
    assert rate_after(schedule, 10) == 2
    schedule.observe({"error_rate": 0.0})
    assert rate_after(schedule, 100) == pytest.approx(1)


def test_hold_then_cosine_descends_again_while_there_is_room_until_it_is_solved() -> None:
    """Of 1,000 sequences: learned at 300, down at 600 but not solved, so once more, to 900; then there is no room."""
    schedule = scheduled(HoldThenCosine, sequences=300, final=0.5, below=0.1, solved=0.01, max_sequences=1000)
    rate_after(schedule, 300)
    heard = []
    for value in (0.05, 0.01, 0.01, 0.01, 0.009):
        schedule.observe({"error_rate": value})
        heard.append((schedule.descent, schedule.finished))
        if schedule.descent == 0:
            assert rate_after(schedule, 150) == pytest.approx(2 * 0.75)
            assert rate_after(schedule, 150) == pytest.approx(1)
    assert heard == [(0, False), (0, False), (1, False), (1, False), (1, True)]
    assert schedule.seen == 900


@pytest.mark.parametrize(("budget", "again"), [(900, True), (890, False)], ids=["just enough", "one batch too few"])
def test_hold_then_cosine_descends_again_if_the_budget_is_just_enough(budget: int, again: bool) -> None:
    """Learned at 300, down at 600: a second descent of 300 ends at 900."""
    schedule = scheduled(HoldThenCosine, sequences=300, below=0.1, solved=0.01, max_sequences=budget)
    rate_after(schedule, 300)
    schedule.observe({"error_rate": 0.05})
    rate_after(schedule, 300)
    schedule.observe({"error_rate": 0.05})
    assert schedule.descent == (0 if again else 1) and not schedule.finished


@pytest.mark.parametrize(("reference", "times"), [(None, 1.0), (10, 1.0), (40, 0.5), (1, math.sqrt(10))], ids=str)
def test_a_reference_batch_scales_the_rate_by_the_square_root(reference: int | None, times: float) -> None:
    """Batches are of 10, the rate is 2, and the schedule does what it does on top."""
    for schedule in (Constant, Cosine, HoldThenCosine):
        assert rate_after(scheduled(schedule, reference_batch=reference), 0) == pytest.approx(2 * times)
    halfway = scheduled(Cosine, final=0.2, reference_batch=reference)
    assert rate_after(halfway, 200) == pytest.approx(2 * times * 0.6)
    resumed = scheduled(Cosine, final=0.2, reference_batch=reference)
    resumed.load_state_dict(through_a_file(halfway.state_dict()))
    assert rate_after(resumed, 200) == pytest.approx(2 * times * 0.2)


@pytest.mark.parametrize("interrupted_at", [0, 1, 2, 3, 5], ids=lambda at: f"after validation {at}")
def test_schedule_state_goes_through_a_checkpoint(interrupted_at: int) -> None:
    """Learned at the third validation, lost at the fourth, learned again; interrupted before, between and after."""

    def validations(schedule: HoldThenCosine, values: list[float]) -> list[tuple[float, bool]]:
        heard = []
        for value in values:
            schedule.observe({"error_rate": value})
            heard.append((rate_after(schedule, 50), schedule.finished))
        return heard

    values = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    whole = validations(scheduled(HoldThenCosine, patience=2, sequences=200), values)
    assert [rate for rate, _ in whole[:2]] == [2, 2] and whole[-1] == (pytest.approx(0.04), True)

    schedule = scheduled(HoldThenCosine, patience=2, sequences=200)
    first = validations(schedule, values[:interrupted_at])
    state = schedule.state_dict()
    assert "optimizer" not in state
    resumed = scheduled(HoldThenCosine, patience=2, sequences=200)
    resumed.load_state_dict(through_a_file(state))
    assert first + validations(resumed, values[interrupted_at:]) == whole


@pytest.mark.parametrize(
    ("schedule", "key", "value"),
    [
        (Cosine, "final", 1.5),
        (Cosine, "hold", 1.0),
        (HoldThenCosine, "final", -0.1),
        (HoldThenCosine, "below", 0.0),
        (HoldThenCosine, "patience", 0),
        (HoldThenCosine, "sequences", 0.5),
        (HoldThenCosine, "solved", 0.0),
        (Constant, "reference_batch", 0),
    ],
    ids=str,
)
def test_schedules_name_the_setting_that_is_wrong(schedule: type[Schedule], key: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^schedule.{key}={value}: must be "):
        scheduled(schedule, **{key: value})
