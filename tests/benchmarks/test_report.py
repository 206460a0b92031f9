"""`benchmarks.report`: a run as Markdown and as JSON."""

import dataclasses
import json

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import results as names
from benchmarks.report import Circumstances, as_json, case_table, list_table, markdown, targets_table
from benchmarks.results import Results
from benchmarks.targets import FULL_HANDSHAKE, RESUMED_HANDSHAKE, connections, judge

_CIRCUMSTANCES = Circumstances(
    began="2026-11-22T18:00:00+00:00",
    seconds=34.4,
    command="python -m benchmarks",
    revision="c8fb4d3",
    machine={"memory": "24 GiB"},
    versions={"nginx": "1.22.1", "wrk": "4.1.0"},
)


class CaseTableTests(SynchronousTestCase):
    """One case as a table."""

    def test_without_loads(self) -> None:
        """A case with one load has no column for it; a metric that a peer lacks is empty."""
        results = Results()
        results.add("events", "", "HAProxy", {"p50 ms": 1, "other": 2})
        results.add("events", "", "Warp", {"p50 ms": 3})
        lines = case_table(results.of_case("events")).splitlines()
        self.assertEqual(lines[0], "| peer    | p50 ms | other |")
        self.assertEqual(lines[3], "| Warp    |      3 |       |")

    def test_ratios_and_shares(self) -> None:
        """What is compared has its ratio to HAProxy's of the same load; programs' shares are in a column of words."""
        results = Results()
        for peer, cpu in (("HAProxy", {"haproxy": 20}), ("Warp", {"edge": 40, "agent": 10})):
            results.add("keepalive", "32 connections", peer, {}, {names.CPU_PER_REQUEST: cpu})
        lines = case_table(results.of_case("keepalive")).splitlines()
        self.assertEqual(
            [cell.strip() for cell in lines[0].split("|")[1:-1]],
            ["load", "peer", "CPU µs/request", "x HAProxy", "of which"],
        )
        self.assertEqual(
            [cell.strip() for cell in lines[3].split("|")[1:-1]],
            ["32 connections", "Warp", "50", "2.50", "edge 40 + agent 10"],
        )

    def test_spread(self) -> None:
        """Of several rounds half the range is told, in per cent."""
        results = Results()
        results.add("transfer", "100 MB", "ssh -R", {names.DOWN: [90, 100, 110]})
        self.assertIn("|  100 ±10% |", case_table(results.of_case("transfer")))

    def test_list(self) -> None:
        """A case whose phases have figures of their own has a row for each of them."""
        results = Results()
        results.add("large", "at rest", "Warp", {"x": 1})
        results.add("large", "loss", "Warp", {"y": 2})
        self.assertEqual(
            list_table(results.of_case("large")).splitlines()[2:],
            ["| at rest | x      |    1 |", "| loss    | y      |    2 |"],
        )


class TargetsTableTests(SynchronousTestCase):
    """What was promised and what was measured."""

    def test_several_runs(self) -> None:
        """Of several runs the median is judged, and the range is told."""
        runs = []
        for rate in (20, 40, 60):
            run = Results()
            for peer, each in (("HAProxy", 100), ("Warp", rate)):
                run.add("keepalive", connections(32), peer, {names.REQUESTS: each})
            runs.append(run)
        lines = targets_table(judge(*runs)).splitlines()
        self.assertEqual(len(lines), 3, "what was not measured is left out")
        self.assertEqual(
            [cell.strip() for cell in lines[2].split("|")[2:-1]], ["≥ 0.3", "0.400", "0.200 to 0.600", "met"]
        )


class ReportTests(SynchronousTestCase):
    """The whole page."""

    def setUp(self) -> None:
        """Measure one case, fail in another, and lack a peer."""
        self.results = Results(failures={"tls": ["haproxy is not installed."]}, skipped={"rathole": "no cargo"})
        self.results.add("keepalive", "32 connections", "Warp", {"requests/s": 33123.0})

    def _page(self, circumstances: Circumstances = _CIRCUMSTANCES) -> str:
        sentences = {"keepalive": "A sentence.", "tls": "Another.", "connections": "New ones.", "events": "Left out."}
        return markdown(circumstances, self.results, judge(self.results), sentences, "x.svg")

    def test_markdown(self) -> None:
        """The page says how it came about, holds each measured case, and names what failed or was left out."""
        page = self._page()
        for part in (
            "# Benchmarks, 2026-11-22\n",
            "`python -m benchmarks` at c8fb4d3",
            "nginx 1.22.1, wrk 4.1.0",
            "rathole is left out: no cargo\n",
            "(x.svg)",
            "## keepalive\n\nA sentence.\n",
            "| 32 connections | Warp |     33,123 |",
            "## tls\n\nAnother.\n\nFailed: haproxy is not installed.",
        ):
            self.assertIn(part, page)
        self.assertNotIn("Left out.", page)

    def test_resuming(self) -> None:
        """What resuming a session saves is said for each peer that was measured both ways."""
        for peer, full, resumed in (("HAProxy", 500, 400), ("Warp", 1000, 1010)):
            for variant, value in ((FULL_HANDSHAKE, full), (RESUMED_HANDSHAKE, resumed)):
                self.results.add("connections", variant, peer, {names.CPU_PER_CONNECTION: value})
        page = self._page()
        self.assertIn("- HAProxy: a resumed handshake takes 100 µs of CPU less than a full one\n", page)
        self.assertIn("- Warp: a resumed handshake takes -10 µs of CPU less than a full one\n", page)

    def test_compared(self) -> None:
        """Another tree has a section of its own."""
        self.results.add("keepalive", "32 connections", "before", {"requests/s": 40000.0})
        page = self._page(dataclasses.replace(_CIRCUMSTANCES, compared=["before"]))
        self.assertIn("## Warp beside before\n", page)
        self.assertIn("worse in one round", page)

    def test_json(self) -> None:
        """Programs get the same figures, unrounded."""
        document = json.loads(as_json(_CIRCUMSTANCES, self.results, judge(self.results)))
        self.assertEqual(document["figures"][0]["samples"], [33123.0])
        self.assertEqual(document["failures"], {"tls": ["haproxy is not installed."]})
        self.assertEqual(document["skipped"], {"rathole": "no cargo"})
        self.assertEqual({each["verdict"] for each in document["targets"]}, {"not measured"})
