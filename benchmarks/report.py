"""A run as Markdown, for people, and as JSON, for programs. Pure: text out, no files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from benchmarks.results import Figure, Results, unique
from benchmarks.targets import Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """
    Under which conditions a run's figures came about.

    :param began: local time, ISO 8601.
    :param machine: what is measured on, as headed lines.
    """

    began: str
    seconds: float
    command: str
    revision: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]


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


def targets_table(judgements: Sequence[Judgement]) -> str:
    """Lay out what was promised, what was measured, and whether it is enough."""
    rows = [["target", "wanted", "measured", ""]]
    rows += [
        [
            judgement.target.sentence,
            judgement.target.wanted,
            "" if judgement.value is None else format_value(judgement.value),
            judgement.verdict,
        ]
        for judgement in judgements
    ]
    return table(rows)


def case_table(figures: Sequence[Figure]) -> str:
    """Lay out one case: a row for each load and peer, a column for each metric."""
    metrics = unique(figure.metric for figure in figures)
    has_variants = any(figure.variant for figure in figures)
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for figure in figures:
        cells.setdefault((figure.variant, figure.peer), {})[figure.metric] = format_value(figure.value)
    rows = [[*(["load"] if has_variants else []), "peer", *metrics]]
    rows += [
        [*([variant] if has_variants else []), peer, *(row.get(metric, "") for metric in metrics)]
        for (variant, peer), row in cells.items()
    ]
    return table(rows, text_columns=2 if has_variants else 1)


def markdown(
    circumstances: Circumstances,
    results: Results,
    judgements: Sequence[Judgement],
    sentences: Mapping[str, str],
    plot: str | None,
) -> str:
    """
    Write the report.

    :param sentences: for each case, in the order of the report, what it measures.
    :param plot: the file name of the drawing beside the report.
    """
    parts = [
        f"# Benchmarks, {circumstances.began[:10]}",
        f"`{circumstances.command}` at {circumstances.revision}, begun {circumstances.began}, "
        f"{circumstances.seconds:.0f} s. All programs share the one machine; "
        "compare within this page only.",
        "\n".join(f"- {name}: {value}" for name, value in circumstances.machine.items())
        + "\n- "
        + ", ".join(f"{name} {version}" for name, version in circumstances.versions.items()),
        "## Targets",
        targets_table(judgements),
    ]
    if plot is not None:
        parts.append(f"![The same figures, drawn]({plot})")
    for case, sentence in sentences.items():
        figures = results.of_case(case)
        failure = results.failures.get(case)
        if figures or failure:
            parts += [f"## {case}", sentence]
        if figures:
            parts.append(case_table(figures))
        if failure:
            parts.append(f"Failed: {failure}")
    return "\n\n".join(parts) + "\n"


def as_json(circumstances: Circumstances, results: Results, judgements: Sequence[Judgement]) -> str:
    """Write everything that the Markdown says, for programs."""
    document = {
        "circumstances": asdict(circumstances),
        "targets": [
            {
                "target": judgement.target.sentence,
                "wanted": judgement.target.wanted,
                "measured": judgement.value,
                "verdict": judgement.verdict.strip("*"),
            }
            for judgement in judgements
        ],
        "figures": [asdict(figure) for figure in results.figures],
        "failures": results.failures,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
