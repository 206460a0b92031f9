"""A run as Markdown, for people, and as JSON, for programs. Pure: text out, no files."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from benchmarks import results as names
from benchmarks.compare import compare, comparison_table
from benchmarks.layout import format_value, table
from benchmarks.results import Figure, NotMeasured, Results, unique
from benchmarks.targets import HAPROXY, Judgement, saved_by_resuming


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """
    Under which conditions a run's figures came about.

    :param began: local time, ISO 8601.
    :param machine: what is measured on, as headed lines.
    :param compared: the names of other trees of Warp that were run beside this one.
    """

    began: str
    seconds: float
    command: str
    revision: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    compared: Sequence[str] = ()


def format_figure(figure: Figure) -> str:
    """Write a figure, with half the range of its rounds in per cent if there was more than one."""
    text = format_value(figure.value)
    return f"{text} ±{figure.spread_percent:.0f}%" if len(figure.samples) > 1 and figure.value else text


def targets_table(judgements: Sequence[Judgement]) -> str:
    """Lay out what was promised, what was measured, and whether it is enough; what was not measured is left out."""
    measured = [judgement for judgement in judgements if judgement.value is not None]
    are_merged = any(len(judgement.samples) > 1 for judgement in measured)
    rows = [["target", "wanted", "measured", *(["runs"] if are_merged else []), ""]]
    for judgement in measured:
        rows.append(
            [
                judgement.target.sentence,
                judgement.target.wanted,
                format_value(judgement.value or 0.0),
                *([_range(judgement.samples)] if are_merged else []),
                judgement.verdict,
            ]
        )
    return table(rows)


def _range(samples: Sequence[float]) -> str:
    return f"{format_value(min(samples))} to {format_value(max(samples))}"


def case_table(figures: Sequence[Figure]) -> str:
    """
    Lay out one case: a row for each load and peer, a column for each metric.

    Behind a metric that is compared there is a column with its ratio to HAProxy's under the same load, and behind one
    that programs have of their own a column that says what each has of it.
    """
    whole = [figure for figure in figures if not figure.program]
    has_variants = any(figure.variant for figure in whole)
    of_programs: dict[tuple[str, str, str], list[str]] = {}
    for figure in figures:
        if figure.program:
            key = (figure.variant, figure.peer, figure.metric)
            of_programs.setdefault(key, []).append(f"{figure.program} {format_value(figure.value)}")
    found = {(figure.variant, figure.peer, figure.metric): figure for figure in whole}
    columns: list[tuple[str, Callable[[str, str], str]]] = []
    for metric in unique(figure.metric for figure in whole):
        columns.append((metric, _cell(found, metric)))
        if metric in _BESIDE_HAPROXY and sum(figure.metric == metric for figure in whole) > 1:
            columns.append(("x HAProxy", _ratio_cell(found, metric)))
        if any(len(shares) > 1 and key[2] == metric for key, shares in of_programs.items()):
            columns.append(("of which", _shares_cell(of_programs, metric)))
    rows = [[*(["load"] if has_variants else []), "peer", *(heading for heading, _ in columns)]]
    for variant, peer in dict.fromkeys((figure.variant, figure.peer) for figure in whole):
        rows.append([*([variant] if has_variants else []), peer, *(cell(variant, peer) for _, cell in columns)])
    return table(rows, text_columns=2 if has_variants else 1)


_BESIDE_HAPROXY = frozenset(
    {
        *(names.REQUESTS, names.CONNECTIONS, names.CPU_PER_REQUEST, names.CPU_PER_CONNECTION),
        *(names.DOWN, names.UP, names.CPU_DOWN, names.CPU_UP),
    }
)
_Found = Mapping[tuple[str, str, str], Figure]


def _cell(found: _Found, metric: str) -> Callable[[str, str], str]:
    def write(variant: str, peer: str) -> str:
        figure = found.get((variant, peer, metric))
        return "" if figure is None else format_figure(figure)

    return write


def _ratio_cell(found: _Found, metric: str) -> Callable[[str, str], str]:
    def write(variant: str, peer: str) -> str:
        figure, other = found.get((variant, peer, metric)), found.get((variant, HAPROXY, metric))
        if figure is None or other is None or not other.value or peer == HAPROXY:
            return ""
        return format_value(figure.value / other.value)

    return write


def _shares_cell(shares: Mapping[tuple[str, str, str], Sequence[str]], metric: str) -> Callable[[str, str], str]:
    def write(variant: str, peer: str) -> str:
        found = shares.get((variant, peer, metric), [])
        return " + ".join(found) if len(found) > 1 else ""

    return write


def list_table(figures: Sequence[Figure]) -> str:
    """Lay out a case whose loads have metrics of their own: a row for each metric, a column for each peer."""
    peers = unique(figure.peer for figure in figures)
    found = {(figure.variant, figure.peer, figure.metric): figure for figure in figures if not figure.program}
    rows = [["phase", "figure", *peers]]
    for variant, metric in dict.fromkeys((variant, metric) for variant, _, metric in found):
        rows.append([variant, metric, *(_cell(found, metric)(variant, peer) for peer in peers)])
    return table(rows, text_columns=2)


def saving_lines(results: Results) -> str:
    """Say what resuming a TLS session saves each peer that was measured with it."""
    lines = []
    for peer in unique(figure.peer for figure in results.of_case("connections")):
        with contextlib.suppress(NotMeasured):
            saved = saved_by_resuming(results, peer)
            lines.append(f"- {peer}: a resumed handshake takes {format_value(saved)} µs of CPU less than a full one")
    return "\n".join(lines)


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
    unmeasured = sum(judgement.value is None for judgement in judgements)
    parts = [
        f"# Benchmarks, {circumstances.began[:10]}",
        f"`{circumstances.command}` at {circumstances.revision}, begun {circumstances.began}, "
        f"{circumstances.seconds:.0f} s. All programs share the one machine; "
        "compare within this page only. A figure is the median of its rounds, ± half their range.",
        "\n".join(f"- {name}: {value}" for name, value in circumstances.machine.items())
        + "\n- "
        + ", ".join(f"{name} {version}" for name, version in circumstances.versions.items()),
        *(f"{name} is left out: {reason}" for name, reason in results.skipped.items()),
        "## Targets",
        targets_table(judgements),
        *([f"{unmeasured} more targets are about cases that were not run."] if unmeasured else []),
    ]
    for other in circumstances.compared:
        parts += [f"## Warp beside {other}", comparison_table(compare(results, other), other)]
    if plot is not None:
        parts.append(f"![The same figures, drawn]({plot})")
    for case, sentence in sentences.items():
        figures = results.of_case(case)
        failures = results.failures.get(case, [])
        if figures or failures:
            parts += [f"## {case}", sentence]
        if figures:
            parts.append(list_table(figures) if case in LISTED else case_table(figures))
        if case == "connections" and (saved := saving_lines(results)):
            parts.append(saved)
        parts += [f"Failed: {failure}" for failure in failures]
    return "\n\n".join(parts) + "\n"


LISTED = frozenset({"large", "idle-tunnels"})
"""The cases that are laid out as lists."""


def as_json(circumstances: Circumstances, results: Results, judgements: Sequence[Judgement]) -> str:
    """Write everything that the Markdown says, for programs."""
    document = {
        "circumstances": asdict(circumstances),
        "targets": [
            {
                "target": judgement.target.sentence,
                "wanted": judgement.target.wanted,
                "measured": judgement.value,
                "runs": judgement.samples,
                "verdict": judgement.verdict.strip("*"),
            }
            for judgement in judgements
        ],
        "figures": [asdict(figure) for figure in results.figures],
        "failures": results.failures,
        "skipped": results.skipped,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
