"""Tests of requests that are sent again, and of those that must not be."""

import json

from tests.case import reactor
from tests.system.edge.harness import OK, Early, OriginConnection, RawOrigin, answer_each, get, status_of
from tests.system.edge.test_proxying import POST, EdgeTestCase
from warp_twisted.policy.document.policy import parse_policy
from warp_twisted.routing.table import RoutingTable
from warp_twisted.tunnel.step_queue import StepQueue
from warp_twisted.wire.control import RouteOffer
from warp_twisted.wire.preamble import OpeningCode, encode_opening

CLOSE = b"Connection: close"
CROWD = 200


class RetryTests(EdgeTestCase):
    """A second agent stands by."""

    async def prepare(self) -> None:
        await super().prepare()
        self.first = self.edge.tunnels[0]
        self.second = await self.edge.add_tunnel([RouteOffer(id=0, hostname="app.example")], agent="agent-2")

    def fail_first(self, count: int, cut: str = "abort") -> None:
        """Let the origin cut its first connections without an answer, after reading a request."""
        answer = answer_each()

        def fail(connection: OriginConnection) -> None:
            if len(self.origin.connections) <= count:
                getattr(connection, cut)()
            else:
                answer(connection)

        self.origin.answer = fail

    async def test_refused_by_one_agent(self) -> None:
        """A request that one agent cannot deliver goes to the other agent, whatever its method."""
        self.first.stub.refuse[0] = OpeningCode.ORIGIN_REFUSED
        self.origin.answer = answer_each()
        for _ in range(4):
            answer = await self.edge.ask(POST + CLOSE + b"\r\nContent-Length: 5\r\n\r\nhello")
            self.assertEqual(status_of(answer), 200)
        self.assertEqual(self.origin.seen.count(b"hello"), 4)
        self.assertGreater(self.edge.metrics.retries, 0)

    async def test_tunnel_with_many_requests_is_lost(self) -> None:
        """They are sent again some at a time, others are served meanwhile, and all are answered."""
        origin = RawOrigin()
        port = await self.edge.listen(origin)
        self.first.stub.origin_port = port  # it never answers
        self.second.stub.origin_port = port
        self.edge.table.remove(self.second)
        visitors = [await self.edge.visitor() for _ in range(CROWD)]
        for visitor in visitors:
            visitor.send(get(b"/", CLOSE))
        await origin.when(lambda: origin.seen.count(b"\r\n\r\n") == CROWD)
        self.second.stub.origin_port = self.edge.origin_port
        self.edge.table.add(self.second, [RouteOffer(id=0, hostname="app.example")])
        self.origin.answer = answer_each()
        losses = self.edge.visitors.losses = StepQueue(reactor, 1e-9)  # a turn has time for one
        self.first.protocol.close()
        self.assertEqual(len(losses), CROWD - 1)
        for visitor in visitors:
            await visitor.lost()
            self.assertEqual(status_of(visitor.received), 200)
        self.assertEqual((len(losses), self.edge.metrics.retries), (0, CROWD))
        for connection in origin.connections:
            connection.abort()
            await connection.lost()

    async def test_refused_by_all(self) -> None:
        """If no agent reaches its origin, the visitor hears why; each agent was asked once."""
        for code, status, slug in (
            (OpeningCode.ORIGIN_REFUSED, 502, "origin-refused"),
            (OpeningCode.ORIGIN_TIMED_OUT, 504, "connect-too-slow"),
            (OpeningCode.TLS_FAILED, 502, "origin-tls"),
            (OpeningCode.NAME_NOT_FOUND, 502, "origin-name"),
            (OpeningCode.ORIGIN_UNREACHABLE, 502, "origin-unreachable"),
            (OpeningCode.NO_SUCH_ROUTE, 503, "no-tunnel"),
            (OpeningCode.DRAINING, 503, "no-tunnel"),
            (OpeningCode.OVERLOADED, 503, "agent-busy"),
            (OpeningCode.INTERNAL_ERROR, 502, "agent-failed"),
        ):
            for tunnel in (self.first, self.second):
                tunnel.stub.refuse[0] = code
                tunnel.stub.opened.clear()
            answer = await self.edge.ask(get(b"/", CLOSE))
            self.assertEqual(status_of(answer), status)
            self.assertIn(b"\nreason: %b\n" % slug.encode(), answer)
            self.assertEqual([len(tunnel.stub.opened) for tunnel in (self.first, self.second)], [1, 1])
            line = json.loads(self.edge.access_lines()[-1])
            self.assertEqual((line["reason"], line["detail"]), (slug, "as the test says"))
        self.assertEqual(self.origin.connections, [])

    async def test_stream_dies(self) -> None:
        """A request to read whose stream died without an answer is sent again, with its body."""
        for cut in ("abort", "close"):
            self.fail_first(len(self.origin.connections) + 1, cut)
            answer = await self.edge.ask(
                b"GET / HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
            )
            self.assertEqual(status_of(answer), 200)
        self.assertEqual(self.origin.seen.count(b"\r\n\r\nhello"), 4)

    async def test_not_repeatable(self) -> None:
        """What changes something, or upgrades, and may have been seen is not sent again."""
        body = CLOSE + b"\r\nContent-Length: 5\r\n\r\nhello"
        upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        for method, rest in ((b"POST", body), (b"PUT", body), (b"DELETE", body), (b"GET", upgrade)):
            self.fail_first(len(self.origin.connections) + 1)
            client = await self.edge.visitor()
            client.send(b"%b / HTTP/1.1\r\nHost: app.example\r\n%b" % (method, rest))
            await client.until(b"\nreason: origin-closed\n")
            self.assertEqual(status_of(client.received), 502)
            self.assertEqual(self.origin.seen.count(method + b" "), 1)

    def use(self, retries: str) -> None:
        """Put a policy in force that says what may be sent again."""
        text = f"routing: [{{hostname: app.example, split: [{{selector: '', weight: 1}}], retries: {retries}}}]"
        routing = RoutingTable(parse_policy(text, "p").routing)
        for _ in self.edge.table.splitting.follow(routing, self.edge.table.routes):
            pass

    async def test_methods_of_the_policy(self) -> None:
        """The policy may allow other methods, and none at all."""
        put = b"PUT / HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
        for retries, request, status in (
            ("{methods: [PUT]}", put, 200),
            ("{methods: [PUT]}", get(b"/", CLOSE), 502),
            ("{methods: []}", get(b"/", CLOSE), 502),
        ):
            self.use(retries)
            self.fail_first(len(self.origin.connections) + 1)
            self.assertEqual(status_of(await self.edge.ask(request)), status, retries)
        self.assertEqual(self.origin.seen.count(b"hello"), 2)

    async def test_answer_that_asks_to_wait(self) -> None:
        """An origin's 503 is its answer: the visitor gets it with its Retry-After, and nobody else is asked."""
        response = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"
        self.origin.answer = lambda connection: connection.send(response)
        answer = await self.edge.ask(get(b"/", CLOSE))
        self.assertEqual(status_of(answer), 503)
        self.assertIn(b"\r\nRetry-After: 7\r\n", answer)
        self.assertEqual((self.origin.seen.count(b"GET"), self.edge.metrics.retries), (1, 0))

    async def test_origin_is_killed_under_load(self) -> None:
        """An origin that dies with requests under way, and stays away, costs none of those that only read."""
        dying = RawOrigin()
        self.first.stub.origin_port = await self.edge.listen(dying)
        self.origin.answer = dying.answer = answer_each()
        clients = [await self.edge.visitor() for _ in range(20)]
        for _ in range(5):
            for client in clients:
                client.send(get(b"/"))
            for client in clients:
                await client.until(b"ok")
                client.take()
        held: list[OriginConnection] = []
        dying.answer = held.append
        for client in clients:
            client.send(get(b"/"))
        await dying.when(lambda: len(held) >= 5)  # about ten of them
        self.first.stub.refuse[0] = OpeningCode.ORIGIN_REFUSED
        for connection in dying.connections:
            connection.abort()
        for client in clients:
            await client.until(b"ok")
            self.assertEqual(status_of(client.received), 200)
        self.assertGreaterEqual(self.edge.metrics.retries, 5)

    async def test_not_for_ever(self) -> None:
        """After a second attempt the visitor hears of it."""
        await self.edge.add_tunnel([RouteOffer(id=0, hostname="app.example")], agent="agent-3")
        await self.edge.add_tunnel([RouteOffer(id=0, hostname="app.example")], agent="agent-4")
        self.fail_first(100)
        answer = await self.edge.ask(get(b"/", CLOSE))
        self.assertEqual(status_of(answer), 502)
        self.assertEqual(self.origin.seen.count(b"GET"), 2)

    async def test_after_the_first_byte(self) -> None:
        """Once a byte of an answer has come, nothing is sent again."""

        def answer(connection: OriginConnection) -> None:
            connection.send(b"HTTP/1.1 200")
            connection.close()

        self.origin.answer = answer
        response = await self.edge.ask(get(b"/", CLOSE))
        self.assertEqual(status_of(response), 502)
        self.assertEqual(self.origin.seen.count(b"GET"), 1)

    async def test_tunnel_dies(self) -> None:
        """A request under way on a tunnel that breaks is served by another one."""
        await self.at_origin(get())
        busy = self.first if self.first.stub.opened else self.second
        self.origin.answer = answer_each()
        busy.far_end.close()
        await self.client.until(b"ok")

    async def test_body_too_large_to_keep(self) -> None:
        """A request of which more was sent than is kept cannot be sent again."""
        for tunnel in (self.first, self.second):
            tunnel.stub.silent = True
        self.origin.answer = answer_each()
        client = await self.edge.visitor()
        size = self.edge.visitors.limits.replay_bytes
        client.send(POST + CLOSE + b"\r\nContent-Length: %d\r\n\r\n" % size)
        asked = [self.first.stub.unanswered, self.second.stub.unanswered]
        await self.edge.until(lambda: any(asked))
        client.send(b"x" * size)
        stream = (asked[0] or asked[1])[0]
        early = stream.receiver
        assert isinstance(early, Early)
        await self.edge.until(lambda: len(early.data) >= size)
        stream.write(encode_opening(OpeningCode.ORIGIN_REFUSED))
        await client.lost()
        self.assertEqual(status_of(client.received), 502)
        self.assertEqual([len(each) for each in asked if each], [1])


class IdleStreamTests(EdgeTestCase):
    """Connections that an origin closes while nobody uses them."""

    async def keep_one(self) -> OriginConnection:
        """Leave one idle connection to the origin."""
        origin = await self.at_origin(get())
        origin.send(OK)
        await self.client.until(b"ok")
        self.client.take()
        return origin

    async def test_closed_in_time(self) -> None:
        """If the close arrives first, a new connection is made and nobody notices."""
        origin = await self.keep_one()
        origin.close()
        await origin.lost()
        await self.edge.until(lambda: not self.edge.table.stream_counts[1])
        self.origin.answer = answer_each()
        self.client.send(POST + b"Content-Length: 2\r\n\r\nhi")
        await self.client.until(b"ok")

    async def test_closed_by_the_request(self) -> None:
        """If the request and the close cross, an idempotent request gets a new connection of the same tunnel."""
        await self.keep_one()
        answer = answer_each()

        def close_first(connection: OriginConnection) -> None:
            if connection is self.origin.connections[0]:
                connection.abort()
            else:
                answer(connection)

        self.origin.answer = close_first
        self.client.send(get(b"/again"))
        await self.client.until(b"ok")
        self.assertEqual(len(self.origin.connections), 2)

    async def test_post_takes_only_what_was_just_used(self) -> None:
        """A POST does not take a connection that has been idle for long, because it could not be sent again."""
        await self.keep_one()
        used = self.edge.visitors.now
        await self.edge.until(lambda: self.edge.visitors.now > used)
        self.origin.answer = answer_each()
        self.client.send(POST + b"Content-Length: 2\r\n\r\nhi")
        await self.client.until(b"ok")
        self.assertEqual(len(self.origin.connections), 2)
