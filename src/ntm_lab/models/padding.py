"""Padding is inert: a sequence that has ended keeps the state it ended with."""

from typing import TypeVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

State = TypeVar("State")


def freeze(ended: Tensor, before: State, after: State) -> State:
    """``before`` where a sequence has ended (B,), ``after`` where it goes on; states of tensors that begin with B."""

    def choose(old: Tensor, new: Tensor) -> Tensor:
        return torch.where(ended.view(-1, *[1] * (new.dim() - 1)), old, new)

    return pytree.tree_map(choose, before, after)
