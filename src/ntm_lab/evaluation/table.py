"""Detailed rows of results as text for a terminal."""

from collections.abc import Mapping, Sequence
from itertools import pairwise, zip_longest
from statistics import median
from typing import Any

from ntm_lab.evaluation.babi import GROUP, errors_by_task
from ntm_lab.tasks.answers import measures_of, unit_of
from ntm_lab.tasks.difficulties import in_words
from ntm_lab.types import Measure

Row = Mapping[str, Any]
PARTS = 5  # of an answer, for the position of errors


def table(rows: Sequence[Row]) -> str:
    """Detailed rows of `evaluate`: measures with intervals and chance, the cost above the optimum, the place and kind
    of errors, and the share of right answers in each group."""
    measures = measures_of(rows[0])
    chance = [measure for measure in measures if measure.name in rows[0]["chance"]]
    yardsticks = [measure.words.partition(",")[0] for measure in chance]  # without the unit
    yardsticks[0] = f"chance: {yardsticks[0]}"
    lines = [["fresh sequences", "n", "slots", *(measure.words for measure in measures), *yardsticks]]
    for row in rows:
        lines.append(
            [
                _name(row),
                str(row["n"]),
                str(row.get("slots", "–")),
                *(_cell(row, measure) for measure in measures),
                *(f"{row['chance'][measure.name]:g}" for measure in chance),
            ]
        )
    parts = [aligned(lines), *filter(None, (_gaps(rows), _errors(rows), _groups(rows), _tasks(rows)))]
    return "\n\n".join(parts)


def _name(row: Row) -> str:
    """What a row is about: its difficulty, and its ablation if it has one."""
    return ", ".join(filter(None, (row.get("ablation"), in_words(row["difficulty"]))))


def _cell(row: Row, measure: Measure) -> str:
    """A measure with its interval."""
    value, interval = row[measure.name], row[measure.interval]
    return _share(value, interval) if measure.kind == "exact" else _mean(value, interval)


def _gaps(rows: Sequence[Row]) -> str | None:
    """The cost above the optimum, in total and along the sequence."""
    unit = unit_of(rows[0])
    rows = [row for row in rows if f"gap_{unit}" in row]
    if not rows:
        return None
    measures, words = [m for m in measures_of(rows[0]) if m.kind != "exact"], unit.replace("_", " ")
    lines = [["the optimum", *(measure.words for measure in measures), f"gap to it, {words}", *_HEADS]]
    for row in rows:
        optimum = [_number(row["solve"][measure.name]) for measure in measures]
        gap = _mean(row[f"gap_{unit}"], row["gap_interval"])
        by_part = [f"{value:.4f}" for value in _in_parts(row.get("gap_by_step", ()))]
        lines.append([_name(row), *optimum, gap, *by_part])
    return aligned(lines) + f"\n(right: gap in {words} per prediction in each of {PARTS} parts of the sequence)"


def _errors(rows: Sequence[Row]) -> str | None:
    """The place of errors and, for bits, their kind."""
    errors = next((measure for measure in measures_of(rows[0]) if measure.kind == "wrong"), None)
    if errors is None:
        return None
    rows = [row for row in rows if not any(key.startswith("gap_") for key in row)]
    rows = [row for row in rows if "by_step" in row and row[errors.name] > 0]
    if not rows:
        return None
    kinds = "errors" in rows[0]
    lines = [["sequences with errors", *(_KINDS if kinds else ()), *_HEADS]]
    for row in rows:
        wrong = row["by_step"][errors.name]
        by_part = [f"{value:.3f}" for value in _in_parts(wrong)]
        lines.append([_name(row), *(_counts(row["errors"], len(wrong)) if kinds else ()), *by_part])
    told = f"right: {errors.words} per step in each of {PARTS} parts of the answer)"
    if not kinds:
        return f"{aligned(lines)}\n({told}"
    return aligned(lines) + (
        "\n(doubled, skipped: a repeated or missing vector shifts all that follow, from the given step on, a median;"
        f"\n{told}"
    )


_KINDS = ("wrong bits only", "doubled", "skipped", "shifted from")


def _counts(errors: Mapping[str, Any], steps: int) -> list[str]:
    """The number of sequences with each kind of error, and the step from which sequences are shifted."""
    shifted = [step + 1 for _, step in errors["shifts"]]
    start = f"{median(shifted):g} of {steps}" if shifted else "–"
    return [*(str(errors[kind]) for kind in ("wrong_bits_only", "doubled", "skipped")), start]


def _groups(rows: Sequence[Row]) -> str | None:
    """The share of right answers in each of the task's groups, and that of its own solution if it has to guess."""
    rows = [row for row in rows if row.get("by_group")]
    names = dict.fromkeys(name for row in rows for name in row["by_group"] if not name.startswith(GROUP))
    if not names:
        return None
    guessing = [row for row in rows if min(row["by_group_solve"].values()) < 1]
    heads = [
        *(_name(row) for row in rows),
        *(f"best, {in_words(row['difficulty'])}" for row in guessing),
    ]
    lines = [["right answers", *heads]]
    for name in names:
        shares = [_share(row["by_group"].get(name), row["by_group_interval"].get(name)) for row in rows]
        lines.append([name, *shares, *(_share(row["by_group_solve"].get(name)) for row in guessing)])
    told = "\n(best: the solution of the task itself, which can only guess there)" if guessing else ""
    return aligned(lines) + told


def _share(share: float | None, interval: Sequence[float] | None = None) -> str:
    if share is None:
        return "–"
    return f"{share:.1%}" + ("" if interval is None else f" ({interval[0]:.1%} … {interval[1]:.1%})")


def _tasks(rows: Sequence[Row]) -> str | None:
    """The errors on each task of bAbI."""
    return "\n\n".join(aligned(lines) for lines in map(errors_by_task, rows) if lines) or None


_HEADS = [f"{part}/{PARTS}" for part in range(1, PARTS + 1)]


def _in_parts(values: Sequence[float]) -> list[float]:
    """Means of `PARTS` parts of nearly equal size; the values themselves if there are fewer."""
    count = min(PARTS, len(values))
    if not count:
        return []
    ends = [round(part * len(values) / count) for part in range(count + 1)]
    return [sum(values[start:end]) / (end - start) for start, end in pairwise(ends)]


def _mean(value: float, interval: Sequence[float] | None) -> str:
    """A mean and half the width of its interval, if there is one, with the same number of decimals."""
    return _number(value) + ("" if interval is None else f" ± {interval[1] - value:.{_places(value)}f}")


def _number(value: float) -> str:
    return f"{value:.{_places(value)}f}"


def _places(value: float) -> int:
    """Decimals."""
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
