"""Values and tables as text, the same in every report."""

from __future__ import annotations

from collections.abc import Sequence


def format_value(value: float) -> str:
    """Write a value with three significant digits, and whole numbers from 100 up with separators."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def table(rows: Sequence[Sequence[str]], *, text_columns: int = 1) -> str:
    """
    Lay out a Markdown table, padded so that it is a table in a terminal too.

    :param rows: the first one holds the headings.
    :param text_columns: how many columns from the left hold words; the rest is set to the right.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"| {' | '.join(cells)} |")
    rule = ["-" * width if column < text_columns else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    lines.insert(1, f"| {' | '.join(rule)} |")
    return "\n".join(lines)
