"""Tests of `warp_dns.serve.tcp` with a clock of the test's own: whose turn it is, and what is bounded."""

from collections.abc import Iterator
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from tests.dns.helpers import question, responder_for, zone_of
from warp_base.fair_queue import SHARE, FairQueue
from warp_base.reactor import as_reactor
from warp_base.slices import Slices
from warp_dns.serve import tcp
from warp_dns.serve.querylog import QueryLog
from warp_dns.serve.tcp import ACCEPT_SECONDS, PIECE_QUERIES, PIECE_SECONDS, TcpConnection, TcpFactory, network_of
from warp_dns.settings import TcpSettings
from warp_dns.zone.transfer import Transfer, Transferable, TransferRule

ZONE = zone_of("app 30 A 192.0.2.1\n" + "".join(f"n{number} 30 TXT {'x' * 200}\n" for number in range(500)))
QUERY = question("app.example.org", "A")
COST = PIECE_SECONDS * 1.01  # of a query, in these tests: one a turn


class _Transport(StringTransport):
    """A transport whose producer is told nothing."""

    aborted = False

    def abortConnection(self) -> None:
        """Note it."""
        self.aborted = True


class _Port:
    """A listening socket."""

    is_reading = True
    numberAccepts = 1

    def startReading(self) -> None:
        """Accept."""
        self.is_reading = True

    def stopReading(self) -> None:
        """Accept nothing."""
        self.is_reading = False


class TcpFactoryTests(SynchronousTestCase):
    """Several clients and one thread."""

    def setUp(self) -> None:
        """Serve on a clock that goes on with each query."""
        self.now = 0.0
        self.reactor = MemoryReactorClock()
        self.patch(tcp, "perf_counter", lambda: self.now)
        self.answered: list[str] = []
        self.responder = responder_for()
        self.responder.serve(ZONE, Transferable(TransferRule(["192.0.2.0/24"])))
        respond = self.responder.respond_stream

        self.cost = COST

        def costly(data: bytes, host: str) -> bytes | Transfer | None:
            self.now += self.cost
            self.answered.append(host)
            return respond(data, host)

        self.responder.respond_stream = costly  # type: ignore[method-assign]
        self.factory = self.make()

    def make(self, **settings: Any) -> TcpFactory:
        """Return a factory with limits."""
        reactor = as_reactor(self.reactor)
        wall = SettableWallClock(1_000_000.0)
        queue = FairQueue(reactor, lambda: self.now)
        return TcpFactory(reactor, wall, Slices(reactor), queue, self.responder, TcpSettings(**settings), QueryLog(0))

    def rest(self) -> None:
        """Let the queue rest for what was done so far."""
        self.reactor.advance(0.1)

    def connect(self, host: str) -> tuple[TcpConnection, _Transport] | None:
        """Return a client's connection, unless it is refused."""
        address = IPv4Address("TCP", host, 40000)
        connection = self.factory.buildProtocol(address)
        if connection is None:
            return None
        transport = _Transport(peerAddress=address)
        connection.makeConnection(transport)
        return connection, transport

    def accepted(self, host: str) -> tuple[TcpConnection, _Transport]:
        """Return a client's connection, when the queue has rested for accepting it."""
        found = self.connect(host)
        assert found is not None
        self.rest()
        return found

    def send(self, connection: TcpConnection, count: int, query: bytes = QUERY) -> None:
        """Send queries in one read."""
        connection.dataReceived((len(query).to_bytes(2, "big") + query) * count)

    def test_what_is_sent_ahead_is_answered_in_turns(self) -> None:
        """A piece of work at once, the rest in turns over networks; who waits is not read from, and nothing is lost."""
        first, transport = self.accepted("192.0.2.1")
        second, _ = self.accepted("192.0.2.1")
        third, _ = self.accepted("198.51.100.1")
        self.send(first, 10)
        self.assertEqual((self.answered, transport.producerState), (["192.0.2.1"], "paused"))
        self.send(second, 3)
        self.send(third, 2)
        self.rest()
        self.assertEqual(self.answered[1:5].count("198.51.100.1"), 2)
        while len(self.answered) < 15:
            self.rest()
        self.assertEqual(transport.producerState, "producing")
        self.assertEqual(transport.value().count(QUERY[12:]), 10)

    def test_cheap_queries_share_a_turn(self) -> None:
        """So that a turn costs what it does and not mostly itself, several are answered in one, up to a number."""
        self.cost = 0.0
        client, _ = self.accepted("192.0.2.1")
        self.send(client, PIECE_QUERIES + 1)
        self.assertEqual(len(self.answered), PIECE_QUERIES)

    def test_share(self) -> None:
        """Over time all clients together take their share, also if each sends one query after the other."""
        clients = [self.accepted(f"192.0.2.{number}")[0] for number in range(1, 11)]
        began, before = self.reactor.seconds(), self.now
        while self.reactor.seconds() < began + 1.0:
            for client in clients:
                if client._is_reading:
                    self.send(client, 1)
            self.reactor.advance(0.001)
        self.assertApproximates(self.now - before, SHARE, 0.02)

    def test_reads_without_a_query_are_turns(self) -> None:
        """An octet costs a read as a query does: who sends them one by one is read in turns."""
        client, transport = self.accepted("192.0.2.1")
        client.dataReceived(b"\0")
        self.assertEqual(transport.producerState, "producing")
        client.dataReceived(b"\x30")
        self.assertEqual(transport.producerState, "paused")
        self.rest()
        self.assertEqual(transport.producerState, "producing")

    def test_connections_are_accepted_in_turns(self) -> None:
        """Accepting costs as much as queries do, and rests as long for it."""
        port = _Port()
        self.factory.share_time([port])
        self.connect("192.0.2.1")
        self.connect("192.0.2.2")
        self.assertFalse(port.is_reading)
        self.reactor.advance(2 * ACCEPT_SECONDS * (1 / SHARE - 1) * 0.9)
        self.assertFalse(port.is_reading)
        self.rest()
        self.assertTrue(port.is_reading)

    def test_a_client_that_leaves_waits_no_longer(self) -> None:
        """Its turn is not kept, and its queries are forgotten."""
        first, _ = self.accepted("192.0.2.1")
        self.send(first, 10)
        first.connectionLost()
        self.assertEqual(len(self.factory.queue), 0)
        self.rest()
        self.assertEqual(len(self.answered), 1)

    def test_a_turn_that_fails(self) -> None:
        """Its connection is closed, and the log says so."""
        client, transport = self.accepted("192.0.2.1")
        self.patch(client, "resetTimeout", lambda: 1 // 0)
        self.send(client, 1)
        self.assertTrue(transport.aborted)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_networks_share_the_connections(self) -> None:
        """The network that has most makes room, down to what the new one has; its longest silent connection goes."""
        self.factory = self.make(connections=4, connections_per_address=4)
        held = [self.accepted("192.0.2.1") for _ in range(4)]
        self.reactor.advance(1)
        self.send(held[0][0], 1)
        self.assertIsNone(self.connect("192.0.2.1"))
        self.accepted("192.0.2.2")
        self.assertEqual([transport.aborted for _, transport in held], [False, True, False, False])

    def test_an_ipv6_client_is_its_network(self) -> None:
        """Addresses of one /64 count together, and others apart."""
        self.assertEqual(network_of("2001:db8::1"), network_of("2001:db8::ffff:1%eth0"))
        self.assertNotEqual(network_of("2001:db8::1"), network_of("2001:db8:0:1::1"))
        self.assertNotEqual(network_of("192.0.2.1"), network_of("192.0.2.2"))

    def test_transfers_of_one_connection_are_bounded(self) -> None:
        """One runs, a few wait behind it, and more are refused with SERVFAIL so that a secondary tries again."""
        self.patch(Slices, "run", lambda slices, steps: Deferred())  # nor does a transfer end by itself
        connection, transport = self.accepted("192.0.2.1")
        query = question("example.org", "AXFR")
        for _ in range(4):
            self.send(connection, 3, query)
            for _ in range(3):
                self.rest()
        self.assertLessEqual(self.factory.transfers, tcp.MAX_TRANSFERS_WAITING + 1)
        self.assertTrue(query[:2] + b"\x80\x02" in transport.value(), "none was refused")

    def test_a_transfer_is_not_idle(self) -> None:
        """It may take longer than a connection may be silent, as long as the client takes it."""
        self.factory = self.make(idle_seconds=1.0)
        jobs: list[Iterator[object]] = []

        def keep(slices: Slices, steps: Iterator[object]) -> Deferred[object]:
            jobs.append(steps)
            return Deferred()

        self.patch(Slices, "run", keep)
        connection, transport = self.accepted("192.0.2.1")
        self.send(connection, 1, question("example.org", "AXFR"))
        [steps] = jobs
        for _ in steps:
            self.reactor.advance(0.1)
        self.assertGreater(self.reactor.seconds(), 1.5)
        self.assertFalse(transport.aborted)
        self.reactor.advance(1.0)
        self.assertTrue(transport.aborted)

    def test_a_transfer_stops_where_its_client_stops_reading(self) -> None:
        """Nothing more is made until the client reads on; then it goes on to its end."""
        connection, transport = self.accepted("192.0.2.1")
        self.send(connection, 1, question("example.org", "AXFR"))
        connection.pauseProducing()
        self.reactor.pump([0.1] * 5)
        before = len(transport.value())
        self.reactor.pump([0.1] * 5)
        self.assertEqual((len(transport.value()), self.factory.transfers), (before, 1))
        connection.resumeProducing()
        self.reactor.pump([0.1] * 50)
        self.assertGreater(len(transport.value()), 500 * 200)
        self.assertEqual(self.factory.transfers, 0)
