"""The signals of a model, by name."""

from collections.abc import Sequence


def chosen(names: Sequence[str] | None, known: Sequence[str]) -> Sequence[str]:
    """The names asked for, all that are known for None; ValueError tells which there are if one is not."""
    for name in names or ():
        if name not in known:
            raise ValueError(f"signal {name!r}: this model has only {', '.join(known)}")
    return known if names is None else names
