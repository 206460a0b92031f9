"""
How commands print: lines and aligned columns for people, JSON for machines, times that can be read without arithmetic.

Much of what they print is what agents call things and why edges refused them, so everything goes through `escaping`.
"""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from warp_base.escaping import printable, printable_json, printable_lines

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


def print_json(value: object) -> None:
    """Print one value as JSON, as it came but for what a terminal would obey, which JSON can escape."""
    click.echo(printable_json(json.dumps(value, indent=2, ensure_ascii=False)))


def say(line: str = "", *, err: bool = False) -> None:
    """Print a line, on standard error if it is no answer but about one."""
    click.echo(printable(line), err=err)


def say_lines(text: str, *, err: bool = False) -> None:
    """Print several lines, such as a traceback."""
    click.echo(printable_lines(text), err=err)


def print_document(text: str) -> None:
    """Print a text as it is, so that it can be kept in a file; on a terminal what that would obey is escaped."""
    click.echo(
        printable_lines(text) if sys.stdout.isatty() else text, nl=False, color=True
    )  # else it leaves escapes out


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """
    Print rows in aligned columns; nothing is cut, so that the output can be searched.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in [heads, *rows]) for at in range(len(heads))]
    for index, row in enumerate([heads, *rows]):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        click.echo(click.style(line, bold=True) if index == 0 else line)


def instant(at: float) -> str:
    """Write an instant (seconds since the epoch), in UTC to the minute."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M") if at else "-"


def span(seconds: float) -> str:
    """Write a length of time in its largest two units: `2 d 3 h`, `45 s`."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def some(names: Sequence[str], most: int = 3) -> str:
    """Write a few names, and how many more there are: `a-1, a-2 and 7 more`."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def percent(part: float) -> str:
    """Write a part of 1 for people: `12.5 %`."""
    return f"{round(part * 100, 2):g} %"


def labels_text(labels: dict[str, str]) -> str:
    """Write labels as a selector that they match: `release=canary,tier=web`."""
    return ",".join(f"{key}={value}" if value else key for key, value in sorted(labels.items())) or "-"
