"""Tests of `warp_dns.serve.udp` with a socket of the test's own: how much is done in one turn."""

from collections import deque
from typing import Any, cast

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.helpers import question, responder_for, zone_of
from warp_base.reactor import as_reactor
from warp_dns.serve import udp
from warp_dns.serve.limits import ResponseRateLimit
from warp_dns.serve.metrics import Counters
from warp_dns.serve.querylog import QueryLog
from warp_dns.serve.udp import BATCH, BATCH_SECONDS, UdpPort

ZONE = zone_of("app 30 A 192.0.2.1")
PEER = ("192.0.2.9", 40000)


class _Socket:
    """Datagrams that wait, and what was sent."""

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.sent: list[bytes] = []

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        """Return the next datagram."""
        if not self.waiting:
            raise BlockingIOError
        return self.waiting.popleft()[:size], PEER

    def close(self) -> None:
        """Nothing comes any more."""
        self.waiting.clear()

    def sendto(self, data: bytes, peer: tuple[str, int]) -> int:
        """Keep a reply."""
        assert peer == PEER
        self.sent.append(data)
        return len(data)


class UdpPortTests(SynchronousTestCase):
    """One turn after the other."""

    def setUp(self) -> None:
        """Answer from one zone, at a rate, on a machine that takes no time."""
        self.patch(udp, "perf_counter", lambda: 0.0)
        self.socket = _Socket()
        self.counters = Counters()
        self.responder = responder_for(ZONE, limit=ResponseRateLimit(rate=1000, slip=0))
        self.reactor = MemoryReactorClock()
        self.port = self.make()

    def make(self, share: float = 1.0) -> UdpPort:
        """Return a port that may take a share of the time."""
        sock = cast(Any, self.socket)
        return UdpPort(as_reactor(self.reactor), sock, self.responder, self.counters, QueryLog(0), share)

    def test_a_share_of_the_time(self) -> None:
        """Where others are served beside, the socket rests when it has had its share."""
        now = 0.0
        self.patch(udp, "perf_counter", lambda: now)
        respond = self.responder.respond

        def costly(data: bytes, host: str) -> bytes | None:
            nonlocal now
            now += 0.0001
            return respond(data, host)

        self.patch(self.responder, "respond", costly)
        port = self.make(0.25)
        port.start()
        spent = 0.0
        while now < 1.0:
            self.socket.waiting.extend(question(f"n{number}.example.org", "A") for number in range(20))
            if port in self.reactor.getReaders():
                before = now
                port.doRead()
                spent += now - before
            now += 0.001
            self.reactor.advance(0.001)
        self.assertApproximates(spent / now, 0.25, 0.05)
        port.stop()
        self.assertEqual((self.reactor.getDelayedCalls(), self.reactor.getReaders()), ([], []))

    def test_without_others_it_never_rests(self) -> None:
        """A share of all is no limit."""
        self.port.start()
        for _ in range(50):
            self.socket.waiting.extend([question("n.example.org", "A")] * BATCH)
            self.port.doRead()
        self.assertEqual(self.reactor.getReaders(), [self.port])

    def test_a_turn_takes_a_batch(self) -> None:
        """More datagrams than a batch wait for the next turn."""
        self.socket.waiting.extend([question("app.example.org", "A")] * (BATCH + 10))
        self.port.doRead()
        self.assertEqual((len(self.socket.sent), len(self.socket.waiting)), (BATCH, 10))
        self.port.doRead()
        self.assertEqual(len(self.socket.sent), BATCH + 10)
        self.assertEqual(self.counters.hits[0], BATCH + 9)

    def test_answers_that_have_to_be_made_end_a_batch_early(self) -> None:
        """Names that come once cost more: the batch ends with the first answer that is late."""
        now = 0.0

        def clock() -> float:
            return now

        respond = self.responder.respond

        def slowly(data: bytes, host: str) -> bytes | None:
            nonlocal now
            now += BATCH_SECONDS / 9.5
            return respond(data, host)

        self.patch(udp, "perf_counter", clock)
        self.responder.respond = slowly  # type: ignore[method-assign]
        self.socket.waiting.extend(question(f"n{number}.example.org", "A") for number in range(100))
        self.port.doRead()
        self.assertEqual((len(self.socket.sent), len(self.socket.waiting)), (10, 90))

    def test_the_rate_holds_for_kept_replies(self) -> None:
        """What is sent without a look-up is counted all the same, by its name and kind."""
        self.responder.limit = ResponseRateLimit(rate=5, slip=0)
        self.socket.waiting.extend([question("app.example.org", "A")] * 8 + [question("ns1.example.org", "A")] * 8)
        self.port.doRead()
        self.assertEqual(len(self.socket.sent), 10)

    def test_a_datagram_is_cut_at_the_size_of_a_query(self) -> None:
        """What no query can be is not read as one, however large it is."""
        self.socket.waiting.append(question("app.example.org", "A") + bytes(60000))
        self.port.doRead()
        self.assertEqual([reply[3] & 15 for reply in self.socket.sent], [1])
