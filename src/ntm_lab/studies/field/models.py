"""Two NTMs that only these studies train: as public repositories begin it, and one that cannot sharpen."""

from typing import Any

import torch
from torch import Tensor

from ntm_lab.nn import NTM

BLUNT = -30.0  # a bias of the sharpness with 1 + softplus(−30) = 1 in single precision


class UsualNTM(NTM):
    """The NTM of ``benchmarks/plain_ntm.py``, which is how public repositories write it: all of its layers begin as
    PyTorch's do, so that no head begins with a way to go. The equations are the same, run by the fast kernels.

    >>> UsualNTM(9, 8, slots=16).heads.bias.abs().max().item() < 0.1  # 1 / √100
    True
    """

    def __init__(self, input_size: int, output_size: int, *arguments: Any, **settings: Any) -> None:
        super().__init__(input_size, output_size, *arguments, **settings)
        self.heads.reset_parameters()


class UnsharpenedNTM(NTM):
    """An NTM whose sharpness γ is 1 for ever: what a shift blurs stays blurred.

    >>> model = UnsharpenedNTM(9, 8, slots=16)
    >>> model.trace(torch.randn(2, 5, 9))["sharpness"].unique().item()
    1.0
    """

    def __init__(self, input_size: int, output_size: int, *arguments: Any, **settings: Any) -> None:
        super().__init__(input_size, output_size, *arguments, **settings)
        numbers = self.access.layout.split(torch.arange(self.access.layout.size))["sharpness"].flatten()
        sharp = torch.zeros(self.access.layout.size, dtype=torch.bool).index_fill(0, numbers, True)
        self.register_buffer("sharp", sharp, persistent=False)
        with torch.no_grad():
            self.heads.weight[sharp] = 0.0
            self.heads.bias[sharp] = BLUNT
        for parameter in (self.heads.weight, self.heads.bias):
            parameter.register_hook(self._without_sharpness)

    def _without_sharpness(self, gradient: Tensor) -> Tensor:
        rows: Any = self.sharp
        return gradient.masked_fill(rows.view(-1, *[1] * (gradient.dim() - 1)), 0.0)
