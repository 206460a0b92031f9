"""
`python -m benchmarks.merge`: several runs as one, each figure the median of the runs with their spread.

Ratios are taken within each run, then their median: runs on a machine that others use differ more from one another than
the peers within a run. With --readme the table of README's section "How fast" is written anew, between its two marks.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.cases import ALL_CASES
from benchmarks.layout import table
from benchmarks.readme import MarksMissing, readme_rows, replace_table
from benchmarks.results import Figure, Results
from benchmarks.targets import judge

_EXAMPLES = """\
examples:
  python -m benchmarks.merge one.json two.json three.json
  python -m benchmarks.merge --readme README.md one.json two.json three.json large.json benchmarks/results/dns.json
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    One file of results.

    :param circumstances: of `report.Circumstances`, as they were written.
    :param dns: what `benchmarks.dns` wrote, instead of figures.
    """

    results: Results
    circumstances: Mapping[str, Any]
    dns: Mapping[str, Any] | None = None


def read(text: str) -> Run:
    """
    Read what a run wrote.

    :raises ValueError: if it is no file of results.
    """
    document = json.loads(text)
    if "servers" in document:
        return Run(results=Results(), circumstances={}, dns=document)
    if "figures" not in document:
        raise ValueError("no file of results")
    figures = [Figure(**{**each, "samples": tuple(each["samples"])}) for each in document["figures"]]
    results = Results(figures=figures, failures=document.get("failures", {}), skipped=document.get("skipped", {}))
    return Run(results=results, circumstances=document["circumstances"])


def merge(runs: Sequence[Results]) -> Results:
    """Join runs: each figure's samples are its values in the runs that have it."""
    samples: dict[tuple[str, str, str, str, str], list[float]] = {}
    merged = Results()
    for run in runs:
        for each in run.figures:
            key = (each.case, each.variant, each.peer, each.metric, each.program)
            samples.setdefault(key, []).append(each.value)
        merged.failures |= run.failures
        merged.skipped |= run.skipped
    merged.figures = [
        Figure(case=case, variant=variant, peer=peer, metric=metric, program=program, samples=tuple(values))
        for (case, variant, peer, metric, program), values in samples.items()
    ]
    return merged


def markdown(runs: Sequence[Run], merged: Results) -> str:
    """Write the report of all runs."""
    measured = [run for run in runs if run.dns is None]
    parts = ["# Benchmarks, several runs", "Each figure is the median of the runs that have it, ± half their range."]
    lines = [
        f"- `{run.circumstances['command']}` at {run.circumstances['revision']}, begun {run.circumstances['began']}"
        for run in measured
    ]
    parts += ["\n".join(lines), "## Targets", report.targets_table(judge(*(run.results for run in measured)))]
    for case in ALL_CASES:
        figures = merged.of_case(case.name)
        if figures:
            laid_out = report.list_table(figures) if case.name in report.LISTED else report.case_table(figures)
            parts += [f"## {case.name}", case.sentence, laid_out]
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str]) -> int:
    """
    Merge.

    :returns: the exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.merge",
        description="Join the results of several runs: medians, and their spread.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a run's .json")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the report there instead of printing it")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="write the table between this file's marks anew")
    options = parser.parse_args(arguments)
    try:
        runs = [read(path.read_text()) for path in options.files]
        measured = [run.results for run in runs if run.dns is None]
        text = markdown(runs, merge(measured))
        if options.output is None:
            print(text)
        else:
            options.output.write_text(text)
        if options.readme is not None:
            dns = next((run.dns for run in runs if run.dns is not None), None)
            rows = table(readme_rows(measured, dns), text_columns=2)
            options.readme.write_text(replace_table(options.readme.read_text(), rows))
    except (OSError, ValueError, KeyError, TypeError, MarksMissing) as error:
        print(f"benchmarks.merge: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
