"""A run's results as a few lines of text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ntm_lab.tasks.answers import measures_of, unit_of
from ntm_lab.tasks.difficulties import in_words
from ntm_lab.types import Measure


def summary(results: Mapping[str, Any], folder: Path) -> str:
    """A table of the test on fresh sequences, the length of training, and the run's folder."""
    rows = results["test"]
    heads = [f"{measure.words:>{_width(measure)}}" for measure in (measures_of(rows[0]) if rows else ())]
    lines = [
        "",
        f"{'fresh sequences':<28}{'n':>6}{''.join(heads)}",
        *map(_row, rows),
        "",
        f"{results['model']} on {results['task']}, {results['parameters']:,} parameters, "
        f"{results['state_bits']:,} bits of state, seed {results['seed']}: "
        f"{results['sequences']:,} sequences in {results['seconds']:.1f} s of training, "
        f"ended by {results['stopped_by']}",
    ]
    seen = {label: share for label, share in results["overlap"].items() if share > 0.005}
    if seen:
        listed = ", ".join(f"{label} {share:.0%}" for label, share in seen.items())
        lines.append(f"test sequences expected to have occurred in training: {listed}, others below 1%")
    return "\n".join([*lines, f"results in {folder}"])


def _row(row: Mapping[str, Any]) -> str:
    unit = unit_of(row)
    optimum = f"optimum_{unit}"
    told = f"  (optimum {row[optimum]:.2f} {unit.replace('_', ' ')})" if optimum in row else ""
    measures = measures_of(row)
    cells = [f"{row[m.name]:>{_width(m)}{'.2%' if m.kind == 'exact' else '.4f'}}" for m in measures]
    return f"{in_words(row['difficulty']):<28}{row['n']:>6}{''.join(cells)}{told}"


def _width(measure: Measure) -> int:
    """The width of its column."""
    return 10 if measure.kind == "exact" else max(13, len(measure.words) + 2)
