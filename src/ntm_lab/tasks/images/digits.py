"""Handwritten digits that come with scikit-learn: real images without a download."""

import copy
from functools import cache
from typing import Self

import torch
from torch import Tensor

from ntm_lab.checks import one_of
from ntm_lab.tasks.images.base import Images, choose, pick, quarter_turns

SIZE = 8
PER_CLASS = 174  # of the digit that has the fewest images
TRAINING = 120  # of them; the other 54 are for testing
DISGUISES = ("permute", "rotate", "none")


class Digits(Images):
    """The 8×8 digits of `sklearn.datasets.load_digits`, made into new classes in every episode.

    In the order of the file, the first 120 images of each digit are for training and the next 54 for testing. There
    are only ten digits, which a network learns by heart; it then stores no image, only which digit has which label.
    Therefore an episode disguises each of its classes, all images of the class alike.

    Args:
        disguise: ``permute`` puts the pixels of each class in a random order. There are 64! orders, so that no class
            comes twice and an image must be compared with those stored. That comparison is easy: a nearest neighbour
            in raw pixels, given one example of each of 3 classes, is right in 99 % of all cases. ``rotate`` turns each
            class by 0, 90, 180 or 270 degrees, which makes 40 classes (88 %). ``none`` leaves the ten digits (81 %).
    """

    pixels = SIZE * SIZE
    classes = 10

    def __init__(self, disguise: str = "permute") -> None:
        self.disguise = one_of("task.images.disguise", disguise, DISGUISES)
        self.numbers = range(PER_CLASS)  # of the images that a digit is drawn from

    @property
    def per_class(self) -> int:
        return len(self.numbers)

    def split(self, part: str) -> Self:
        images = copy.copy(self)
        images.numbers = range(TRAINING) if part == "training" else range(TRAINING, PER_CLASS)
        return images

    def draw(self, batch_size: int, ways: int, shots: int, generator: torch.Generator) -> Tensor:
        digits = choose([batch_size], ways, self.classes, generator)  # (B, ways)
        numbers = self.numbers.start + choose([batch_size, ways], shots, self.per_class, generator)  # (B, ways, shots)
        images = pick(_digits(), digits[..., None] * PER_CLASS + numbers)  # (B, ways, shots, pixels)
        if self.disguise == "none":
            return images
        if self.disguise == "permute":
            pixels = choose([batch_size, ways], self.pixels, self.pixels, generator)  # (B, ways, pixels)
        else:
            pixels = pick(quarter_turns(SIZE), torch.randint(4, digits.shape, generator=generator))
        return images.gather(-1, pixels[:, :, None].expand_as(images))


@cache
def _digits() -> Tensor:
    """All images, digit by digit, (10 · PER_CLASS, pixels) in [0, 1]."""
    from sklearn.datasets import load_digits  # takes a second to import

    data = load_digits()
    images = torch.from_numpy(data.images).flatten(1).float() / 16
    return torch.cat([images[torch.from_numpy(data.target == digit)][:PER_CLASS] for digit in range(10)])
