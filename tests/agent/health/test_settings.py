"""Tests of `warp_twisted.agent.health.settings`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.health.settings import Health, parse_statuses
from warp_twisted.configuration import convert
from warp_twisted.errors import InvalidSettings


class HealthTests(SynchronousTestCase):
    """The key `health`."""

    def read(self, **keys: object) -> Health:
        """Read it as a file has it."""
        return convert(keys, Health, "")

    def refusal(self, **keys: object) -> str:
        """Return the words with which it is refused."""
        return str(self.assertRaises(InvalidSettings, self.read, **keys))

    def test_defaults(self) -> None:
        """A path alone is enough: every 5 s, 2 s each, any answer below 400, 2 up and 3 down."""
        health = self.read(path="/healthz")
        self.assertEqual((health.interval_seconds, health.timeout_seconds, health.rise, health.fall), (5, 2, 2, 3))
        self.assertEqual((min(health.statuses), max(health.statuses), health.body), (200, 399, b""))

    def test_times(self) -> None:
        """Times are seconds or texts; the time-out is never longer than the interval."""
        health = self.read(tcp=True, interval="1m30s", timeout=0.5)
        self.assertEqual((health.interval_seconds, health.timeout_seconds), (90, 0.5))
        self.assertEqual(self.read(tcp=True, interval=1).timeout_seconds, 1)
        for keys, words in (
            ({"interval": 0.5}, "interval: expected 1 to 3600 seconds, got 0.5"),
            ({"interval": "soon"}, "interval: expected a length of time such as 30s, 1h30m or 7d, got 'soon'"),
            ({"interval": 2, "timeout": 3}, "timeout: 3 seconds are longer than the interval, which is 2"),
            ({"timeout": "0s"}, "timeout: expected 0.05 to 60 seconds"),
            ({"interval": float("nan")}, "interval: expected 1 to 3600 seconds, got nan"),
        ):
            self.assertIn(words, self.refusal(tcp=True, **keys))

    def test_expectations(self) -> None:
        """A status alone, or a status and a text of the body."""
        self.assertEqual(self.read(path="/", expect=204).statuses, {204})
        self.assertEqual(self.read(path="/", expect="200, 204-206").statuses, {200, 204, 205, 206})
        health = self.read(path="/", expect={"status": 200, "body": "größer"})
        self.assertEqual((health.statuses, health.body), ({200}, "größer".encode()))
        self.assertEqual(max(self.read(path="/", expect={"body": "ok"}).statuses), 399)
        for text in ("", "2xx", "600", "300-200", "200,", "200-"):
            self.assertIn("expected status codes such as", self.refusal(path="/", expect=text))
            self.assertRaises(ValueError, parse_statuses, "expect", text)
        self.assertIn("status: expected status codes", self.refusal(path="/", expect={"status": 99}))

    def test_one_way(self) -> None:
        """Either a path or tcp, and with tcp nothing about an answer."""
        either = "expected either path, such as /healthz, or tcp: true"
        self.assertIn(either, self.refusal())
        self.assertIn(either, self.refusal(path="/", tcp=True))
        self.assertIn("expect: belongs to a path, and this only connects", self.refusal(tcp=True, expect=200))
        self.assertIn("host: belongs to a path", self.refusal(tcp=True, host="a"))

    def test_no_second_request(self) -> None:
        """Neither path nor host can end the request line or field that it is written into."""
        for path in ("healthz", "", "/a b", "/a\r\nX: y", "/ä", "http://a/"):
            self.assertIn("path: expected a path such as /healthz", self.refusal(path=path))
        for host in ("a b", "a\r\nX: y", "", "a:b", "ä", "[::1", "a/b"):
            self.assertIn("host: expected a name such as app.example", self.refusal(path="/", host=host))
        for host in ("app.example", "app.example:8080", "127.0.0.1", "[::1]:80"):
            self.assertEqual(self.read(path="/", host=host).host, host)

    def test_bounds(self) -> None:
        """Counts and texts have bounds, and a key that is misspelt is named."""
        self.assertIn("fall", self.refusal(path="/", fall=0))
        self.assertIn("rise", self.refusal(path="/", rise=21))
        self.assertIn("body", self.refusal(path="/", expect={"body": "x" * 257}))
        self.assertIn("intervall", self.refusal(path="/", intervall="1s"))
