"""Tests for benchmarks.dns.dnsperf: what is read from its report."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.dns.dnsperf import command, parse
from benchmarks.errors import ProgramFailed

REPORT = """\
[Status] Testing complete (time limit)
> NOERROR app1.warp.example A 0.000300
> NOERROR app2.warp.example A 0.000100
> NXDOMAIN app3.warp.example AAAA 0.000200

Statistics:

  Queries sent:         467291
  Queries completed:    467290 (100.00%)
  Queries lost:         1 (0.00%)

  Response codes:       NOERROR 467290 (100.00%)
  Average packet size:  request 35, response 67
  Run time (s):         4.001138
  Queries per second:   116789.552570

  Average Latency (s):  0.001388 (min 0.000014, max 0.005976)
"""


class ParseTests(SynchronousTestCase):
    """Reading reports."""

    def test_figures_are_read(self) -> None:
        """Rate, counts, codes, and each query's latency in order."""
        load = parse(REPORT)
        self.assertEqual((load.completed, load.lost, load.per_second), (467290, 1, 116789.55257))
        self.assertEqual(load.codes, "NOERROR 467290 (100.00%)")
        self.assertEqual(load.latencies, [0.0001, 0.0002, 0.0003])
        self.assertEqual((load.percentile(50), load.percentile(99)), (0.0002, 0.0003))

    def test_something_else_is_refused(self) -> None:
        """A report without its figures is an error that shows it."""
        with self.assertRaisesRegex(ProgramFailed, "banana"):
            parse("banana")


class CommandTests(SynchronousTestCase):
    """Its options."""

    def test_a_rate_and_latencies_are_asked_for(self) -> None:
        """`-Q` limits the rate, `-v` tells each latency; without them it is as much as the server takes."""
        plain = command(5300, Path("/q"), 3)
        paced = command(5300, Path("/q"), 0.5, per_second=1000.7, tells_latencies=True)
        self.assertNotIn("-Q", plain)
        self.assertEqual(paced[-3:], ["-Q", "1000", "-v"])
        self.assertIn("0.5", paced)
