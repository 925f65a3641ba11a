"""Encoders of images: they map the pixels of every step, and pass on what else the step has, such as a label."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from ntm_lab.checks import at_least
from ntm_lab.types import Encoder

__all__ = ["Convolutions", "Dense"]


class _OfImages(Encoder):
    """Maps the first side² inputs of a step, its image, to features, which are followed by the other inputs.

    No layer has a bias, so that 0 stays 0.
    """

    def __init__(self, input_size: int, side: int, features: int) -> None:
        super().__init__()
        self.pixels = at_least("model.encoder.side", side, 1) ** 2
        if self.pixels > input_size:
            raise ValueError(
                f"model.encoder.side={side}: its square must be at most {input_size}, the inputs of the task"
            )
        self.size = at_least("model.encoder.size", features, 1) + input_size - self.pixels

    def initialise(self) -> None:
        """As He et al. 2015 (arXiv 1502.01852): features are then not small beside a label, which is a one."""
        for weight in self.parameters():
            nn.init.kaiming_normal_(weight)

    def forward(self, inputs: Tensor) -> Tensor:
        images, others = inputs.tensor_split([self.pixels], -1)
        return torch.cat((self.features(images), others), -1)

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """Features (…, size) of images (…, side²)."""


class Dense(_OfImages):
    """One layer of rectified units on the pixels.

    Args:
        input_size: side² and the other inputs of a step.
        side: pixels a side.
        size: the features of an image.
    """

    def __init__(self, input_size: int, side: int = 20, size: int = 200) -> None:
        super().__init__(input_size, side, size)
        self.layer = nn.Linear(self.pixels, size, bias=False)
        self.initialise()

    def features(self, images: Tensor) -> Tensor:
        return self.layer(images).relu()


class Convolutions(_OfImages):
    """Two convolutions of 3 × 3 with rectified units, each halving the sides, then a linear layer.

    Args:
        input_size: side² and the other inputs of a step.
        side: pixels a side.
        channels: of both convolutions.
        size: the features of an image.
    """

    def __init__(self, input_size: int, side: int = 20, channels: int = 32, size: int = 64) -> None:
        super().__init__(input_size, side, size)
        at_least("model.encoder.channels", channels, 1)
        quarter = -(-side // 4)  # of a side, rounded up, is left by two strides of 2
        self.layers = nn.Sequential(
            nn.Unflatten(1, (1, side, side)),
            nn.Conv2d(1, channels, 3, stride=2, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(channels * quarter**2, size, bias=False),
        )
        self.initialise()

    def features(self, images: Tensor) -> Tensor:
        return self.layers(images.reshape(-1, self.pixels)).unflatten(0, images.shape[:-1])
