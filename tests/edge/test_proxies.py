"""Tests for `warp_twisted.edge.proxies`."""

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge import proxies
from warp_twisted.edge.proxies import AnnouncedFactory
from warp_twisted.policy.sources.prefixes import PrefixSet

PROXY = IPv4Address("TCP", "192.0.2.7", 40_000)
V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 443\r\n"
V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x21\x00\x24" + bytes.fromhex(
    "20010db8000000000000000000000009 20010db8000000000000000000000001 c350 01bb"
)
LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"


class _Visitor(Protocol):
    def __init__(self) -> None:
        self.received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data


class _Visitors(Factory):
    """Notes whose connections it made; refuses some."""

    def __init__(self) -> None:
        self.made: list[tuple[str, _Visitor]] = []
        self.refuses = False

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        if self.refuses:
            return None
        visitor = _Visitor()
        self.made.append((getattr(addr, "host", ""), visitor))
        return visitor


class AnnouncedFactoryTests(SynchronousTestCase):
    """`AnnouncedFactory`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.visitors = _Visitors()
        self.factory = AnnouncedFactory(self.visitors.buildProtocol, self.clock, PrefixSet.of(["192.0.2.0/24"]))

    def connect(self, address: str = "192.0.2.7") -> StringTransport:
        """Connect; return the transport, which knows its protocol as Twisted's do."""
        protocol = self.factory.buildProtocol(IPv4Address("TCP", address, 40_000))
        assert protocol is not None
        transport = StringTransport(peerAddress=PROXY)
        transport.protocol = protocol  # type: ignore[attr-defined]
        protocol.makeConnection(transport)
        return transport

    def send(self, transport: StringTransport, data: bytes, size: int) -> None:
        """Let bytes arrive in pieces."""
        for at in range(0, len(data), size):
            transport.protocol.dataReceived(data[at : at + size])  # type: ignore[attr-defined]

    def test_headers(self) -> None:
        """Whoever the header names is the visitor, and all that follows is its own, however the bytes are cut."""
        for header, address in ((V1, "203.0.113.9"), (V2, "2001:db8::9"), (LOCAL, "192.0.2.7")):
            for size in (1, 7, 1_000):
                transport = self.connect()
                self.send(transport, header + b"GET / HTTP/1.1\r\n", size)
                host, visitor = self.visitors.made.pop()
                self.assertEqual((host, visitor.received), (address, b"GET / HTTP/1.1\r\n"))
                self.assertIs(visitor.transport, transport)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_before_the_header_is_whole(self) -> None:
        """Nobody hears of the connection before; what is too slow, or no header, is closed."""
        transport = self.connect()
        self.send(transport, V1[:-1], 10)
        self.assertEqual((self.visitors.made, transport.disconnected), ([], False))
        self.clock.advance(proxies.HEADER_SECONDS)
        self.assertTrue(transport.disconnected)
        transport = self.connect()
        self.send(transport, b"GET / HTTP/1.1\r\n", 4)
        self.assertTrue(transport.disconnected)
        self.send(transport, V1, 1_000)
        self.assertEqual(self.visitors.made, [])

    def test_others(self) -> None:
        """From anybody else a header is what a visitor sends, and nothing of it is believed."""
        transport = self.connect("198.51.100.1")
        self.send(transport, V1, 1_000)
        ((host, visitor),) = self.visitors.made
        self.assertEqual((host, visitor.received), ("198.51.100.1", V1))

    def test_a_visitor_that_is_refused(self) -> None:
        """Whom the visitors' factory refuses is cut off at once."""
        self.visitors.refuses = True
        transport = self.connect()
        self.send(transport, V1, 1_000)
        self.assertTrue(transport.disconnected)

    def test_bounded(self) -> None:
        """So many wait for a header, and no more; those that are gone make room."""
        self.patch(proxies, "MAX_WAITING", 2)
        waiting = [self.connect() for _ in range(2)]
        self.assertIsNone(self.factory.buildProtocol(PROXY))
        waiting[0].protocol.connectionLost(Failure(ConnectionDone()))  # type: ignore[attr-defined]
        self.send(self.connect(), V1, 1_000)
        self.connect()
        self.assertIsNone(self.factory.buildProtocol(PROXY))
