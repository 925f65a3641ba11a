"""The trained models that come with the package: their names, and which of them are the best."""

from collections.abc import Mapping
from pathlib import Path

from ntm_lab.tasks.difficulties import label
from ntm_lab.zoo.card import CARD, Card, hardest, read_card

FOLDER = Path(__file__).parent / "pretrained"


def cards() -> dict[str, Card]:
    """The cards of all models that come with the package, by name."""
    return {path.parent.name: read_card(path.parent) for path in sorted(FOLDER.glob(f"*/{CARD}"))}


def best(known: Mapping[str, Card]) -> dict[str, str]:
    """Which is the best of all controllers, by task and model: ``{"copy-ntm": "copy-ntm-lstm", …}``.

    The best has the fewest wrong bits at the hardest difficulty that all of them were tested at (at its own hardest
    where there is none), or the least cost where not even the perfect answer is free; the cost decides a tie.
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
        return (0 if "optimum_bits" in row else row["wrong_bits"]), row["cost_bits"]

    return min(rivals, key=shortfall)
