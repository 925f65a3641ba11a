"""Reads a folder of Omniglot once, and keeps the resized drawings in the user's cache folder."""

import contextlib
import hashlib
import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

SETS = ("images_background", "images_evaluation")
FORMAT = 1  # of the cached array; raised when other numbers are computed from the same files


class Drawings(NamedTuple):
    """All characters, sorted by name, and their drawings."""

    names: tuple[str, ...]  # images_background/Greek/character01, …
    ink: Tensor  # (characters, drawings of each, size²) uint8, 255 is all ink


@cache
def read(root: str | Path | None, size: int) -> Drawings:
    """The drawings under a folder, each resized to `size` × `size` pixels whose value is the mean of the ink in them.

    Raises ValueError, which names ``task.images.root``, if that is not a folder of Omniglot or a file is damaged.
    """
    folder = find(root)
    characters = _characters(folder)
    shape = (len(characters), len(characters[0][1]), size * size)
    kept = cache_folder() / f"omniglot-{size}-{_stamp(folder, characters)}.npy"
    ink = _load(kept, shape)
    if ink is None:
        ink = _read(characters, shape, size)
        _save(kept, ink)
    return Drawings(tuple(name for name, _ in characters), torch.from_numpy(ink))


def find(root: str | Path | None) -> Path:
    """The folder that holds both sets: the root, or ``omniglot-py`` or ``python`` in it."""
    if root is not None:
        given = Path(root).expanduser()
        for folder in (given, given / "omniglot-py", given / "python"):
            if all((folder / name).is_dir() for name in SETS):
                return folder
    raise ValueError(
        f"task.images.root={'null' if root is None else root}: must be a folder that holds {' and '.join(SETS)} of "
        "Omniglot: unzipped from the repository brendenlake/omniglot, or as torchvision.datasets.Omniglot lays them out"
    )


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/ntm_lab``, by default ``~/.cache/ntm_lab``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "ntm_lab"


def _characters(folder: Path) -> list[tuple[str, list[Path]]]:
    """Every character's name and the files of its drawings, both sorted; ValueError unless all have equally many."""
    characters = []
    for name in SETS:
        for place in sorted(place for place in (folder / name).glob("*/*") if place.is_dir()):
            files = sorted(file for file in place.glob("*.png") if not file.name.startswith("."))
            characters.append((place.relative_to(folder).as_posix(), files))
    if not characters:
        raise ValueError(f"task.images.root={folder}: holds no alphabets with characters")
    count = len(characters[0][1])
    for name, files in characters:
        if not files or len(files) != count:
            raise ValueError(f"task.images.root={folder}: {name} has {len(files)} drawings, and others {count}")
    return characters


def _stamp(folder: Path, characters: list[tuple[str, list[Path]]]) -> str:
    """Changes with the name, the size or the time of change of any file."""
    digest = hashlib.sha256(f"{FORMAT}\n".encode())
    for _, files in characters:
        for file in files:
            about = file.stat()
            digest.update(f"{file.relative_to(folder).as_posix()} {about.st_size} {about.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _read(characters: list[tuple[str, list[Path]]], shape: tuple[int, int, int], size: int) -> np.ndarray:
    """The drawings (characters, drawings, size²) uint8."""
    from PIL import Image

    ink = np.empty(shape, np.uint8)
    with tqdm(total=shape[0] * shape[1], desc="reading Omniglot", unit=" drawings", disable=None, leave=False) as bar:
        for row, (_, files) in zip(ink, characters, strict=True):
            for pixels, file in zip(row, files, strict=True):
                try:
                    with Image.open(file) as image:
                        resized = image.convert("L").resize((size, size), Image.Resampling.BOX)
                except (OSError, SyntaxError) as error:  # as Pillow calls a broken PNG
                    raise ValueError(f"task.images.root: {file} is no readable image ({error})") from error
                pixels[:] = 255 - np.asarray(resized).ravel()  # ink is black
            bar.update(len(files))
    return ink


def _load(path: Path, shape: tuple[int, int, int]) -> np.ndarray | None:
    """The cached array; None if there is none or it is damaged."""
    with contextlib.suppress(OSError, ValueError, EOFError):
        ink = np.load(path, allow_pickle=False)
        if ink.shape == shape and ink.dtype == np.uint8:
            return ink
    return None


def _save(path: Path, ink: np.ndarray) -> None:
    """Write the cache whole or not at all; a folder that cannot be written is no error."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")  # two processes may read the folder at once
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.save(file, ink)
        partial.replace(path)
