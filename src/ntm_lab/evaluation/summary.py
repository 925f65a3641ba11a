"""A run's results as a few lines of text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ntm_lab.tasks.difficulties import in_words


def summary(results: Mapping[str, Any], folder: Path) -> str:
    """A table of the test on fresh sequences, what training took, and where everything is."""
    lines = [
        "",
        f"{'fresh sequences':<28}{'n':>6}{'cost, bits':>13}{'wrong bits':>13}{'exact':>10}",
        *(_row(row) for row in results["test"]),
        "",
        f"{results['model']} on {results['task']}, {results['parameters']:,} parameters, seed {results['seed']}: "
        f"{results['sequences']:,} sequences in {results['seconds']:.1f} s of training, "
        f"ended by {results['stopped_by']}",
    ]
    seen = {label: share for label, share in results["overlap"].items() if share > 0.005}
    if seen:
        listed = ", ".join(f"{label} {share:.0%}" for label, share in seen.items())
        lines.append(f"test sequences expected to have occurred in training: {listed}, others below 1%")
    return "\n".join([*lines, f"results in {folder}"])


def _row(row: Mapping[str, Any]) -> str:
    optimum = f"  (optimum {row['optimum_bits']:.2f} bits)" if "optimum_bits" in row else ""
    measures = f"{row['cost_bits']:>13.4f}{row['wrong_bits']:>13.4f}{row['exact']:>10.2%}"
    return f"{in_words(row['difficulty']):<28}{row['n']:>6}{measures}{optimum}"
