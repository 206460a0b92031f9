"""`benchmarks.load.wrk`: reading what wrk prints."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.errors import UnreadableOutput
from benchmarks.load.wrk import arguments, parse

_PRINTED = """\
Running 1s test @ http://127.0.0.1:20001/1k
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   381.12us  210.31us   9.55ms   91.20%
    Req/Sec    79.81k     3.11k   83.44k    81.82%
  Latency Distribution
     50%  357.00us
     75%  412.00us
     90%  604.00us
     99%    1.21ms
  87303 requests in 1.10s, 96.34MB read
"""
_FAILED = """\
  Socket errors: connect 1, read 20, write 300, timeout 4000
  Non-2xx or 3xx responses: 50000
"""
_TOTALS = """\
Requests/sec:  79376.77
Transfer/sec:     87.59MB
"""


class ParseTests(SynchronousTestCase):
    """What one run of wrk means."""

    def test_totals_and_percentiles(self) -> None:
        """Requests, seconds and percentiles are read, whatever unit each is printed in."""
        load = parse(_PRINTED + _TOTALS)
        self.assertEqual((load.requests, load.seconds, load.errors), (87303, 1.1, 0))
        self.assertAlmostEqual(load.p50_seconds, 0.000357)
        self.assertAlmostEqual(load.p99_seconds, 0.00121)
        self.assertAlmostEqual(load.per_second, 87303 / 1.1)

    def test_minutes(self) -> None:
        """A run of a minute is printed in minutes, and read as such."""
        self.assertEqual(parse(_PRINTED.replace("in 1.10s", "in 1.50m")).seconds, 90)

    def test_errors_add_up(self) -> None:
        """Connections that failed and answers that are not wanted are one count."""
        self.assertEqual(parse(_PRINTED + _FAILED + _TOTALS).errors, 54321)

    def test_bad_answers_alone(self) -> None:
        """wrk leaves the line of socket errors out when there are none."""
        self.assertEqual(parse(_PRINTED + _FAILED.splitlines(keepends=True)[1] + _TOTALS).errors, 50000)

    def test_nothing_to_read(self) -> None:
        """Output without totals or without percentiles is refused, and shown."""
        for printed in ("", _TOTALS, _PRINTED.replace("99%", "98%"), _PRINTED.replace("requests in", "rq")):
            error = self.assertRaises(UnreadableOutput, parse, printed)
            self.assertIn(printed, str(error))


class ArgumentsTests(SynchronousTestCase):
    """What wrk is asked to do."""

    def test_identical(self) -> None:
        """Without more it sends the Host alone; a connection for each request is asked for by a header."""
        kept, new = (arguments("http://127.0.0.1:1/1k", 8, 3, "a.example", keep, False) for keep in (True, False))
        self.assertEqual(kept, ["-t1", "-c8", "-d3s", "--latency", "-H", "Host: a.example", "http://127.0.0.1:1/1k"])
        self.assertIn("Connection: close", new)

    def test_varied(self) -> None:
        """With heads that vary the script is given the target and the Host, behind the URL."""
        given = arguments("http://127.0.0.1:1/varied", 8, 3, "a.example", True, True)
        self.assertTrue(Path(given[given.index("-s") + 1]).is_file())
        self.assertEqual(given[-4:], ["http://127.0.0.1:1/varied", "--", "/varied", "a.example"])

    def test_tokens(self) -> None:
        """A file of tokens is the script's last argument."""
        given = arguments("http://127.0.0.1:1/varied", 8, 3, "a.example", True, True, Path("/tokens.txt"))
        self.assertEqual(given[-3:], ["/varied", "a.example", "/tokens.txt"])
