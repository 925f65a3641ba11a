"""Damaged checkpoints: what of last.ckpt has changed is refused, or makes no difference."""

import io
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from same import same

import ntm_lab
from ntm_lab.runs.config import RunError, saved
from ntm_lab.runs.folder import CHECKPOINT
from ntm_lab.runs.resume import last_checkpoint

Damage = Callable[[bytes, random.Random], bytes]


class Outcome(NamedTuple):
    damage: str
    said: str  # why it was refused; empty if it was accepted
    fault: str  # what is not as it has to be; empty if all is


def flip_anywhere(content: bytes, chance: random.Random) -> bytes:
    return _flipped(content, chance.randrange(len(content)), chance)


def flip_in_the_directory(content: bytes, chance: random.Random) -> bytes:
    return _flipped(content, chance.randrange(content.index(b"PK\1\2"), len(content)), chance)


def flip_in_a_header(content: bytes, chance: random.Random) -> bytes:
    headers = [member.header_offset for member in zipfile.ZipFile(io.BytesIO(content)).infolist()]
    return _flipped(content, chance.choice(headers) + chance.randrange(60), chance)


def truncated(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def a_page_of_zeros(content: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content))
    return content[:start] + bytes(min(512, len(content) - start)) + content[start + 512 :]


def a_byte_more(content: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content))
    return content[:start] + bytes([chance.randrange(256)]) + content[start:]


def swapped_contents(content: bytes, chance: random.Random) -> bytes:
    """Two members have each other's content, with sound checksums."""
    members = _members(content)
    one, other = chance.sample([name for name in members if "/data/" in name], 2)
    members[one], members[other] = members[other], members[one]
    return _archive(members)


def swapped_names(content: bytes, chance: random.Random) -> bytes:
    """Two members have each other's name, wherever names stand; all checksums stay sound."""
    names = [name.encode() for name in _members(content) if "/data/" in name]
    one, other = chance.sample([name for name in names if len(name) == len(names[-1])], 2)
    mark = b"?" * len(one)
    return content.replace(one, mark).replace(other, one).replace(mark, other)


def lost_member(content: bytes, chance: random.Random) -> bytes:
    members = _members(content)
    del members[chance.choice([name for name in members if "/data/" in name])]
    return _archive(members)


def changed_values(content: bytes, chance: random.Random) -> bytes:
    """A member has other content and its right checksum."""
    members = _members(content)
    name = chance.choice([name for name in members if "/data/" in name and members[name]])
    members[name] = _flipped(members[name], chance.randrange(len(members[name])), chance)
    return _archive(members)


DAMAGES: dict[Damage, int] = {  # and their shares
    flip_anywhere: 4,
    flip_in_the_directory: 4,
    flip_in_a_header: 4,
    truncated: 2,
    a_page_of_zeros: 2,
    a_byte_more: 2,
    swapped_contents: 1,
    swapped_names: 1,
    lost_member: 1,
    changed_values: 1,
}


def foreign(folder: Path, witness: Path) -> dict[str, bytes]:
    """Files that are no checkpoint of a run; some run code when they are unpickled, which leaves a witness."""

    class Runs:
        def __reduce__(self) -> Any:
            return Path.touch, (witness,)

    def saved_as(content: Any, **how: Any) -> bytes:
        file = io.BytesIO()
        torch.save(content, file, **how)
        return file.getvalue()

    sound = torch.load(folder / CHECKPOINT, weights_only=True)
    legacy = {"_use_new_zipfile_serialization": False}
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**8))
    found: dict[str, Any] = {
        **{
            name: saved_as(content) for name, content in (("a list", [1]), ("a tensor", torch.zeros(3)), ("None", None))
        },
        **{f"no {key}": saved_as({name: part for name, part in sound.items() if name != key}) for key in sound},
        **{f"{key} a number": saved_as(sound | {key: 3}) for key in sound if key != "epoch"},
        "weights of numbers": saved_as(sound | {"state_dict": {1: 2}}),
        "code": saved_as(sound | {"learner": Runs()}),
        "code in the old format": saved_as({"state_dict": Runs()}, **legacy),
        "the old format": saved_as(sound, **legacy),
        "a pickle": pickle.dumps(Runs()),
        "a zip bomb": bomb.getvalue(),
        "text": b"PK" * 100,
        "nothing": b"",
    }
    return found


def run(folder: Path, count: int, seed: int = 0) -> list[Outcome]:
    """The outcomes of so many damages, by chance, to the checkpoint of a finished run, and of a fifth as many foreign
    files, or all that there are.

    Works in a copy of the folder.
    """
    chance, copied, witness = random.Random(seed), folder.parent / f"{folder.name}-damaged", folder.parent / "witness"
    content = (folder / CHECKPOINT).read_bytes()
    outcomes = []
    shutil.copytree(folder, copied)
    for damage in chance.choices([*DAMAGES], [*DAMAGES.values()], k=count):
        (copied / CHECKPOINT).write_bytes(damage(content, chance))
        outcomes.append(_read(damage.__name__, folder, copied))
    others = [*foreign(folder, witness).items()]
    for name, other in chance.sample(others, min(count // 5, len(others))):
        (copied / CHECKPOINT).write_bytes(other)
        outcomes.append(_outcome(name, lambda: ntm_lab.load(copied), lambda: ntm_lab.train(resume=str(copied))))
        if witness.exists():
            outcomes[-1] = outcomes[-1]._replace(fault="code was run")
            witness.unlink()
    shutil.rmtree(copied)
    return outcomes


def _read(name: str, folder: Path, copied: Path) -> Outcome:
    """The outcome of reading a damaged copy: it is refused by all who read it, or it has the values of the original."""
    outcome = _outcome(name, lambda: last_checkpoint(copied, saved(copied, set())), lambda: ntm_lab.load(copied))
    if outcome.said or outcome.fault:
        return outcome
    sound, read = (torch.load(top / CHECKPOINT, weights_only=True) for top in (folder, copied))
    return outcome if same(sound, read) else outcome._replace(fault="accepted with other values")


def _outcome(name: str, *calls: Callable[[], Any]) -> Outcome:
    said = []
    for call in calls:
        try:
            call()
        except (RunError, ValueError) as error:
            said.append(str(error))
        except Exception as error:
            return Outcome(name, "", f"a traceback: {type(error).__name__}: {error}")
    if any(len(line.splitlines()) != 1 or len(line) > 900 for line in said):
        return Outcome(name, said[0], "more than one line")
    return Outcome(name, "; ".join(said), "")


def report(outcomes: Sequence[Outcome]) -> str:
    bad = [outcome for outcome in outcomes if outcome.fault]
    lines = [f"{outcome.damage}: {outcome.fault[:300]} | {outcome.said[:200]}" for outcome in bad]
    refused = sum(bool(outcome.said) and not outcome.fault for outcome in outcomes)
    lines.append(
        f"{len(outcomes)} damaged checkpoints: {refused} refused in one line, "
        f"{len(outcomes) - refused - len(bad)} with the values that were written, {len(bad)} went wrong"
    )
    return "\n".join(lines)


def _flipped(content: bytes, place: int, chance: random.Random) -> bytes:
    changed = bytearray(content)
    changed[place % len(content)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _archive(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in members.items():
            archive.writestr(name, part)
    return file.getvalue()
