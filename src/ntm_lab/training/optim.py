"""How the weights move: the optimizer of Graves 2013, gradient clipping, and learning rate schedules."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_value_, clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ntm_lab.checks import at_least, not_negative, number, positive, share
from ntm_lab.fast import updates
from ntm_lab.types import Answer


class _Plain(Optimizer):
    """Drops the gradients at once; PyTorch first opens a record for its profiler, which takes ten times as long."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set all gradients to None or, if that is not wanted, to 0."""
        if not set_to_none:
            super().zero_grad(set_to_none)
            return
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None


class GravesRMSProp(_Plain):
    """RMSProp as in Graves 2013 (arXiv 1308.0850), equations 38 to 45, for gradient g and weight w:

        n = ℵ n + (1 − ℵ) g²        ḡ = ℵ ḡ + (1 − ℵ) g        ℵ = decay
        Δ = ג Δ − lr · g / √(n − ḡ² + eps)        w = w + Δ        ג = momentum

    `torch.optim.RMSprop(centered=True, momentum=…)` is another optimizer in two ways. Its eps stands outside the root,
    √(n − ḡ²) + eps, so that of a gradient that varies little it takes far larger steps. And its momentum accumulates
    steps that are not yet scaled by lr, so that a change of lr acts at once on all past steps, here only on new ones.

    n − ḡ² is a variance, but rounding can make it negative when a large gradient hardly changes: it is kept at 0.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        decay: float = 0.95,
        momentum: float = 0.9,
        eps: float = 1e-4,
    ) -> None:
        not_negative("optimizer.lr", lr)
        number("optimizer.decay", decay, lambda decay: 0 <= decay < 1, "at least 0 and below 1")
        number("optimizer.momentum", momentum, lambda momentum: 0 <= momentum < 1, "at least 0 and below 1")
        positive("optimizer.eps", eps)
        super().__init__(params, {"lr": lr, "decay": decay, "momentum": momentum, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move every parameter that has a gradient; a closure, if given, computes the loss that is returned."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                self._move(parameters, group["lr"], group["decay"], group["momentum"], group["eps"])
        return loss

    def _move(self, parameters: list[Any], lr: float, decay: float, momentum: float, eps: float) -> None:
        gradients = [parameter.grad for parameter in parameters]
        squares = self._state(parameters, "mean_square")  # n
        means = self._state(parameters, "mean")  # ḡ
        steps = self._state(parameters, "last_step")  # Δ; a state called "step" PyTorch takes for a counter
        if updates.suited(parameters, gradients, squares, means, steps):
            updates.graves_rmsprop(parameters, gradients, squares, means, steps, lr, decay, momentum, eps)
            return
        # torch._foreach_… does to every tensor of a list what its namesake does to one, in one call.
        torch._foreach_mul_(squares, decay)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - decay)
        torch._foreach_lerp_(means, gradients, 1 - decay)
        roots = torch._foreach_addcmul(squares, means, means, -1)
        torch._foreach_clamp_min_(roots, 0)
        torch._foreach_add_(roots, eps)
        torch._foreach_sqrt_(roots)
        torch._foreach_mul_(steps, momentum)
        torch._foreach_addcdiv_(steps, gradients, roots, -lr)
        torch._foreach_add_(parameters, steps)

    def _state(self, parameters: list[Any], name: str) -> list[Tensor]:
        for parameter in parameters:
            if name not in self.state[parameter]:
                self.state[parameter][name] = torch.zeros_like(parameter)
        return [self.state[parameter][name] for parameter in parameters]


class Adam(_Plain, torch.optim.Adam):
    """`torch.optim.Adam`, whose step is one compiled pass over all parameters where `ntm_lab.fast.updates` can serve.

    Arguments and state are PyTorch's. So are the first step, which makes the state, and every step elsewhere: on a GPU,
    in half precision, and with weight decay or another option that changes the equations.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move every parameter that has a gradient; a closure, if given, computes the loss that is returned."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        groups = [group for group in self.param_groups if _gradients(group["params"])]
        passes = [arguments for arguments in map(self._one_pass, groups) if arguments]
        if len(passes) == len(groups):
            for arguments in passes:
                updates.adam(*arguments)
        else:
            step: Any = torch.optim.Adam.step  # may be wrapped in the optimizer's hooks, as this step is already
            (step.__wrapped__ if getattr(step, "hooked", False) else step)(self)
        return loss

    def _one_pass(self, group: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The arguments of `updates.adam` for a group of parameters, None if it cannot serve."""
        settings = group["lr"], *group["betas"], group["eps"]
        options = ("weight_decay", "amsgrad", "maximize", "capturable", "differentiable")
        scaler = (getattr(self, name, None) for name in ("grad_scale", "found_inf"))  # of a GradScaler
        if any(group[name] for name in options) or any(map(torch.is_tensor, (*settings, *scaler))):
            return None
        weights = [weight for weight in group["params"] if weight.grad is not None]
        states = [self.state[weight] for weight in weights]
        if not all(states):
            return None
        means, squares, counts = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
        tensors = weights, _gradients(weights), means, squares
        if not updates.suited(*tensors) or not updates.suited(counts) or counts[0].dtype is not torch.float32:
            return None
        return *tensors, counts, *settings


def _gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


class NoClip:
    """Leaves the gradients as they are and returns their norm, all taken as one vector -> ()."""

    def __call__(self, parameters: Iterable[Tensor]) -> Tensor:
        gradients = _gradients(parameters)
        if updates.suited(gradients):
            return gradients[0].new_tensor(updates.clip_norm(gradients, math.inf))
        norm = get_total_norm(gradients)
        if math.isinf(norm):  # it may be the squares alone that are beyond the range
            norm = get_total_norm([gradient.double() for gradient in gradients]).to(norm.dtype)
        return norm


class ClipNorm:
    """Scales all gradients by one factor such that their norm is at most `limit`; returns the norm before that -> ().

    A norm that is not finite is returned, not raised, with the gradients spoilt: the caller must look.
    """

    def __init__(self, limit: float) -> None:
        positive("clip.limit", limit)
        self.limit = limit

    def __call__(self, parameters: Iterable[Tensor]) -> Tensor:
        parameters = list(parameters)
        gradients = _gradients(parameters)
        if updates.suited(gradients):
            return gradients[0].new_tensor(updates.clip_norm(gradients, self.limit))
        norm = NoClip()(parameters)
        if not norm <= self.limit:  # below it the factor would be 1; NaN is not below
            clip_grads_with_norm_(parameters, self.limit, norm)
        return norm


class ClipElements:
    """Clips every element of every gradient to ±limit, as Graves does at 10; returns the norm before that -> ().

    The norm tells of an infinite element that the clipping has hidden: the caller must look.
    """

    def __init__(self, limit: float) -> None:
        positive("clip.limit", limit)
        self.limit = limit

    def __call__(self, parameters: Iterable[Tensor]) -> Tensor:
        parameters = list(parameters)
        norm = NoClip()(parameters)
        clip_grad_value_(parameters, self.limit)
        return norm


class Schedule(LRScheduler, ABC):
    """Multiplies every learning rate by a `factor` of the sequences seen; stepped once per update of the weights.

    With a `reference_batch`, the batch size that the learning rates are meant for, they are multiplied throughout by
    √(batch_size / reference_batch) besides: the rule of the square root for Adam and RMSProp of Malladi et al. 2022
    (arXiv 2205.10287), of which only what concerns the rate is done, and the optimizer's betas and eps stay.

    As with PyTorch's own schedulers `state_dict` carries the settings too, and loading it restores them.
    """

    def __init__(
        self, optimizer: Optimizer, batch_size: int, max_sequences: int, reference_batch: int | None = None
    ) -> None:
        self.batch_size = batch_size
        self.max_sequences = max_sequences
        reference = batch_size if reference_batch is None else at_least("schedule.reference_batch", reference_batch, 1)
        self.scale = math.sqrt(batch_size / reference)
        super().__init__(optimizer)  # takes the first step, so it comes after the settings

    @property
    def seen(self) -> int:
        """Sequences seen so far."""
        return self.last_epoch * self.batch_size

    @property
    def descent(self) -> float:
        """How far the schedule has come since the task was learned, 0 to 1; one that does not look stays at 0."""
        return 0.0

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether the schedule has nothing more to do, so that the run may stop."""

    @property
    def finishes_at(self) -> int | None:
        """After how many sequences the schedule will be `finished`, as it stands; None where nobody knows yet."""
        return None

    @abstractmethod
    def factor(self) -> float:
        """The present factor of the learning rates."""

    def observe(self, validation: Mapping[str, float]) -> None:
        """Hear the measures of a validation, as they are logged, and the ``error_rate``."""

    def get_lr(self) -> list[float | Tensor]:
        return [base * self.scale * self.factor() for base in self.base_lrs]


class Constant(Schedule):
    """The learning rate as it was given; the run may stop at any time."""

    finished = True

    def factor(self) -> float:
        return 1.0


class Cosine(Schedule):
    """The full learning rate for a share `hold` of the run, then half a cosine down to `final` at its end."""

    def __init__(
        self,
        optimizer: Optimizer,
        batch_size: int,
        max_sequences: int,
        final: float = 0.02,
        hold: float = 0.0,
        reference_batch: int | None = None,
    ) -> None:
        self.final = share("schedule.final", final)
        self.hold = number("schedule.hold", hold, lambda hold: 0 <= hold < 1, "at least 0 and below 1")
        super().__init__(optimizer, batch_size, max_sequences, reference_batch)

    @property
    def finished(self) -> bool:
        return self.seen >= self.max_sequences

    @property
    def finishes_at(self) -> int:
        return self.max_sequences

    def factor(self) -> float:
        descent = (self.seen / self.max_sequences - self.hold) / (1 - self.hold)
        return _half_cosine(max(0.0, descent), self.final)


class HoldThenCosine(Schedule):
    """The full learning rate until the task is learned, then half a cosine down to `final`.

    Learned is: ``validation["error_rate"]``, that of the task's answer (wrong bits / scored bits for a bit task), was
    below `below` in `patience` validations in a row. The descent takes `sequences` sequences from then on. A validation
    on the way that is not below means that the task was not learned yet: the full rate again, and a descent from the
    start later. At the end of the descent the schedule is finished, if a validation is then below `solved`; else it
    descends once more, as long as `max_sequences` leave room for it.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        batch_size: int,
        max_sequences: int,
        below: float = 0.05,
        patience: int = 1,
        sequences: int = 4800,
        final: float = 0.02,
        solved: float = Answer.solved,
        reference_batch: int | None = None,
    ) -> None:
        positive("schedule.below", below)
        at_least("schedule.patience", patience, 1)
        at_least("schedule.sequences", sequences, 1)
        share("schedule.final", final)
        positive("schedule.solved", solved)
        self.below = below
        self.patience = patience
        self.sequences = sequences
        self.final = final
        self.solved = solved
        self.passes = 0  # validations in a row that were below
        self.learned_at: int | None = None  # the sequences seen when the descent began
        self.complete = False
        super().__init__(optimizer, batch_size, max_sequences, reference_batch)

    @property
    def descent(self) -> float:
        return 0.0 if self.learned_at is None else min(1.0, (self.seen - self.learned_at) / self.sequences)

    @property
    def finished(self) -> bool:
        return self.complete

    @property
    def finishes_at(self) -> int | None:
        return None if self.learned_at is None else self.learned_at + self.sequences

    def factor(self) -> float:
        return _half_cosine(self.descent, self.final)

    def observe(self, validation: Mapping[str, float]) -> None:
        if self.finished:
            return
        error_rate = validation["error_rate"]
        self.passes = self.passes + 1 if error_rate < self.below else 0
        if not self.passes:
            self.learned_at = None
        elif self.learned_at is None:
            self.learned_at = self.seen if self.passes >= self.patience else None
        elif self.descent == 1:
            self.complete = error_rate < self.solved
            if not self.complete and self.seen + self.sequences <= self.max_sequences:
                self.learned_at = self.seen


def _half_cosine(progress: float, final: float) -> float:
    """From 1 at progress 0 to `final` at 1 and beyond."""
    return final + (1 - final) * (1 + math.cos(math.pi * min(1.0, progress))) / 2
