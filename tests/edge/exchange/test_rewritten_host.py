"""Tests of requests that go to their origin under another Host, in memory."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeTransport, FakeTunnel
from tests.edge.visitors.memory_edge import OK, MemoryEdge
from warp_twisted.edge.visitors.plain import PlainVisitor
from warp_twisted.wire.control import RouteOffer
from warp_twisted.wire.preamble import OpeningCode, encode_preamble
from warp_twisted.wire.streams import Stream

ASKED = b"\r\nOrigin: http://app.example\r\n"
GET = b"GET /a HTTP/1.1\r\nHost: app.example" + ASKED + b"\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: app.example\r\nContent-Length: 6\r\n\r\nabc"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: http://localhost:3000/b\r\nContent-Length: 0\r\n\r\n"
REWRITE = RouteOffer(id=0, hostname="app.example", host_header="localhost:3000", own_scheme="http")


class RewrittenHostTests(SynchronousTestCase):
    """One route, and agents that ask for other hosts."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.edge.table.add(self.edge.tunnel, [REWRITE])

    def ask(self, data: bytes) -> tuple[PlainVisitor, FakeTransport, Stream, bytes]:
        """Let a visitor ask; return its stream and what went out on it."""
        visitor, transport = self.edge.visitor()
        visitor.dataReceived(data)
        return visitor, transport, *self.newest(self.edge.tunnel)

    def newest(self, tunnel: FakeTunnel) -> tuple[Stream, bytes]:
        """Return a tunnel's newest stream, and what went out on it."""
        route, stream = tunnel.protocol.opened[-1]
        return stream, tunnel.protocol.sent()[stream.id].removeprefix(encode_preamble(route))

    def test_both_ways(self) -> None:
        """The origin is asked under its own name, from its own site; its own URLs lead the visitor back."""
        _, transport, stream, sent = self.ask(GET)
        self.assertTrue(sent.startswith(b"GET /a HTTP/1.1\r\nHost: localhost:3000\r\n"), sent)
        self.assertIn(b"\r\nOrigin: http://localhost:3000\r\n", sent)
        self.assertIn(b"\r\nX-Forwarded-Host: app.example\r\n", sent)
        self.edge.tunnel.protocol.answer(stream)
        self.edge.tunnel.protocol.arrive(stream, MOVED)
        self.assertIn(b"\r\nLocation: http://app.example/b\r\n", transport.taken)

    def test_next_request(self) -> None:
        """Each request of a connection is rewritten by itself."""
        visitor, transport, stream, _ = self.ask(GET)
        self.edge.tunnel.protocol.answer(stream)
        self.edge.tunnel.protocol.arrive(stream, OK)
        visitor.dataReceived(GET)
        self.assertIn(b"\r\nHost: localhost:3000\r\n", self.edge.tunnel.protocol.sent()[stream.id])
        self.edge.tunnel.protocol.arrive(stream, MOVED)
        self.assertIn(b"\r\nLocation: http://app.example/b\r\n", transport.taken)

    def test_upgrade(self) -> None:
        """An upgrade is asked for under the origin's name, and its answer's cookies are mapped."""
        _, transport, stream, sent = self.ask(
            GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self.assertIn(b"\r\nHost: localhost:3000\r\n", sent)
        self.assertIn(b"\r\nOrigin: http://localhost:3000\r\n", sent)
        self.edge.tunnel.protocol.answer(stream)
        self.edge.tunnel.protocol.arrive(
            stream,
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Set-Cookie: a=b; Domain=localhost\r\n\r\n",
        )
        self.assertIn(b"\r\nSet-Cookie: a=b; Domain=app.example\r\n", transport.taken)

    def elsewhere(self, offer: RouteOffer, data: bytes, more: bytes = b"") -> tuple[FakeTransport, bytes, FakeTunnel]:
        """Ask, let the first agent refuse, and return what another agent, which offers the route so, is sent."""
        visitor, transport, stream, _ = self.ask(data)
        other = FakeTunnel("t-2", "agent-2")
        self.edge.table.add(other, [offer])
        if more:
            visitor.dataReceived(more)
        self.edge.tunnel.protocol.answer(stream, OpeningCode.ORIGIN_REFUSED)
        return transport, self.newest(other)[1], other

    def test_sent_again_without(self) -> None:
        """Sent again to an agent that asks for nothing, the request is as the visitor sent it, and so is its answer."""
        transport, sent, other = self.elsewhere(RouteOffer(id=0, hostname="app.example"), GET)
        self.assertTrue(sent.startswith(b"GET /a HTTP/1.1\r\nHost: app.example" + ASKED), sent)
        other.protocol.answer(other.protocol.opened[-1][1])
        other.protocol.arrive(other.protocol.opened[-1][1], MOVED)
        self.assertIn(b"\r\nLocation: http://localhost:3000/b\r\n", transport.taken)

    def test_sent_again_with_another(self) -> None:
        """Sent again to an agent that asks for another host, it has that one, with the body that came meanwhile."""
        offer = RouteOffer(id=0, hostname="app.example", host_header="a-much-longer-name.example", own_scheme="")
        _, sent, _ = self.elsewhere(offer, POST, b"def")
        self.assertTrue(sent.startswith(b"POST /a HTTP/1.1\r\nHost: a-much-longer-name.example\r\n"), sent)
        self.assertTrue(sent.endswith(b"\r\n\r\nabcdef"), sent)
        self.assertEqual(sent.count(b"Host: "), 2)  # X-Forwarded-Host is the other

    def test_sent_again_to_one_that_asks(self) -> None:
        """From an agent that asks for nothing to one that does."""
        self.edge.table.add(self.edge.tunnel, [RouteOffer(id=0, hostname="app.example")])
        transport, sent, other = self.elsewhere(REWRITE, GET)
        self.assertIn(b"\r\nOrigin: http://localhost:3000\r\n", sent)
        other.protocol.answer(other.protocol.opened[-1][1])
        other.protocol.arrive(other.protocol.opened[-1][1], MOVED)
        self.assertIn(b"\r\nLocation: http://app.example/b\r\n", transport.taken)

    def test_changed_offer(self) -> None:
        """An agent that offers the route anew with another host has that from the next request on."""
        self.edge.table.add(self.edge.tunnel, [RouteOffer(id=0, hostname="app.example", host_header="other")])
        self.assertIn(b"\r\nHost: other\r\n", self.ask(GET)[3])
