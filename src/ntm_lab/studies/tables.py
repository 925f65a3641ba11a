"""Tables in Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from ntm_lab.studies.statistics import NONE


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[bool] = ()) -> str:
    """A table of text; ``right`` says which columns are right-aligned (default: none)."""
    rule = ["---:" if aligned else "---" for aligned in right or [False] * len(head)]
    lines = [head, rule, *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def markdown_of(table: pd.DataFrame) -> str:
    """A table of values: numbers right-aligned with four digits, a dash for a missing value."""
    numeric = [column.dtype.kind in "iuf" for _, column in table.items()]
    rows = ([_cell(value) for value in row] for row in table.itertuples(index=False))
    return markdown([str(name) for name in table], rows, numeric)


def _cell(value: Any) -> str:
    if pd.isna(value):
        return NONE
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
