"""Files of hostile content, of every kind that is read: each is one line, at once, and none runs code."""

import io
import json
import pickle
import random
import shutil
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import ntm_lab
from ntm_lab.cli import main
from ntm_lab.runs.config import CONFIG
from ntm_lab.runs.folder import CHECKPOINT, RESULTS, VERSIONS
from ntm_lab.zoo.card import CARD, WEIGHTS
from ntm_lab.zoo.find import give_away

SLOW = 20.0  # seconds that no file may take, on any machine
ALIASES = "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))])
DEEP = "[" * 100_000 + "]" * 100_000
LONG = "x" * 5000


class Outcome(NamedTuple):
    file: str
    said: str
    fault: str  # what is not as it has to be; empty if all is


def hostile(witness: Path) -> dict[str, tuple[str, bytes]]:
    """The contents by their names, with the file that each is put into. ``witness`` appears if one of them is run."""

    class Runs:
        def __reduce__(self) -> Any:
            return Path.touch, (witness,)

    tag = f"!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.PosixPath ['{witness}']]"
    code = pickle.dumps(Runs())
    texts = {
        "YAML: a tag that calls": (CONFIG, f"seed: {tag}"),
        "YAML: a tag that imports": (CONFIG, "seed: !!python/name:os.system"),
        "YAML: aliases": (CONFIG, ALIASES),
        "YAML: an alias of itself": (CONFIG, "a: &a [*a]"),
        "YAML: deep": (CONFIG, f"a: {DEEP}"),
        "YAML: a long name": (CONFIG, f"{LONG}: 1"),
        "YAML: a list": (CONFIG, "- 1"),
        "YAML: zeros": (CONFIG, "\0" * 1000),
        "YAML: large": (CONFIG, "a: 1 # " + "x" * 20_000_000),
        "JSON: deep": (CARD, DEEP),
        "JSON: a number of many digits": (CARD, "9" * 100_000),
        "JSON: a list": (CARD, "[]"),
        "JSON: a long name": (CARD, json.dumps({LONG: 1})),
        "results: deep": (RESULTS, DEEP),
        "results: a list": (RESULTS, "[1]"),
        "results: no test": (RESULTS, "{}"),
        "versions: deep": (VERSIONS, DEEP),
        "curves: zeros": ("metrics.csv", "\0" * 1000),
        "curves: one long field": ("metrics.csv", '"' + "x" * 10_000_000),
        "curves: other columns": ("metrics.csv", "a,b\n1,2\n"),
        "evaluations: deep": ("evaluations.json", DEEP),
    }
    return {name: (file, text.encode()) for name, (file, text) in texts.items()} | {
        "pickle as config": (CONFIG, code),
        "pickle as checkpoint": (CHECKPOINT, code),
        "pickle as card": (CARD, code),
        "pickle as weights": (WEIGHTS, code),
        "weights: a header of 9 EB": (WEIGHTS, struct.pack("<Q", 2**63) + b"{}"),
        "weights: a tensor of 9 EB": (
            WEIGHTS,
            _safetensors({"output.bias": {"dtype": "F32", "shape": [2**61], "data_offsets": [0, 2**63]}}),
        ),
    }


CARDS: dict[str, Callable[[dict[str, Any]], Any]] = {  # changes of a sound card's config
    "card: slots": lambda config: config["model"].update(slots=10**10),
    "card: width": lambda config: config["model"].update(width=10**12),
    "card: heads": lambda config: config["model"].update(read_heads=10**9),
    "card: layers": lambda config: config["model"]["controller"].update(layers=10**9),
    "card: size": lambda config: config["model"]["controller"].update(size=10**9),
    "card: bits": lambda config: config["task"].update(bits=10**10),
    "card: shift range": lambda config: config["model"].update(shift_range=10**9 + 1),
    "card: a shell": lambda config: config["model"]["controller"].update(_target_="os.system"),
    "card: a long class": lambda config: config["task"].update(_target_=f"a.{LONG}"),
    "card: a long key": lambda config: config["task"].update({LONG: 1}),
    "card: a text of many": lambda config: config["task"].update(bits=LONG),
}


def run(folder: Path, count: int | None = None, seed: int = 0) -> list[Outcome]:
    """The outcomes of so many hostile files, by chance, or of all, in copies of a finished run and of its model."""
    top = folder.parent / f"{folder.name}-hostile"
    top.mkdir()
    given, witness, contents = give_away(folder, top / "given"), top / "witness", hostile(top / "witness")
    every = [*contents, *CARDS, "a long name"]
    outcomes = []
    for name in every if count is None else random.Random(seed).sample(every, count):
        copied = top / name.replace(" ", "-") if name in CARDS or name in contents else Path(LONG)
        if name in contents:
            file, content = contents[name]
            shutil.copytree(given if file in (CARD, WEIGHTS) else folder, copied)
            (copied / file).write_bytes(content)
        elif name in CARDS:
            shutil.copytree(given, copied)
            card = json.loads((copied / CARD).read_text())
            CARDS[name](card["config"])
            (copied / CARD).write_text(json.dumps(card))
        outcomes.append(_outcome(name, copied, witness))
    shutil.rmtree(top)
    return outcomes


def _outcome(name: str, folder: Path, witness: Path) -> Outcome:
    """What those who read a folder make of it; some of them do not read the hostile file."""
    out, err = io.StringIO(), io.StringIO()
    commands = [["evaluate", str(folder), "--sequences", "2"]]
    if name.startswith(("JSON", "card", "weights", "a long name")):
        commands.append(["models", str(folder)])
    else:
        commands.append(["compare", str(folder), "--out", str(witness.parent / "out")])
    began = time.perf_counter()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            for command in commands:
                if main(command) == 0:
                    err.write("\n")
            try:
                ntm_lab.train(resume=str(folder))
            except ValueError as error:
                print(error, file=err)
    except Exception as error:
        return Outcome(name, "", f"a traceback: {type(error).__name__}: {str(error)[:200]}")
    said = [line for line in err.getvalue().splitlines() if line.strip()]
    if witness.exists():
        witness.unlink()
        return Outcome(name, "", "code was run")
    if time.perf_counter() - began > SLOW:
        return Outcome(name, "", f"took {time.perf_counter() - began:.0f} s")
    if len(said) > len(commands) + 1 or any(len(line) > 900 for line in said):
        return Outcome(name, said[0], "more than one line")
    return Outcome(name, "; ".join(said), "")


def report(outcomes: Sequence[Outcome]) -> str:
    bad = [outcome for outcome in outcomes if outcome.fault]
    lines = [f"{outcome.file}: {outcome.fault} | {outcome.said[:200]}" for outcome in bad]
    lines.append(f"{len(outcomes)} files of hostile content: {len(bad)} went wrong, none of the others ran code")
    return "\n".join(lines)


def _safetensors(header: dict[str, Any]) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text
