"""Which backend runs a recurrence."""

import logging
from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

log = logging.getLogger(__name__)

FAST = {"numba": "ntm_lab.fast.numba.backend", "triton": "ntm_lab.fast.triton.backend"}
BY_DEVICE = {"cpu": "numba", "cuda": "triton"}
NAMES = ("auto", "reference", *FAST)

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")


def untraced(function: Callable[Arguments, Returned]) -> Callable[Arguments, Returned]:
    """Decorator: torch.compile calls the function as it is. (torch.compiler.disable alone takes a second to import.)"""

    @wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Returned:
        if torch.compiler.is_compiling():
            outside: Callable[Arguments, Returned] = torch.compiler.disable(function)
            return outside(*args, **kwargs)
        return function(*args, **kwargs)

    return call


@untraced
def choose(name: str, inputs: Tensor, machine: str, obstacle: str | None = None) -> Any:
    """The kernels (`ntm_lab.fast.contract.Kernels`) for the inputs and the machine, None for the reference equations.

    ``auto`` takes the fast backend of the inputs' device, and says so once, with the reason, if there is none that can
    serve. ``obstacle`` is what else the caller knows to prevent a fast one. ValueError if a backend that was chosen by
    name cannot serve.
    """
    if name == "reference":
        return None
    wanted = BY_DEVICE.get(inputs.device.type, "none") if name == "auto" else name
    kernels, missing = _load(wanted)
    reason = missing or _without(kernels, machine) or obstacle or _transformed(inputs) or kernels.unsuited(inputs)
    if not reason:
        return kernels
    if name != "auto":
        raise ValueError(f"model.backend={name}: {reason}; backend=reference can")
    say_once(f"the reference equations run instead of the backend {wanted}: {reason}")
    return None


def _without(kernels: Any, machine: str) -> str | None:
    return None if machine in kernels.MACHINES else f"it has no kernels for {machine}"


def _transformed(inputs: Tensor) -> str | None:
    """Why nothing but PyTorch's own operations can serve here, or None."""
    if type(inputs) not in (Tensor, Parameter):
        return f"a {type(inputs).__name__} holds no numbers that it could read"
    if torch._C._are_functorch_transforms_active():
        return "torch.func transforms PyTorch's own operations only"
    if forward_ad._current_level >= 0:
        return "forward-mode derivatives are known of PyTorch's own operations only"
    if torch.jit.is_tracing():
        return "torch.jit.trace sees PyTorch's own operations only"
    return None


@cache
def _load(name: str) -> tuple[Any, str | None]:
    """A backend, or why it cannot be had."""
    if name not in FAST:
        return None, "there is none for this device"
    try:
        return import_module(FAST[name]), None
    except Exception as error:  # a broken installation raises anything
        return None, f"it cannot be imported ({error})"


@cache
def say_once(message: str) -> None:
    """A line in the log, the first time that this message comes."""
    log.warning(message)
