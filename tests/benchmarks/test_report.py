"""`benchmarks.report`: a run as Markdown and as JSON."""

import json

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.report import Circumstances, as_json, case_table, format_value, markdown, table
from benchmarks.results import Results
from benchmarks.targets import judge

_CIRCUMSTANCES = Circumstances(
    began="2026-11-22T18:00:00+00:00",
    seconds=34.4,
    command="python -m benchmarks",
    revision="c8fb4d3",
    machine={"memory": "24 GiB"},
    versions={"nginx": "1.22.1", "wrk": "4.1.0"},
)


class FormatTests(SynchronousTestCase):
    """Values and tables as text."""

    def test_values(self) -> None:
        """Three digits tell enough; large numbers are grouped."""
        for value, text in ((97123.4, "97,123"), (0.0554, "0.055"), (42.91, "42.9"), (1.207, "1.21"), (0, "0")):
            self.assertEqual(format_value(value), text)

    def test_table(self) -> None:
        """Words are set to the left, numbers to the right, and the rule says so."""
        self.assertEqual(
            table([["peer", "MB/s"], ["HAProxy", "5"]]),
            "| peer    | MB/s |\n| ------- | ---: |\n| HAProxy |    5 |",
        )

    def test_case_without_loads(self) -> None:
        """A case with one load has no column for it; a metric that a peer lacks is empty."""
        results = Results()
        results.add("events", "", "HAProxy", {"p50 ms": 1, "haproxy x": 2})
        results.add("events", "", "Warp", {"p50 ms": 3})
        lines = case_table(results.of_case("events")).splitlines()
        self.assertEqual(lines[0], "| peer    | p50 ms | haproxy x |")
        self.assertEqual(lines[3], "| Warp    |      3 |           |")


class ReportTests(SynchronousTestCase):
    """The whole page."""

    def setUp(self) -> None:
        """Measure one case, and fail in another."""
        self.results = Results(failures={"tls": "haproxy is not installed."})
        self.results.add("keepalive", "32 connections", "Warp", {"requests/s": 33123.0})

    def test_markdown(self) -> None:
        """The page says how it came about, holds each measured case, and names what failed."""
        page = markdown(
            _CIRCUMSTANCES,
            self.results,
            judge(self.results),
            {"keepalive": "A sentence.", "tls": "Another.", "events": "Left out."},
            "x.svg",
        )
        for part in (
            "# Benchmarks, 2026-11-22\n",
            "`python -m benchmarks` at c8fb4d3",
            "nginx 1.22.1, wrk 4.1.0",
            "(x.svg)",
            "## keepalive\n\nA sentence.\n",
            "| 32 connections | Warp |     33,123 |",
            "## tls\n\nAnother.\n\nFailed: haproxy is not installed.",
        ):
            self.assertIn(part, page)
        self.assertNotIn("Left out", page)

    def test_json(self) -> None:
        """Programs get the same figures, unrounded."""
        document = json.loads(as_json(_CIRCUMSTANCES, self.results, judge(self.results)))
        self.assertEqual(document["figures"][0]["value"], 33123.0)
        self.assertEqual(document["failures"], {"tls": "haproxy is not installed."})
        self.assertEqual({each["verdict"] for each in document["targets"]}, {"not measured"})
