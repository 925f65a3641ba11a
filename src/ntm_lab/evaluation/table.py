"""Detailed rows of results as text for a terminal."""

from collections.abc import Mapping, Sequence
from itertools import pairwise, zip_longest
from statistics import median
from typing import Any

from ntm_lab.tasks.difficulties import in_words

Row = Mapping[str, Any]
PARTS = 5  # of an answer, by which the position of errors is told


def table(rows: Sequence[Row]) -> str:
    """Detailed rows of `evaluate`: measures with their intervals and yardsticks, then where errors fall and of what
    kind they are, or by how much the cost exceeds the optimum."""
    head = ["fresh sequences", "n", "slots", "cost, bits", "wrong bits", "exact", "chance: cost", "wrong bits"]
    lines = [head]
    for row in rows:
        low, high = row["exact_interval"]
        lines.append(
            [
                in_words(row["difficulty"]),
                str(row["n"]),
                str(row.get("slots", "–")),
                _mean(row["cost_bits"], row["cost_interval"]),
                _mean(row["wrong_bits"], row["wrong_interval"]),
                f"{row['exact']:.1%} ({low:.1%} … {high:.1%})",
                f"{row['chance']['cost_bits']:g}",
                f"{row['chance']['wrong_bits']:g}",
            ]
        )
    parts = [aligned(lines), *filter(None, (_gaps(rows), _errors(rows)))]
    return "\n\n".join(parts)


def _gaps(rows: Sequence[Row]) -> str | None:
    """By how much the optimum is missed, in all and along the sequence."""
    rows = [row for row in rows if "gap_bits" in row]
    if not rows:
        return None
    lines = [["the optimum", "cost, bits", "wrong bits", "gap to it, bits", *_HEADS]]
    for row in rows:
        optimum = [_bits(row["solve"]["cost_bits"]), _bits(row["solve"]["wrong_bits"])]
        gap = _mean(row["gap_bits"], row["gap_interval"])
        by_part = [f"{value:.4f}" for value in _in_parts(row["gap_by_step"])]
        lines.append([in_words(row["difficulty"]), *optimum, gap, *by_part])
    return aligned(lines) + f"\n(right: gap in bits per prediction in each of {PARTS} parts of the sequence)"


def _errors(rows: Sequence[Row]) -> str | None:
    """Of what kind errors are, and where."""
    rows = [row for row in rows if "errors" in row and row["wrong_bits"] > 0]
    if not rows:
        return None
    lines = [["sequences with errors", "wrong bits only", "doubled", "skipped", "shifted from", *_HEADS]]
    for row in rows:
        errors = row["errors"]
        counts = [str(errors[kind]) for kind in ("wrong_bits_only", "doubled", "skipped")]
        steps = [step + 1 for _, step in errors["shifts"]]
        start = f"{median(steps):g} of {len(row['by_step']['wrong_bits'])}" if steps else "–"
        by_part = [f"{value:.3f}" for value in _in_parts(row["by_step"]["wrong_bits"])]
        lines.append([in_words(row["difficulty"]), *counts, start, *by_part])
    return aligned(lines) + (
        "\n(doubled, skipped: a vector said twice or left out shifts all that follows, from the step told, a median;"
        f"\nright: wrong bits per step in each of {PARTS} parts of the answer)"
    )


_HEADS = [f"{part}/{PARTS}" for part in range(1, PARTS + 1)]


def _in_parts(values: Sequence[float]) -> list[float]:
    """Means of `PARTS` parts as even as can be; the values themselves if there are fewer."""
    count = min(PARTS, len(values))
    ends = [round(part * len(values) / count) for part in range(count + 1)]
    return [sum(values[start:end]) / (end - start) for start, end in pairwise(ends)]


def _mean(value: float, interval: Sequence[float] | None) -> str:
    """A mean and half the width of its interval, if there is one, to as many places."""
    return _bits(value) + ("" if interval is None else f" ± {interval[1] - value:.{_places(value)}f}")


def _bits(value: float) -> str:
    return f"{value:.{_places(value)}f}"


def _places(value: float) -> int:
    """Behind the point."""
    return 3 if abs(value) < 100 else 1


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first to the left, the others to the right; short lines are filled up."""
    columns = list(zip_longest(*lines, fillvalue=""))
    widths = [max(map(len, column)) for column in columns]
    aligns = [str.ljust] + [str.rjust] * (len(columns) - 1)
    return "\n".join(
        "  ".join(align(cell, width) for align, cell, width in zip(aligns, line, widths, strict=True)).rstrip()
        for line in zip(*columns, strict=True)
    )
