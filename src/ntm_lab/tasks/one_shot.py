"""One-shot classification: learn the labels of new classes of images within one episode."""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from ntm_lab.checks import one_of
from ntm_lab.tasks.answers import Symbols
from ntm_lab.tasks.base import BaseTask, checked_range
from ntm_lab.tasks.images import Digits, Images
from ntm_lab.tasks.images.base import choose, pick
from ntm_lab.types import Batch, Difficulty, Phase, Scene

LABELS = ("one_hot", "letters")
LETTERS = 5  # of a label, and of the alphabet


class OneShot(BaseTask):
    """One-shot classification (Santoro et al. 2016, section 4): name each image; its label comes one step later.

    Difficulty: ``ways`` C, the classes of an episode, and ``shots`` S, the images of each. The C · S images come in
    random order. Labels are bound to the classes anew in every episode, so that they must be remembered; there are as
    many labels k as the largest number of ways. The inputs (B, C · S, pixels + k) of a step are an image and the
    one-hot label of the image before; its target (B, C · S, 1) is the label of its own image, 0 to k − 1. All steps are
    scored. Two ways and three shots, images of two pixels, targets drawn as one-hot:

        step            0  1  2  3  4  5
        input  pixel 0  1  .  1  .  .  1
               pixel 1  .  1  .  1  1  .
               label 0  .  .  1  .  1  1
               label 1  .  1  .  1  .  .
        target label 0  .  1  .  1  1  .
               label 1  1  .  1  .  .  1
        scored          x  x  x  x  x  x

    The first label of a class can only be guessed, so that the optimum costs log₂ k! bits where C = k, 6.9 for 5 ways.

    Args:
        ways, shots: ranges, both ends inclusive.
        images: where images come from, see `ntm_lab.tasks.images`; by default `Digits`.
        labels: ``one_hot``, as above. ``letters``: a label is a string of five letters out of five, one of 3,125, and a
            step asks for all of its letters: k is then 25 in the inputs, and targets are (B, C · S, 5), 0 to 4.
    """

    title = "one-shot classification"

    def __init__(
        self,
        ways: Sequence[int] = (5, 5),
        shots: Sequence[int] = (10, 10),
        images: Images | None = None,
        labels: str = "one_hot",
    ) -> None:
        self.ranges = {"ways": checked_range("ways", ways, least=2), "shots": checked_range("shots", shots)}
        self.images = Digits() if images is None else images
        letters = one_of("task.labels", labels, LABELS) == "letters"
        self.answer = Symbols(LETTERS, LETTERS) if letters else Symbols(self.ranges["ways"][1])
        self.labels = self.answer.k**self.answer.count
        self.input_size = self.images.pixels + self.answer.size

    def split(self, part: str) -> Self:
        super().split(part)
        task = copy.copy(self)
        task.images = self.images.split(part)
        return task

    def overlap(self, difficulty: Difficulty, drawn: int) -> float:
        """0: no image of testing is one of training."""
        return 0.0

    def draw(self, batch_size: int, difficulty: Mapping[str, int | Tensor], generator: torch.Generator) -> Batch:
        ways, shots = self.expand(difficulty, batch_size)
        most_ways, most_shots = int(ways.max()), int(shots.max())
        self._check_enough(most_ways, most_shots)
        images = self.images.draw(batch_size, most_ways, most_shots, generator)  # (B, ways, shots, pixels)
        labels = choose([batch_size], most_ways, self.labels, generator)  # (B, ways)
        lengths = ways * shots
        more_ways = torch.arange(most_ways) >= ways[:, None]  # (B, ways)
        more_shots = torch.arange(most_shots) >= shots[:, None]  # (B, shots)
        spare = more_ways[:, :, None] | more_shots[:, None]  # (B, ways, shots): not shown in this sequence
        keys = torch.rand(spare.shape, generator=generator).masked_fill(spare, 2).flatten(1)
        order = keys.argsort(1)[:, : int(lengths.max())]  # (B, T) in ways · shots
        start = torch.arange(batch_size)[:, None] * keys.shape[1]
        return self.layout(pick(images.flatten(0, 2), start + order), labels.gather(1, order // most_shots), lengths)

    def layout(self, images: Tensor, labels: Tensor, lengths: Tensor) -> Batch:
        """The batch of given images (B, T, pixels) and labels (B, T), of which the first `lengths` (B,) count.

        A label is a number; its letters are the digits, the highest first.
        """
        mask = torch.arange(labels.shape[1]) < lengths[:, None]  # (B, T)
        letters = labels.masked_fill(~mask, 0)[..., None] // self._powers() % self.answer.k  # (B, T, count)
        before = pad(one_hot(letters, self.answer.k).flatten(-2), (0, 0, 1, -1))  # none before the first step
        inputs = torch.cat([images, before.to(images.dtype)], -1) * mask[..., None]
        return Batch(inputs, letters, mask, lengths)

    def scene(self, batch: Batch) -> Scene:
        length, side = int(batch.lengths[0]), math.isqrt(self.images.pixels)
        square = side * side == self.images.pixels
        images = batch.inputs[0, :length, : self.images.pixels]
        return Scene(
            [Phase(0, length, "names each image, then hears its label")],
            images=images.unflatten(1, (side, side) if square else (1, -1)),
            symbols="abcde" if self.answer.count > 1 else (),
        )

    def solve(self, batch: Batch) -> Tensor:
        """Probabilities of the letters (B, T, count · k) for a learner that recognises classes perfectly: certain for a
        class it has seen, uniform over the labels not yet given for a new one.

        The classes of the images and the labels of earlier steps come from the targets.
        """
        letters = one_hot(batch.targets, self.answer.k)  # (B, T, count, k)
        new = self._showing(batch) == 0  # (B, T)
        given = pad(
            (letters * new[..., None, None]).cumsum(1), (0, 0, 0, 0, 1, -1)
        )  # (B, T, count, k): before the step
        left = self.labels // self.answer.k - given  # labels not yet given that have this letter in this place
        return torch.where(new[..., None, None], left / left.sum(-1, keepdim=True), letters).flatten(-2)

    def groups(self, batch: Batch) -> dict[str, Tensor]:
        """By the number of times that the class of a step has been shown: ``showing_01``, a guess, ``showing_02``, …"""
        showing = self._showing(batch)
        return {f"showing_{number + 1:02d}": showing == number for number in range(int(showing.max()) + 1)}

    def _showing(self, batch: Batch) -> Tensor:
        """The number of times that the class of each step has been shown before, (B, T) int64; −1 in the padding."""
        labels = (batch.targets * self._powers(batch.targets.device)).sum(-1)  # (B, T)
        same = labels[:, :, None] == labels[:, None]  # (B, T, T)
        return same.tril(-1).sum(2).masked_fill(~batch.mask, -1)

    def _powers(self, device: torch.device | None = None) -> Tensor:
        """The weight of each letter in the number of its label, (count,) int64."""
        return self.answer.k ** torch.arange(self.answer.count, device=device).flip(0)

    def _check_enough(self, ways: int, shots: int) -> None:
        if ways > self.labels:
            raise ValueError(f"difficulty ways={ways}: must be at most {self.labels}, the labels there are (task.ways)")
        if ways > self.images.classes:
            raise ValueError(f"task.ways={ways}: must be at most {self.images.classes}, the classes of task.images")
        if shots > self.images.per_class:
            raise ValueError(
                f"task.shots={shots}: must be at most {self.images.per_class}, the images of a class in task.images"
            )
