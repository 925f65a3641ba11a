"""The trained models that come with the package, and the best ones among them."""

from collections.abc import Mapping
from pathlib import Path

from ntm_lab.tasks.answers import measures_of, unit_of
from ntm_lab.tasks.difficulties import label
from ntm_lab.zoo.card import CARD, Card, hardest, read_card

FOLDER = Path(__file__).parent / "pretrained"


def cards() -> dict[str, Card]:
    """The cards of all models that come with the package, by name."""
    return {path.parent.name: read_card(path.parent) for path in sorted(FOLDER.glob(f"*/{CARD}"))}


def best(known: Mapping[str, Card]) -> dict[str, str]:
    """The model with the best controller, by task and model: ``{"copy-ntm": "copy-ntm-lstm", …}``.

    The best has the fewest errors at the hardest difficulty that all of them were tested at (at its own hardest where
    there is none), or the least cost where even the perfect answer has one; the cost decides a tie.
    """
    groups: dict[str, list[str]] = {}
    for name, card in known.items():
        groups.setdefault(f"{card['task']}-{card['model']}".replace("_", "-"), []).append(name)
    return {group: _best_of({name: known[name] for name in names}) for group, names in groups.items()}


def _best_of(rivals: Mapping[str, Card]) -> str:
    tested = [{label(row["difficulty"]) for row in card["test"]} for card in rivals.values()]
    shared = set.intersection(*tested)

    def shortfall(name: str) -> tuple[float, float]:
        rows = [row for row in rivals[name]["test"] if label(row["difficulty"]) in shared]
        row = hardest(rows or rivals[name]["test"])
        cost, *others = measures_of(row)
        errors = [row[measure.name] for measure in others if measure.kind == "wrong"]
        costly = f"optimum_{unit_of(row)}" in row
        return (errors[0] if errors and not costly else 0), row[cost.name]

    return min(rivals, key=shortfall)
