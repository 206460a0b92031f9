"""`benchmarks.readme`: what README quotes."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import results as names
from benchmarks.readme import BEGIN, END, HEADINGS, readme_rows
from benchmarks.results import Results
from benchmarks.targets import varied

_README = Path(__file__).resolve().parents[2] / "README.md"


def _run(warp: float, haproxy: float) -> Results:
    results = Results()
    for peer, cpu in (("Warp", {"edge": warp - 10, "agent": 10.0}), ("HAProxy", {"haproxy": haproxy})):
        results.add("keepalive", varied(128), peer, {}, {names.CPU_PER_REQUEST: cpu})
    return results


class RowsTests(SynchronousTestCase):
    """The table's rows."""

    def test_ratios_within_runs(self) -> None:
        """A ratio is the median of the runs' ratios, not the ratio of their medians."""
        rows = readme_rows([_run(60, 20), _run(100, 50), _run(90, 10)])
        self.assertEqual(
            rows[1:],
            [["CPU for each, edge and agent", "90 µs (60 to 100)", "3 (2 to 9)", "", "", ""]],
        )

    def test_single_run(self) -> None:
        """One run has no range."""
        self.assertEqual(readme_rows([_run(60, 20)])[1][1:3], ["60 µs", "3"])

    def test_dns(self) -> None:
        """The DNS benchmark has rows of its own."""
        servers = {"Warp": {"warm": 90.0, "random": 60.0}, "Knot": {"warm": 100.0, "random": 100.0}}
        told = ["0.900 of Knot's rate", "0.600 of Knot's rate"]
        self.assertEqual([row[1] for row in readme_rows([], {"servers": servers})[1:]], told)
        zones = {"Warp": {"cpu_seconds": 3.0, "longest_seconds": 0.05}, "Knot": {"cpu_seconds": 0.125}}
        rows = readme_rows([], {"servers": servers, "large_zone": zones})[1:]
        self.assertEqual([row[1] for row in rows], [*told, "24 of Knot's CPU", "50 ms"])

    def test_readme_has_the_table(self) -> None:
        """README has a place for the table, and what is there has its columns."""
        _, begin, rest = _README.read_text().partition(BEGIN)
        table, end, _ = rest.partition(END)
        self.assertTrue(begin and end)
        headings = table.strip().splitlines()[0]
        self.assertEqual([cell.strip() for cell in headings.split("|")[1:-1]], HEADINGS)
