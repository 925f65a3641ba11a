"""Omniglot: characters of fifty alphabets, each drawn by twenty people, from a user's own copy."""

import copy
import hashlib
from functools import cache
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from ntm_lab.checks import at_least, one_of
from ntm_lab.tasks.images.base import Images, choose, pick, quarter_turns
from ntm_lab.tasks.images.drawings import SETS, read

DRAWING = 105  # pixels a side
SPLITS = ("santoro", "lake")
SANTORO = 1200 / 1623  # the fraction of the characters that is for training
ROTATIONS = ("random", "classes", "none")


class Omniglot(Images):
    """Omniglot (Lake, Salakhutdinov, Tenenbaum 2015): 1,623 characters with 20 drawings each.

    Reading the 32,460 files takes a while, so the resized drawings are kept in the user's cache folder
    (``$XDG_CACHE_HOME/ntm_lab``, by default ``~/.cache/ntm_lab``); they are read again when a file has changed.

    Args:
        root: the folder that holds ``images_background`` and ``images_evaluation``, or that has them in ``omniglot-py``
            (torchvision) or ``python`` (the repository).
        split: ``santoro`` trains on 1,200 characters and tests on the other 423. The paper does not say which; here
            training has those whose names, such as ``images_background/Greek/character01``, have the lowest SHA-256.
            ``lake`` trains on the background set, 964 characters, and tests on the evaluation set, 659.
        size: pixels a side. A pixel is the mean of the ink in it.
        rotations: ``random`` turns each class of an episode by 0, 90, 180 or 270 degrees. ``classes`` makes four
            classes of every character, its rotations, which may meet in one episode (Santoro et al. 2016). ``none``
            turns nothing.
        shift: in training each image moves at random by −shift … shift pixels, down and across.
    """

    def __init__(
        self,
        root: str | Path | None,
        split: str = "santoro",
        size: int = 20,
        rotations: str = "random",
        shift: int = 1,
    ) -> None:
        self.root = root
        self.split_by = one_of("task.images.split", split, SPLITS)
        self.size = at_least("task.images.size", size, 1)
        if size > DRAWING:
            raise ValueError(f"task.images.size={size}: must be at most {DRAWING}, the size of the drawings")
        self.rotations = one_of("task.images.rotations", rotations, ROTATIONS)
        self.shift = at_least("task.images.shift", shift, 0)
        self.part: str | None = None  # None draws from all characters
        self.pixels = size * size

    @property
    def characters(self) -> Tensor:
        """The numbers of the characters of this part, (n,) int64."""
        return _part(read(self.root, self.size).names, self.split_by, self.part)

    @property
    def classes(self) -> int:
        return len(self.characters) * (4 if self.rotations == "classes" else 1)

    @property
    def per_class(self) -> int:
        return read(self.root, self.size).ink.shape[1]

    def split(self, part: str) -> Self:
        images = copy.copy(self)
        images.part = part
        return images

    def draw(self, batch_size: int, ways: int, shots: int, generator: torch.Generator) -> Tensor:
        chosen = choose([batch_size], ways, self.classes, generator)  # (B, ways)
        numbers = choose([batch_size, ways], shots, self.per_class, generator)  # (B, ways, shots)
        characters = self.characters
        number = characters[chosen % len(characters)][..., None] * self.per_class + numbers
        ink = pick(read(self.root, self.size).ink.flatten(0, 1), number)  # (B, ways, shots, P)
        if self.rotations == "random":
            turns = torch.randint(4, chosen.shape, generator=generator)
        else:
            turns = chosen // len(characters)  # all 0 without rotations
        places = _moved(self.size, self.shift if self.part == "training" else 0)  # (4, moves, P)
        moves = torch.randint(places.shape[1], numbers.shape, generator=generator)  # (B, ways, shots)
        places = pick(places.flatten(0, 1), turns[..., None] * places.shape[1] + moves)  # (B, ways, shots, P)
        return pad(ink, (0, 1)).gather(-1, places).float() / 255  # the pixel added is the blank one


@cache
def _part(names: tuple[str, ...], split: str, part: str | None) -> Tensor:
    """The numbers of the characters in a part of a split, (n,) int64."""
    if part is None:
        return torch.arange(len(names))
    if split == "lake":
        training = {name for name in names if name.startswith(SETS[0])}
    else:
        shuffled = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
        training = set(shuffled[: round(SANTORO * len(names))])
    return torch.tensor([index for index, name in enumerate(names) if (name in training) == (part == "training")])


@cache
def _moved(size: int, shift: int) -> Tensor:
    """Images turned by a quarter 0 to 3 times and then moved by −shift … shift pixels down and across: the number of
    the pixel that comes to each place, size² where none does -> (4, (2 · shift + 1)², size²) int64."""
    span = 2 * shift + 1
    square = pad(torch.arange(size * size).view(size, size), (shift,) * 4, value=size * size)
    moves = square.unfold(0, size, 1).unfold(1, size, 1).reshape(span * span, size * size)
    return pad(quarter_turns(size), (0, 1), value=size * size)[:, moves]
