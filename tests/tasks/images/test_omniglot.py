"""The reader and the sampling of Omniglot, on a small copy of ours in the publishers' layout."""

import hashlib
import os

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import pad

from ntm_lab.tasks import OneShot
from ntm_lab.tasks.images import Omniglot
from ntm_lab.tasks.images import drawings as reader

BLOCK = 21  # pixels of a drawing that make one of 5 × 5
ALPHABETS = {"images_background": {"Greek": 4, "Latin": 3}, "images_evaluation": {"Tibetan": 5}}
NAMES = [
    f"{part}/{alphabet}/character{number:02d}"
    for part, alphabets in ALPHABETS.items()
    for alphabet, count in alphabets.items()
    for number in range(1, count + 1)
]
DRAWINGS = 4


def picture(character: int, drawing: int) -> np.ndarray:
    """5 × 5, 1 is ink: the corner that says which side is up, the binary digits of the character and the drawing."""
    image = np.zeros((5, 5), np.uint8)
    image[0, 0] = 1
    image[1, :4] = [character >> bit & 1 for bit in range(4)]
    image[3, 1:3] = [drawing >> bit & 1 for bit in range(2)]
    return image


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The folder of the small copy; the cache of this test is its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    reader.read.cache_clear()
    for character, name in enumerate(NAMES):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for drawing in range(DRAWINGS):
            paper = np.kron(1 - picture(character, drawing), np.full((BLOCK, BLOCK), 255, np.uint8))
            Image.fromarray(paper).convert("1").save(folder / f"{character + 1:04d}_{drawing + 1:02d}.png")
    yield tmp_path / "data"
    reader.read.cache_clear()


def read_again(root, size=5):
    reader.read.cache_clear()
    return reader.read(root, size)


def recognise(image: torch.Tensor) -> tuple[int, int, int]:
    """Which character and drawing an image (25,) is of, and by how many quarters it was turned."""
    for turns in range(4):
        back = image.view(5, 5).rot90(-turns)
        if back[0, 0] == 1:
            character = sum(int(back[1, bit]) << bit for bit in range(4))
            drawing = sum(int(back[3, 1 + bit]) << bit for bit in range(2))
            assert np.array_equal(back, picture(character, drawing))
            return character, drawing, turns
    raise AssertionError("no corner has ink")


def test_drawings_are_read_with_ink_as_1(root):
    names, ink = reader.read(root, 5)
    assert list(names) == NAMES
    expected = [[picture(character, drawing).ravel() for drawing in range(DRAWINGS)] for character in range(len(NAMES))]
    assert np.array_equal(ink, 255 * np.array(expected))


def test_a_pixel_is_the_mean_of_its_ink(root):
    """At 7 pixels a side one is 15 × 15 of the drawing: the second lies on 6 columns of the inked corner."""
    ink = reader.read(root, 7).ink[0, 0].view(7, 7)
    assert ink[0, :3].tolist() == [255, round(255 * 6 / 15), 0]
    assert ink[1, 1].item() == pytest.approx(255 * (6 / 15) ** 2, abs=1)


@pytest.mark.parametrize("above", ["omniglot-py", "python"])
def test_the_folder_may_be_one_below(root, above, tmp_path):
    (tmp_path / "other").mkdir()
    root.rename(tmp_path / "other" / above)
    assert len(reader.read(tmp_path / "other", 5).names) == len(NAMES)


def test_hidden_files_are_not_drawings(root):
    (root / NAMES[0] / "._0001_01.png").write_bytes(b"left by another system")
    (root / "images_background" / ".DS_Store").touch()
    assert len(reader.read(root, 5).ink) == len(NAMES)


@pytest.mark.parametrize("rotations, turned", [("random", {0, 1, 2, 3}), ("none", {0})])
def test_a_class_is_one_character_turned_as_a_whole(root, rotations, turned, generator):
    drawn = Omniglot(root, size=5, rotations=rotations).draw(50, len(NAMES), 3, generator)
    assert drawn.dtype == torch.float32
    assert drawn.shape == (50, len(NAMES), 3, 25)
    seen = set()
    for episode in drawn:
        rows = [[recognise(image) for image in row] for row in episode]
        assert {row[0][0] for row in rows} == set(range(len(NAMES)))
        for row in rows:
            assert len({(character, turns) for character, _, turns in row}) == 1
            assert len({drawing for _, drawing, _ in row}) == 3
            seen.add(row[0][2])
    assert seen == turned


def test_rotations_as_classes_may_meet_in_an_episode(root, generator):
    images = Omniglot(root, size=5, rotations="classes")
    assert images.classes == 4 * len(NAMES)
    (episode,) = images.draw(1, images.classes, 1, generator)
    pairs = {(character, turns) for character, _, turns in (recognise(row[0]) for row in episode)}
    assert pairs == {(character, turns) for character in range(len(NAMES)) for turns in range(4)}


@pytest.mark.parametrize("split", ["santoro", "lake"])
def test_training_and_testing_have_no_character_in_common(root, split, generator):
    shuffled = sorted(NAMES, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    training = set(shuffled[:9] if split == "santoro" else NAMES[:7])  # 9 of 12 is nearest to 1,200 of 1,623
    images = Omniglot(root, split=split, size=5, shift=0)
    for part, expected in (("training", training), ("testing", set(NAMES) - training)):
        one = images.split(part)
        assert (one.classes, one.per_class) == (len(expected), DRAWINGS)
        drawn = one.draw(1, one.classes, 1, generator)[0, :, 0]
        assert {NAMES[recognise(image)[0]] for image in drawn} == expected
    assert images.classes == len(NAMES)


def test_the_split_of_the_whole_set_is_santoros():
    from ntm_lab.tasks.images.omniglot import _part

    names = tuple(f"images_background/Alphabet/character{number}" for number in range(1623))
    assert [len(_part(names, "santoro", part)) for part in ("training", "testing")] == [1200, 423]


def moved(character: int, drawing: int) -> dict[tuple[int, ...], tuple[int, int]]:
    """The image moved by up to one pixel: how far down and across it went, by what it then looks like."""
    framed = pad(torch.from_numpy(picture(character, drawing)), (1, 1, 1, 1))
    return {
        tuple(framed[1 - down : 6 - down, 1 - across : 6 - across].flatten().tolist()): (down, across)
        for down in (-1, 0, 1)
        for across in (-1, 0, 1)
    }


@pytest.mark.parametrize("part, character, reach", [("training", 5, 1), ("testing", 10, 0)])
def test_shifts_are_of_training_only_and_bring_in_blank_pixels(root, part, character, reach, generator):
    moves = moved(character, 3)
    assert len(moves) == 9
    images = Omniglot(root, split="lake", size=5, rotations="none", shift=1).split(part)
    drawn = [tuple(image) for image in images.draw(400, 3, DRAWINGS, generator).flatten(0, 2).tolist()]
    found = {moves[image] for image in drawn if image in moves}
    assert found == {move for move in moves.values() if max(map(abs, move)) <= reach}


def test_the_images_of_a_class_move_each_on_its_own(root, generator):
    drawn = Omniglot(root, split="lake", size=5, rotations="none").split("training").draw(50, 1, DRAWINGS, generator)
    looks = [moved(character, drawing) for character in range(7) for drawing in range(DRAWINGS)]
    apart = 0
    for row in drawn.squeeze(1).tolist():
        possible = [{look[tuple(image)] for look in looks if tuple(image) in look} for image in row]
        assert all(possible)
        apart += not set.intersection(*possible)  # no one move explains them all
    assert apart > 25


def test_an_episode_of_the_task(root, generator):
    task = OneShot(ways=[2, 3], shots=[2, 4], images=Omniglot(root, size=5, shift=0)).split("testing")
    batch = task.sample(10, {"ways": 3, "shots": 4}, generator)
    for inputs, targets in zip(batch.inputs[..., :25], batch.targets[..., 0].tolist(), strict=True):
        characters = [recognise(image)[0] for image in inputs]
        assert len(set(zip(characters, targets, strict=True))) == len(set(characters)) == len(set(targets)) == 3


@pytest.mark.parametrize("longer, later, read", [(0, 0, False), (0, 1, True), (1, 0, True)])
def test_the_resized_drawings_are_kept(root, tmp_path, longer, later, read):
    """A file of another size or time is read again, and then found damaged; its content alone does not tell."""
    before = reader.read(root, 5).ink
    (kept,) = (tmp_path / "cache" / "ntm_lab").iterdir()
    file = next(root.rglob("*.png"))
    about = file.stat()
    file.write_bytes(b"x" * (about.st_size + longer))
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns + later))
    if read:
        with pytest.raises(ValueError, match=rf"task\.images\.root: {file} is no readable image"):
            read_again(root)
    else:
        assert torch.equal(read_again(root).ink, before)
    assert [*kept.parent.iterdir()] == [kept]


def test_another_size_is_kept_apart(root, tmp_path):
    assert reader.read(root, 5).ink.shape == (len(NAMES), DRAWINGS, 25)
    assert reader.read(root, 7).ink.shape == (len(NAMES), DRAWINGS, 49)
    assert len([*(tmp_path / "cache" / "ntm_lab").iterdir()]) == 2


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "other"])
def test_a_damaged_cache_is_written_anew(root, tmp_path, damage):
    before = reader.read(root, 5).ink
    (kept,) = (tmp_path / "cache" / "ntm_lab").iterdir()
    whole = kept.read_bytes()
    if damage == "other":
        np.save(kept, np.zeros((len(NAMES), DRAWINGS, 24), np.uint8))
    else:
        kept.write_bytes({"empty": b"", "cut": whole[:-1], "garbage": b"damaged"}[damage])
    assert torch.equal(read_again(root).ink, before)
    assert kept.read_bytes() == whole


def test_without_a_cache_folder_it_is_read_all_the_same(root, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(next(root.rglob("*.png"))))  # a file, in which no folder can be made
    assert len(reader.read(root, 5).ink) == len(NAMES)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("damage", ["garbage", "cut", "empty"])
def test_a_damaged_drawing_is_named(root, damage):
    file = sorted(root.rglob("*.png"))[5]
    content = file.read_bytes()
    file.write_bytes(
        {"garbage": b"\x89PNG\r\n" + content[::-1], "cut": content[: len(content) // 2], "empty": b""}[damage]
    )
    with pytest.raises(ValueError, match=rf"task\.images\.root: {file} is no readable image"):
        reader.read(root, 5)


def test_unequal_numbers_of_drawings_are_refused(root):
    next((root / NAMES[3]).iterdir()).unlink()
    with pytest.raises(ValueError, match=f"{NAMES[3]} has 3 drawings, and others 4"):
        reader.read(root, 5)


@pytest.mark.parametrize(
    "where, message",
    [
        pytest.param(None, r"task\.images\.root=null: must be a folder", id="none"),
        pytest.param("missing", r"task\.images\.root=.*missing: must be a folder that holds", id="missing"),
        pytest.param("data/images_background", "images_evaluation of Omniglot: .* brendenlake/omniglot", id="half"),
    ],
)
def test_a_folder_that_is_not_omniglot(root, tmp_path, where, message):
    images = Omniglot(where and tmp_path / where)  # what is not there is told when it is needed
    with pytest.raises(ValueError, match=message) as caught:
        OneShot(images=images).sample(1, {"ways": 2, "shots": 1}, torch.Generator())
    assert "\n" not in str(caught.value)


def test_a_folder_without_characters(root, tmp_path):
    for name in reader.SETS:
        (tmp_path / "empty" / name).mkdir(parents=True)
    with pytest.raises(ValueError, match="holds no alphabets with characters"):
        reader.read(tmp_path / "empty", 5)


@pytest.mark.parametrize(
    "settings, message",
    [
        pytest.param({"split": "vinyals"}, "split=vinyals: must be one of santoro, lake", id="split"),
        pytest.param({"size": 106}, "size=106: must be at most 105, the size of the drawings", id="size"),
        pytest.param({"size": 0}, "size=0: must be a whole number of at least 1", id="no_size"),
        pytest.param({"rotations": True}, "rotations=True: must be one of random, classes, none", id="rotations"),
        pytest.param({"shift": -1}, "shift=-1: must be a whole number of at least 0", id="shift"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=f"task.images.{message}"):
        Omniglot("anywhere", **settings)
