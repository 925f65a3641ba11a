"""`ntm-lab models`: the trained models of the package as a table, or the card of one model."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import Any

from ntm_lab.evaluation.table import aligned
from ntm_lab.tasks.answers import measures_of, unit_of
from ntm_lab.tasks.difficulties import in_words
from ntm_lab.zoo import shipped
from ntm_lab.zoo.card import Card, hardest, read_card, size_in_bytes
from ntm_lab.zoo.find import locate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help="a name from the list, or the folder of a shared model"
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the table, or the card of the named model.

    Raises FileNotFoundError if there is no such model, ValueError if its card is damaged.
    """
    if arguments.model is None:
        print(overview(shipped.cards()))
    else:
        folder = locate(arguments.model)
        print(in_full(read_card(folder), folder))


def overview(cards: Mapping[str, Card]) -> str:
    """A line for every model of the package: its test at the hardest difficulty, and the short name of the best model
    of each task."""
    short = {name: group for group, name in shipped.best(cards).items() if name != group}
    lines = [["name", "parameters", "kB", "sequences", "hardest test", "wrong bits", "exact", "best"]]
    for name, card in cards.items():
        row = hardest(card["test"])
        size = size_in_bytes(shipped.FOLDER / name) / 1000
        cost = [name, f"{card['parameters']:,}", f"{size:,.0f}", f"{card['sequences']:,}"]
        test = [in_words(row["difficulty"]), f"{row['wrong_bits']:.4f}", f"{row['exact']:.2%}"]
        lines.append([*cost, *test, short.get(name, "")])
    return (
        f"{aligned(lines)}\n\n"
        "sequences: seen in training; wrong bits: per fresh sequence; exact: share of sequences without an error;\n"
        "best: a short name for the best controller. `ntm-lab models MODEL` prints a model's card."
    )


def in_full(card: Card, folder: Path) -> str:
    """A card as text."""
    found = [group for group, name in shipped.best(shipped.cards()).items() if folder == shipped.FOLDER / name]
    facts = {
        **{key: card[key] for key in ("task", "model", "controller")},
        "best": ", ".join(found),
        "parameters": f"{card['parameters']:,}, {size_in_bytes(folder) / 1000:,.0f} kB on disk",
        "training": f"{card['sequences']:,} sequences in {card['seconds']:.1f} s, seed {card['seed']}",
        "command": card["command"],
        "packages": ", ".join(f"{package} {version}" for package, version in card["packages"].items()),
        "versions": ", ".join(f"{package} {version}" for package, version in card["versions"].items()),
        "folder": str(folder),
    }
    tests = card["test"]
    measures, optimum = measures_of(tests[0]), f"optimum_{unit_of(tests[0])}"
    with_optimum = any(optimum in row for row in tests)
    words = [*(measure.words for measure in measures), *([optimum.replace("_", ", ", 1)] if with_optimum else [])]
    lines = [[f"fresh sequences, seed {card['test_seed']}", "n", *words]]
    for row in tests:
        values = [f"{row[measure.name]:{'.2%' if measure.kind == 'exact' else '.4f'}}" for measure in measures]
        best = [f"{row[optimum]:.4f}"] if optimum in row else []
        lines.append([in_words(row["difficulty"]), str(row["n"]), *values, *best])
    config = {key: card["config"][key] for key in ("task", "model")}
    return "\n".join(
        [
            card["name"],
            *(f"  {key:<12}{value}" for key, value in facts.items() if value),
            "",
            indent(aligned(lines), "  "),
            "",
            *_nested(config, "  "),
        ]
    )


def _nested(node: Mapping[str, Any], margin: str) -> list[str]:
    """A nested mapping as lines of YAML."""
    lines = []
    for key, value in node.items():
        if isinstance(value, Mapping):
            lines += [f"{margin}{key}:", *_nested(value, margin + "  ")]
        else:
            lines.append(f"{margin}{key}: {value if isinstance(value, str) else json.dumps(value)}")
    return lines
