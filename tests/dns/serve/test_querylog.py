"""Tests of `warp_dns.serve.querylog`."""

from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import Events, question
from warp_dns.serve.querylog import QueryLog


class QueryLogTests(SynchronousTestCase):
    """One query in so many."""

    def setUp(self) -> None:
        """Collect what is logged."""
        self.events = Events()
        self.patch(QueryLog, "_log", Logger(observer=self.events))

    def test_one_in_so_many_is_due(self) -> None:
        """Counted over batches of any size, none when switched off."""
        log = QueryLog(100)
        self.assertEqual(sum(log.is_due(7) for _ in range(1000)), 70)
        self.assertFalse(any(QueryLog(0).is_due(1000) for _ in range(10)))

    def test_a_line_says_who_asked_what_and_what_came_back(self) -> None:
        """Name, type, address, transport, code and size are fields of the event."""
        log = QueryLog(1)
        data = question("App.Example.org", "TXT")
        log.write("udp", "192.0.2.9", data, data[:2] + b"\x84\x03" + data[4:])
        log.write("tcp", "192.0.2.9", b"\0" * 12, None)
        first, second = self.events
        self.assertEqual(
            [first[key] for key in ("name", "type", "host", "transport", "rcode", "size")],
            ["app.example.org", "TXT", "192.0.2.9", "udp", "NXDOMAIN", len(data)],
        )
        self.assertEqual((second["type"], second["rcode"]), ("malformed", "no reply"))
