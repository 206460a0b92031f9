"""Tests of requests that wait for a place at their origin, at an edge in memory."""

import json

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeTransport, FakeTunnel
from tests.edge.visitors.memory_edge import GET, OK, MemoryEdge
from warp_twisted.edge.exchange.exchange import Exchange
from warp_twisted.edge.exchange.states import ExchangeState
from warp_twisted.edge.routes.limits import VisitorLimits, VisitorTimeouts
from warp_twisted.edge.visitors.invariants import check_visitor
from warp_twisted.edge.visitors.plain import PlainVisitor
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.routing.table import RoutingTable
from warp_twisted.wire.control import RouteOffer
from warp_twisted.wire.errors import ConnectionLost
from warp_twisted.wire.preamble import OpeningCode
from warp_twisted.wire.states import StreamState
from warp_twisted.wire.streams import Stream

POST = b"POST /a HTTP/1.1\r\nHost: app.example\r\nContent-Length: 10\r\n\r\n"
UPGRADE = b"GET /a HTTP/1.1\r\nHost: app.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


class QueueingTests(SynchronousTestCase):
    """An agent whose origin takes one request at once, and a queue of two."""

    def setUp(self) -> None:
        self.edge = MemoryEdge(VisitorLimits(queued_requests=2))
        self.tunnels = [self.edge.tunnel]
        self.offer(self.edge.tunnel)
        self.seen: set[Stream] = set()
        self.number = 0

    def offer(self, tunnel: FakeTunnel, limit: int = 1) -> None:
        """Let an agent say how many requests it takes."""
        self.edge.table.add(tunnel, [RouteOffer(id=0, hostname="app.example", max_requests=limit)])

    def join(self, agent: str, limit: int = 1, **labels: str) -> FakeTunnel:
        """Let another agent serve."""
        tunnel = FakeTunnel(f"t-{agent}", agent, labels)
        self.tunnels.append(tunnel)
        self.offer(tunnel, limit)
        return tunnel

    def visit(self, request: bytes = GET) -> tuple[PlainVisitor, FakeTransport]:
        """Ask for something from an address that nobody else has."""
        self.number += 1
        address = f"192.0.2.{self.number}"
        self.edge.visitors.counts.admit(address)
        visitor, transport = PlainVisitor(self.edge.visitors, address), FakeTransport()
        visitor.makeConnection(transport)
        visitor.dataReceived(request)
        check_visitor(visitor)
        return visitor, transport

    def arrived(self) -> list[tuple[FakeTunnel, Stream, bytes]]:
        """Return what came to agents since the last call, of requests that nobody has answered."""
        found = []
        for tunnel in self.tunnels:
            sent = tunnel.protocol.sent()
            for _, stream in tunnel.protocol.opened:
                if stream.id in sent and stream.state is not StreamState.CLOSED:
                    found.append((tunnel, stream, sent[stream.id]))
        return found

    def answer(self, tunnel: FakeTunnel, stream: Stream, answer: bytes = OK) -> None:
        """Answer a request."""
        if stream not in self.seen:
            self.seen.add(stream)
            tunnel.protocol.answer(stream)
        tunnel.protocol.arrive(stream, answer)

    def state(self, visitor: PlainVisitor) -> ExchangeState | None:
        """Return how far a visitor's request is."""
        check_visitor(visitor)
        conversation = visitor.conversation
        return conversation.state if isinstance(conversation, Exchange) else None

    def test_waits(self) -> None:
        """The second request is sent when the first has its answer, on the same stream; the log says that it waited."""
        _, first = self.visit()
        waiting, second = self.visit()
        ((tunnel, stream, _),) = self.arrived()
        self.assertIs(self.state(waiting), ExchangeState.QUEUED)
        self.assertEqual(self.edge.metrics.queued_now, 1)
        self.edge.clock.advance(0.75)
        self.answer(tunnel, stream)
        self.edge.clock.advance(0)
        self.assertEqual(self.state(waiting), ExchangeState.ASKED)
        ((_, again, request),) = self.arrived()
        self.assertIs(again, stream)
        self.assertIn(b"X-Forwarded-For: 192.0.2.2\r\n", request)
        self.answer(tunnel, stream)
        self.assertIn(b"200 OK", first.taken)
        self.assertIn(b"200 OK", second.taken)
        self.assertEqual((self.edge.metrics.queued, self.edge.metrics.queued_now), (1, 0))
        self.assertEqual(self.edge.metrics.queued_seconds, 0.75)
        assert self.edge.visitors.access_log is not None
        self.edge.visitors.access_log.flush()
        lines = [json.loads(line) for line in b"".join(self.edge.lines).splitlines()]
        self.assertEqual([line.get("queued_ms") for line in lines], [None, 750])

    def test_full(self) -> None:
        """What finds the queue full is answered at once, with the time after which it is another one."""
        for _ in range(3):
            self.visit()
        _, transport = self.visit()
        self.assertIn(b"503 Service Unavailable\r\n", transport.taken)
        self.assertIn(b"Retry-After: 10\r\n", transport.taken)
        self.assertEqual([refusal.slug for refusal in self.edge.metrics.refusals], ["queue-full"])

    def test_too_long(self) -> None:
        """What has waited for too long is answered, and takes nobody's place."""
        self.visit()
        waiting, transport = self.visit()
        self.edge.clock.pump([1.0] * 9)
        self.assertIs(self.state(waiting), ExchangeState.QUEUED)
        self.edge.clock.pump([1.0] * 3)
        self.assertIn(b"503 Service Unavailable\r\n", transport.taken)
        self.assertIn(b"Retry-After: 10\r\n", transport.taken)
        self.assertEqual([refusal.slug for refusal in self.edge.metrics.refusals], ["queued-too-long"])
        self.assertEqual(self.edge.metrics.queued_now, 0)
        ((tunnel, stream, _),) = self.arrived()
        self.answer(tunnel, stream)
        self.edge.clock.advance(0)
        self.assertEqual(self.arrived(), [])

    def test_visitor_that_leaves(self) -> None:
        """A visitor that leaves waits no longer."""
        self.visit()
        waiting, _ = self.visit()
        waiting.connectionLost(None)  # type: ignore[arg-type]  # the reason is not looked at
        self.assertEqual(self.edge.metrics.queued_now, 0)

    def test_body(self) -> None:
        """Of a request that waits no more is read than the visitor's buffer takes, and then it is sent whole."""
        self.visit()
        waiting, _ = self.visit(POST + b"01234")
        ((tunnel, stream, _),) = self.arrived()
        self.assertEqual(waiting.kept_bytes, 5)
        waiting.dataReceived(b"56789")
        check_visitor(waiting)
        self.answer(tunnel, stream)
        self.edge.clock.pump([0.01] * 5)
        check_visitor(waiting)
        body = b"".join(data for _, _, data in self.arrived())
        self.assertTrue(body.endswith(b"\r\n\r\n0123456789"), body)

    def test_upgrade(self) -> None:
        """An upgraded connection has no place: a WebSocket that lasts for hours keeps nobody waiting."""
        self.visit(UPGRADE)
        waiting, _ = self.visit()
        ((tunnel, stream, _),) = self.arrived()
        self.answer(tunnel, stream, SWITCHED)
        self.edge.clock.advance(0)
        self.assertIs(self.state(waiting), ExchangeState.CONNECTING)

    def test_sent_elsewhere(self) -> None:
        """What waits was sent to nobody: it goes to an agent that joins, whatever its method."""
        self.visit()
        waiting, _ = self.visit(POST + b"0123456789")
        self.arrived()
        other = self.join("agent-2")
        self.edge.clock.advance(0)
        self.assertIs(self.state(waiting), ExchangeState.CONNECTING)
        self.assertEqual([tunnel for tunnel, _, _ in self.arrived()], [other])

    def test_no_tunnel_left(self) -> None:
        """When the last tunnel goes, what waits is answered as any request."""
        self.visit()
        _, transport = self.visit()
        self.edge.table.remove(self.edge.tunnel)
        self.edge.clock.advance(0)
        self.assertIn(b"503 Service Unavailable\r\n", transport.taken)
        self.assertEqual([refusal.slug for refusal in self.edge.metrics.refusals], ["no-tunnel"])

    def test_sent_again(self) -> None:
        """A request whose agent is lost waits for a place at another, if it may be sent again; a refused one, too."""
        for way in ("lost", "refused"):
            self.setUp()
            other = self.join("agent-2")
            visitors = [self.visit(), self.visit()]
            arrived = self.arrived()
            ((_, lost, _),) = [each for each in arrived if each[0] is self.edge.tunnel]
            ((_, kept, _),) = [each for each in arrived if each[0] is other]
            if way == "lost":
                self.edge.table.remove(self.edge.tunnel)
                lost.lose(ConnectionLost("gone"))
            else:
                self.edge.tunnel.protocol.answer(lost, OpeningCode.ORIGIN_REFUSED)
            self.edge.clock.advance(0)
            self.assertEqual(self.edge.metrics.queued_now, 1, way)
            for visitor, _ in visitors:
                check_visitor(visitor)
            self.answer(other, kept)
            self.edge.clock.advance(0)
            ((_, again, _),) = [each for each in self.arrived() if each[0] is other]
            self.answer(other, again)
            self.assertTrue(all(b"200 OK" in transport.taken for _, transport in visitors), way)

    def test_sent_again_in_vain(self) -> None:
        """If no place is free in time, the answer is that it waited for too long."""
        other = self.join("agent-2")
        visitors = [self.visit(), self.visit()]
        arrived = self.arrived()
        ((_, lost, _),) = [each for each in arrived if each[0] is self.edge.tunnel]
        ((_, kept, _),) = [each for each in arrived if each[0] is other]
        self.answer(other, kept, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")  # a slow answer
        self.edge.table.remove(self.edge.tunnel)
        lost.lose(ConnectionLost("gone"))
        self.edge.clock.pump([1.0] * 12)
        self.assertEqual([refusal.slug for refusal in self.edge.metrics.refusals], ["queued-too-long"])
        self.assertEqual(sum(b"503" in transport.taken for _, transport in visitors), 1)

    def use_split(self, text: str) -> None:
        """Put a split in force."""
        policy = f"routing: [{{hostname: app.example, split: [{text}]}}]"
        routing = RoutingTable(parse_policy(policy, "p").routing)
        for _ in self.edge.table.splitting.follow(routing, self.edge.table.routes):
            pass

    def test_split(self) -> None:
        """A share whose origins are full keeps its requests waiting; the other one gets no more than its part."""
        stable, canary = self.join("agent-2", 9, r="stable"), self.join("agent-3", 1, r="canary")
        self.edge.table.remove(self.edge.tunnel)
        self.tunnels.remove(self.edge.tunnel)
        self.edge.visitors.apply(VisitorLimits(queued_requests=6), VisitorTimeouts())
        self.use_split("{selector: r=stable, weight: 1}, {selector: r=canary, weight: 1}")
        visitors = [self.visit()[0] for _ in range(6)]
        arrived = self.arrived()
        served, tried = (sum(each[0] is tunnel for each in arrived) for tunnel in (stable, canary))
        waiting = 6 - served - tried
        self.assertEqual((tried, self.edge.metrics.queued_now), (1, waiting))
        self.assertIn(waiting, (1, 2, 3))  # of six draws two to four are the canary's
        # A new split puts them elsewhere.
        self.use_split("{selector: r=stable, weight: 1}, {selector: r=canary, weight: 0}")
        self.edge.clock.pump([1.0, 0.0])
        self.assertEqual([tunnel for tunnel, _, _ in self.arrived()], [stable] * waiting)
        for visitor in visitors:
            check_visitor(visitor)

    def test_split_that_ends(self) -> None:
        """What waits for a share goes to any tunnel once the policy splits only other hostnames of the pattern."""

        def split(hostname: str) -> None:
            policy = f"routing: [{{hostname: {hostname}, split: [{{selector: r=stable, weight: 1}}]}}]"
            routing = RoutingTable(parse_policy(policy, "p").routing)
            for _ in self.edge.table.splitting.follow(routing, self.edge.table.routes):
                pass

        stable, other = FakeTunnel("t-1", "stable", {"r": "stable"}), FakeTunnel("t-2", "other", {"r": "other"})
        self.tunnels[:] = [stable, other]
        offer = RouteOffer(id=0, hostname="*.b.example", max_requests=1)
        self.edge.table.add(stable, [offer])
        split("a.b.example")
        for _ in range(2):
            self.visit(GET.replace(b"app.example", b"a.b.example"))
        self.edge.table.add(other, [offer])
        self.edge.clock.advance(0)
        self.assertEqual([tunnel for tunnel, *_ in self.arrived()], [stable])
        split("c.b.example")
        self.edge.table.sweep(self.edge.clock.seconds(), 55.0)
        self.edge.clock.advance(0)
        self.assertEqual([tunnel for tunnel, *_ in self.arrived()], [other])

    def test_policy_that_asks_for_more(self) -> None:
        """A request is judged anew if a tunnel has come meanwhile whose agent asks for more."""
        self.visit()
        waiting, _ = self.visit()
        exchange = waiting.conversation
        assert isinstance(exchange, Exchange)
        judged: list[bytes] = []
        self.patch(Exchange, "is_covered", lambda self, route: False)
        self.patch(Exchange, "judge_anew", lambda self, route, body: judged.append(body))
        exchange.place_due()
        self.assertEqual(judged, [b""])
        self.assertEqual(self.edge.metrics.queued_now, 0)

    def test_reload(self) -> None:
        """The limits of a reload hold for what comes then."""
        self.edge.visitors.apply(VisitorLimits(queued_requests=0), VisitorTimeouts(queued=3.0))
        self.visit()
        _, transport = self.visit()
        self.assertIn(b"Retry-After: 3\r\n", transport.taken)
