"""The interface of a source of images, and helpers to choose, pick and turn images."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor


class Images(ABC):
    """Classes with several images each, for `ntm_lab.tasks.OneShot`; a new source is one such class and its YAML.

    Settings are checked when a source is built; files are read when they are first needed. A source that is not
    `split` draws from all of its images.
    """

    pixels: int  # of an image

    @property
    @abstractmethod
    def classes(self) -> int:
        """How many classes an episode can have at most."""

    @property
    @abstractmethod
    def per_class(self) -> int:
        """How many images of a class an episode can have at most."""

    @abstractmethod
    def split(self, part: str) -> Self:
        """The images of ``"training"``, or those of ``"validation"`` and ``"testing"``, which are none of training."""

    @abstractmethod
    def draw(self, batch_size: int, ways: int, shots: int, generator: torch.Generator) -> Tensor:
        """Images (B, ways, shots, pixels), float32 in [0, 1], 1 is ink: other classes and images for every episode.

        The classes of an episode are distinct, and so are the images of a class.
        """


def choose(shape: Sequence[int], count: int, below: int, generator: torch.Generator) -> Tensor:
    """Numbers (…, count) int64 after the shape given, `count` distinct ones below `below` in random order."""
    return torch.rand(*shape, below, generator=generator).topk(count).indices


def pick(rows: Tensor, index: Tensor) -> Tensor:
    """The rows (n, P) of these numbers (…) -> (…, P); several times as fast as ``rows[index]``, which is the same."""
    return rows.index_select(0, index.flatten()).unflatten(0, index.shape)


def quarter_turns(size: int) -> Tensor:
    """Images turned by 0, 90, 180 and 270 degrees: the number of the pixel that comes to each place, (4, size²)."""
    square = torch.arange(size * size).view(size, size)
    return torch.stack([square.rot90(turns).flatten() for turns in range(4)])
