"""Tests of the access log."""

import json

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from tests.base.test_escaping import HOSTILE, is_safe
from tests.clocks import SettableWallClock
from warp_twisted.edge.exchange.access_log import FLUSH_BYTES, AccessEntry, AccessLog


def entry(path: str = "/", **changes: str) -> AccessEntry:
    """Return an entry with usual values."""
    usual = AccessEntry(
        time="t", id="i", visitor="v", scheme="http", method="GET", host="h", path=path, status=200, bytes_in=1,
        bytes_out=2, duration_ms=0.5,
    )  # fmt: skip
    return replace(usual, **changes)


class AccessLogTests(SynchronousTestCase):
    """Lines and when they are written."""

    def setUp(self) -> None:
        self.written: list[bytes] = []
        self.wall = SettableWallClock(1_700_000_000.5)
        self.log = AccessLog(self.written.append, self.wall)

    def test_lines(self) -> None:
        """Each entry is one line of JSON; what is empty is left out; line ends in values are escaped."""
        self.log.record(entry("/a\nb", user_agent='x"\u00e9\r\n', reason="why"))
        self.log.record(entry())
        self.assertEqual(self.written, [])
        self.log.flush()
        lines = b"".join(self.written).splitlines()
        self.assertEqual(len(lines), 2)
        first = json.loads(lines[0])
        self.assertEqual((first["path"], first["user_agent"], first["reason"]), ("/a\nb", 'x"\u00e9\r\n', "why"))
        self.assertEqual(
            json.loads(lines[1]),
            {"time": "t", "id": "i", "visitor": "v", "scheme": "http", "method": "GET", "host": "h", "path": "/",
             "status": 200, "bytes_in": 1, "bytes_out": 2, "duration_ms": 0.5},
        )  # fmt: skip

    def test_written_when_large(self) -> None:
        """A full buffer is written at once, in whole lines, and nothing is held without bound."""
        for _ in range(8000):
            self.log.record(entry())
        self.assertGreater(len(self.written), 1)
        for piece in self.written:
            self.assertGreaterEqual(len(piece), FLUSH_BYTES)
            self.assertLess(len(piece), FLUSH_BYTES + 4096)
            self.assertTrue(piece.endswith(b"\n"))

    def test_hostile(self) -> None:
        """Lines can be shown on a terminal, whatever visitor and agent said, and say the same; é stays readable."""
        self.log.record(entry(user_agent=f"é{HOSTILE}", detail=HOSTILE, route=f"h {HOSTILE}"))
        self.log.record(entry(detail="x\x7f"))
        self.log.flush()
        written = b"".join(self.written).decode()
        self.assertTrue(is_safe(written, "\n"))
        self.assertIn('"user_agent":"é\\u001b[2J\\u009b1m', written)
        first, second = map(json.loads, written.splitlines())
        self.assertEqual(
            (first["user_agent"], first["detail"], first["route"]), (f"é{HOSTILE}", HOSTILE, f"h {HOSTILE}")
        )
        self.assertEqual(second["detail"], "x\x7f")

    def test_nothing_to_write(self) -> None:
        """An empty buffer is not written."""
        self.log.flush()
        self.log.record(entry())
        self.log.flush()
        self.log.flush()
        self.assertEqual(len(self.written), 1)

    def test_long_target(self) -> None:
        """A long target is cut."""
        self.log.record(entry("/" + "a" * 5000))
        self.log.flush()
        self.assertEqual(len(json.loads(self.written[0])["path"]), 2048)

    def test_timestamp(self) -> None:
        """Time is UTC with milliseconds, right within and across seconds."""
        self.assertEqual(self.log.timestamp(), "2023-11-14T22:13:20.500Z")
        self.wall.offset += 0.0625
        self.assertEqual(self.log.timestamp(), "2023-11-14T22:13:20.562Z")
        self.wall.offset += 1
        self.assertEqual(self.log.timestamp(), "2023-11-14T22:13:21.562Z")
