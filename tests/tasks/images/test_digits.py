import itertools

import pytest
import torch
from sklearn.datasets import load_digits
from torch import tensor

from ntm_lab.tasks.images import Digits


@pytest.fixture(scope="module")
def numbers():
    """Of every image its digit, and which one of that digit it is in scikit-learn's file."""
    data, found, counts = load_digits(), {}, [0] * 10
    for image, digit in zip(data.data / 16, data.target.tolist(), strict=True):
        found[tuple(tensor(image).float().tolist())] = (digit, counts[digit])
        counts[digit] += 1
    assert len(found) == 1797
    return found


@pytest.mark.parametrize("part, first, last", [("training", 0, 119), ("testing", 120, 173)])
def test_parts_have_no_image_in_common(part, first, last, numbers, generator):
    images = Digits(disguise="none").split(part)
    drawn = images.draw(1, 10, images.per_class, generator)
    found = {numbers[tuple(image)] for image in drawn.flatten(0, 2).tolist()}
    assert {number for _, number in found} == set(range(first, last + 1))
    assert len(found) == 10 * (last + 1 - first)


def test_classes_and_images_are_distinct(numbers, generator):
    drawn = Digits(disguise="none").draw(50, 10, 8, generator)
    for episode in drawn.tolist():
        found = [[numbers[tuple(image)] for image in row] for row in episode]
        digits = [{digit for digit, _ in row} for row in found]
        assert all(len(row) == 1 for row in digits)
        assert set.union(*digits) == set(range(10))
        assert all(len(set(row)) == 8 for row in found)


def places(image_columns: list, columns: list) -> dict[int, int]:
    """Where each pixel of a digit went, by the column of its values over all images, if no other column is alike."""
    return {
        pixel: image_columns.index(column)
        for pixel, column in enumerate(columns)
        if columns.count(column) == image_columns.count(column) == 1
    }


def test_every_class_has_a_permutation_of_its_own(numbers, generator):
    """All images of every digit, twice. As columns over its images, the pixels of a digit are moved and not mixed."""

    def columns(rows):  # sorted, since images come in any order
        return [tuple(sorted(column)) for column in rows.T.tolist()]

    plain = {
        numbers[tuple(rows[0].tolist())][0]: columns(rows)
        for rows in Digits(disguise="none").draw(1, 10, 174, generator)[0]
    }
    moves = []
    for rows in Digits().draw(2, 10, 174, generator).flatten(0, 1):
        moved = columns(rows)
        (digit,) = [digit for digit, expected in plain.items() if sorted(expected) == sorted(moved)]
        moves.append(places(moved, plain[digit]))
    assert all(len(move) > 40 for move in moves)
    for one, other in itertools.combinations(moves, 2):
        both = one.keys() & other.keys()
        assert sum(one[pixel] == other[pixel] for pixel in both) < len(both) / 4  # a place in 64 by chance


def test_rotations_are_quarter_turns_of_the_whole_class(numbers, generator):
    drawn = Digits(disguise="rotate").draw(20, 3, 4, generator)
    turns = []
    for row in drawn.unflatten(-1, (8, 8)).flatten(0, 1):
        back = [turn for turn in range(4) if tuple(row[0].rot90(-turn).flatten().tolist()) in numbers]
        assert len(back) == 1
        found = [numbers.get(tuple(image.rot90(-back[0]).flatten().tolist())) for image in row]
        assert None not in found
        assert len({digit for digit, _ in found}) == 1
        turns.append(back[0])
    assert set(turns) == {0, 1, 2, 3}


def test_pixels_are_ink_from_0_to_1(generator):
    drawn = Digits().draw(4, 5, 10, generator)
    assert drawn.dtype == torch.float32
    assert (drawn.min(), drawn.max()) == (0, 1)


def test_bad_settings():
    with pytest.raises(ValueError, match=r"task\.images\.disguise=shuffle: must be one of permute, rotate, none"):
        Digits(disguise="shuffle")
