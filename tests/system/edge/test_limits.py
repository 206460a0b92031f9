"""Tests of time-outs, connection limits and buffers, each reached on real sockets."""

import json
from socket import SO_RCVBUF, SOL_SOCKET

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from tests.case import reactor
from tests.system.edge.harness import OK, OriginConnection, RawConnection, answer_each, get, status_of
from tests.system.edge.test_proxying import POST, EdgeTestCase
from warp_twisted.edge.routes.limits import VisitorLimits, VisitorTimeouts
from warp_twisted.edge.visitors import crowd


class TimeoutTests(EdgeTestCase):
    """Each wait ends."""

    timeouts = VisitorTimeouts(
        header=0.3,
        idle=0.3,
        visitor_stall=0.3,
        origin_connect=0.3,
        origin_response=0.3,
        origin_stall=0.3,
        upgraded=0.3,
        linger=0.3,
        idle_stream=0.3,
        tick=0.02,
    )

    def reason(self) -> object:
        """Return the reason in the last line of the access log."""
        return json.loads(self.edge.access_lines()[-1]).get("reason")

    async def test_nothing_sent(self) -> None:
        """A visitor that connects and says nothing is closed without a word."""
        client = await self.edge.visitor()
        await client.lost()
        self.assertEqual(client.received, b"")

    async def test_slow_head(self) -> None:
        """A head that comes byte by byte has the same time as any other: slow visitors get 408."""
        client = await self.edge.visitor()
        began = reactor.seconds()
        await client.trickle(get(b"/", b"X: " + b"x" * 1000), 0.005)
        await client.lost()
        self.assertEqual(status_of(client.received), 408)
        self.assertLess(reactor.seconds() - began, 2.0)
        self.assertEqual(self.reason(), "head-too-slow")
        self.assertEqual(self.origin.seen, b"")

    async def test_idle(self) -> None:
        """Between two requests a visitor may rest, but not for ever; nothing is said at the end."""
        self.origin.answer = answer_each()
        client = await self.edge.visitor()
        client.send(get())
        await client.lost()
        self.assertTrue(client.received.endswith(b"\r\n\r\nok"))

    async def test_slow_second_head(self) -> None:
        """The next request's head has its time from its first byte."""
        self.origin.answer = answer_each()
        client = await self.edge.visitor()
        client.send(get() + b"GET / HT")
        await client.lost()
        self.assertIn(b"HTTP/1.1 408 ", client.received)

    async def test_slow_body(self) -> None:
        """A body that stops coming ends with 408, and the origin's connection with it."""
        origin = await self.at_origin(POST + b"Content-Length: 10\r\n\r\nhello")
        await self.client.lost()
        self.assertEqual(status_of(self.client.received), 408)
        self.assertEqual(self.reason(), "body-too-slow")
        await origin.lost()

    async def test_slow_connect(self) -> None:
        """An agent that does not say whether it reached the origin makes 504."""
        self.edge.tunnels[0].stub.silent = True
        answer = await self.edge.ask(get(b"/", b"Connection: close"))
        self.assertEqual((status_of(answer), self.reason()), (504, "connect-too-slow"))

    async def test_slow_origin(self) -> None:
        """An origin that does not answer makes 504, and loses the request."""
        origin = await self.at_origin(get(b"/", b"Connection: close"))
        await self.client.lost()
        self.assertEqual((status_of(self.client.received), self.reason()), (504, "origin-too-slow"))
        await origin.lost()

    async def test_no_continue(self) -> None:
        """An origin that neither takes nor refuses an expected body is the slow one, not the visitor."""
        await self.at_origin(POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        await self.client.lost()
        self.assertEqual((status_of(self.client.received), self.reason()), (504, "origin-too-slow"))

    async def test_stalled_answer(self) -> None:
        """An answer that stops halfway is cut."""
        origin = await self.at_origin(get())
        origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await self.client.lost()
        self.assertTrue(self.client.received.endswith(b"hello"))
        self.assertEqual(self.reason(), "stalled")

    async def test_visitor_that_does_not_read(self) -> None:
        """A visitor that reads nothing of a long answer is cut, and so is its origin."""
        origin = await self.at_origin(get())
        self.client.pause()
        origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 20_000_000)
        await origin.lost()
        self.assertEqual(self.reason(), "visitor-too-slow")

    async def test_quiet_upgrade(self) -> None:
        """An upgraded connection on which nothing moves is closed."""
        origin = await self.at_origin(get(b"/", b"Connection: Upgrade", b"Upgrade: websocket"))
        origin.send(b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        await self.client.lost()
        await origin.lost()

    async def test_visitor_that_does_not_close(self) -> None:
        """After a refusal the visitor may read it, but is not waited for longer than it takes."""
        client = await self.edge.visitor()
        client.send(b"GET / HTTP/9.9\r\n\r\n")
        await client.until(b"reason: version")
        await client.trickle(b"x" * 200_000, 0.01, size=1000)
        self.assertTrue(client.is_lost, "the edge still reads")

    async def test_idle_stream(self) -> None:
        """A connection to the origin that is not used for a while is closed."""
        origin = await self.at_origin(get())
        origin.send(OK)
        await self.client.until(b"ok")
        await origin.lost()
        self.assertEqual(self.edge.table.stream_counts, (0, 0))


class SlowReaderTests(EdgeTestCase):
    """Visitors that read slowly, but read."""

    timeouts = VisitorTimeouts(visitor_stall=0.6, idle=0.6, linger=0.1, tick=0.02)

    async def test_answer_and_close(self) -> None:
        """A slow reader gets all of an answer, although the edge closes after it and lingers shortly."""
        origin = await self.at_origin(get(b"/", b"Connection: close"))
        self.client.transport.socket.setsockopt(SOL_SOCKET, SO_RCVBUF, 32768)
        self.client.pause()
        size = 6_000_000
        origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        await self.client.read_rarely(0.05, lambda: len(self.client.received) >= size)
        self.client.resume()
        await self.client.lost()
        self.assertEqual(len(self.client.received.partition(b"\r\n\r\n")[2]), size)


class RateTests(EdgeTestCase):
    """How slowly a body may come, and how often one may ask."""

    limits = VisitorLimits(body_bytes_per_second=1_000, requests_per_second=0.1, request_burst=2)
    timeouts = VisitorTimeouts(visitor_stall=0.3, tick=0.02)

    async def test_body(self) -> None:
        """A body that comes byte by byte is cut off with 408, although its visitor never rests for long."""
        await self.at_origin(POST + b"Content-Length: 100000\r\n\r\n")
        began = reactor.seconds()
        await self.client.trickle(b"x" * 1_000, 0.02)
        await self.client.lost()
        self.assertEqual(status_of(self.client.received), 408)
        self.assertLess(reactor.seconds() - began, 10.0)

    async def test_requests(self) -> None:
        """One request more than the burst is answered 429 with the time to wait, whatever connection it came on."""
        self.origin.answer = answer_each()
        answers = [await self.edge.ask(get(b"/", b"Connection: close")) for _ in range(3)]
        self.assertEqual([status_of(answer) for answer in answers], [200, 200, 429])
        self.assertRegex(answers[2], rb"\r\nRetry-After: (9|10)\r\n")
        self.assertEqual(self.origin.seen.count(b"GET / "), 2)


class ConnectionLimitTests(EdgeTestCase):
    """How many connections there may be."""

    limits = VisitorLimits(connections=3, connections_per_address=2)

    async def test_per_address(self) -> None:
        """One more connection of an address is told so and closed; when one has left, there is room again."""
        first, _ = await self.edge.visitor(), await self.edge.visitor()
        answer = await self.edge.ask(b"")
        self.assertEqual(status_of(answer), 429)
        self.assertIn(b"\nreason: connections-per-address\n", answer)
        first.close()
        await first.lost()
        await self.edge.until(lambda: self.edge.visitors.counts.total == 1)
        self.origin.answer = answer_each()
        self.assertEqual(status_of(await self.edge.ask(get(b"/", b"Connection: close"))), 200)

    async def test_in_all(self) -> None:
        """One more connection than the edge holds is told so and closed, if all others have a request."""
        self.edge.visitors.apply(VisitorLimits(connections=2, connections_per_address=100), self.timeouts)
        for _ in range(2):
            visitor = await self.edge.visitor()
            visitor.send(get())
        await self.origin.when(lambda: len(self.origin.connections) == 2)
        answer = await self.edge.ask(b"")
        self.assertEqual(status_of(answer), 503)
        self.assertIn(b"\nreason: connections\n", answer)

    async def test_idle_one_gives_way(self) -> None:
        """The oldest connection without a request is closed for one more, and that one is served."""
        self.edge.visitors.apply(VisitorLimits(connections=2, connections_per_address=100), self.timeouts)
        first, second = await self.edge.visitor(), await self.edge.visitor()
        await self.edge.until(lambda: len(self.edge.visitors.connections) == 2)
        self.origin.answer = answer_each()
        self.assertEqual(status_of(await self.edge.ask(get(b"/", b"Connection: close"))), 200)
        await first.lost()
        self.assertFalse(second.is_lost)


class BufferTests(EdgeTestCase):
    """Nothing is kept without bound."""

    limits = VisitorLimits(held_bytes=50_000)

    async def test_pipelined_bytes(self) -> None:
        """A visitor that sends on while its request is served is not read beyond the limit."""
        origin = await self.at_origin(get())
        self.client.send(get(b"/next") * 400_000)
        connection = self.edge.connection
        await self.edge.until(lambda: connection.is_paused)
        self.assertLess(len(connection._held), 50_000 + 65_536)
        origin.send(OK)
        await self.client.until(b"ok")

    async def test_slow_visitor(self) -> None:
        """What waits for a visitor that does not read is bounded by the stream's window; the origin is held back."""
        origin = await self.at_origin(get())
        self.client.pause()
        origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        counting = _Counting(origin, b"x" * 1_000_000)
        origin.transport.registerProducer(counting, True)
        connection = self.edge.connection
        await self.edge.until(lambda: connection.is_clogged and counting.is_paused)
        waiting = sum(map(len, connection._queue))
        self.assertLess(waiting, 1024 * 1024)
        self.assertLess(counting.written, 40_000_000)
        origin.transport.unregisterProducer()

    async def test_slow_origin(self) -> None:
        """A visitor that uploads to an origin that does not read is not read either."""
        origin = await self.at_origin(POST + b"Content-Length: 1000000000\r\n\r\n")
        origin.pause()
        connection = self.edge.connection
        self.client.send(b"x" * 50_000_000)
        await self.edge.until(lambda: connection.is_paused)
        self.assertLess(self.edge.tunnels[0].protocol.unsent_bytes, 2 * 1024 * 1024)


@implementer(IPushProducer)
class _Counting:
    """Writes to the edge as fast as it is read."""

    def __init__(self, origin: OriginConnection, chunk: bytes) -> None:
        self.origin = origin
        self.chunk = chunk
        self.written = 0
        self.is_paused = False
        reactor.callLater(0, self.write)

    def write(self) -> None:
        while not self.is_paused and self.written < 200_000_000:
            self.written += len(self.chunk)
            self.origin.send(self.chunk)

    def pauseProducing(self) -> None:
        self.is_paused = True

    def resumeProducing(self) -> None:
        self.is_paused = False
        self.write()

    def stopProducing(self) -> None:
        self.is_paused = True


class DrainTests(EdgeTestCase):
    """A planned stop loses no request."""

    async def test_drain(self) -> None:
        """Idle visitors are closed, the others after their answer, and then the edge is drained."""
        self.origin.answer = answer_each()
        idle = await self.edge.visitor()
        idle.send(get())
        await idle.until(b"ok")
        self.origin.answer = None
        origin = await self.at_origin(get(b"/slow"))
        drained = self.edge.visitors.drain()
        await idle.lost()
        self.assertFalse(drained.called)
        origin.send(OK)
        await self.client.lost()
        self.assertTrue(self.client.received.endswith(b"\r\n\r\nok"))
        self.assertIn(b"\r\nConnection: close\r\n", self.client.received)
        await drained

    async def new_visitor(self) -> RawConnection:
        """Return a visitor whom the edge has taken in, and who has said nothing."""
        known = set(self.edge.visitors.connections)
        client = await self.edge.visitor()
        await self.edge.until(lambda: known != set(self.edge.visitors.connections))
        return client

    async def test_first_request_on_its_way(self) -> None:
        """A visitor whom the edge took in just before is answered, and then closed."""
        self.origin.answer = answer_each()
        client = await self.new_visitor()
        drained = self.edge.visitors.drain()
        client.send(get())
        await client.lost()
        self.assertEqual(status_of(client.received), 200)
        self.assertIn(b"\r\nConnection: close\r\n", client.received)
        await drained

    async def test_nothing_on_its_way(self) -> None:
        """A new visitor who goes on saying nothing does not hold the end up for long."""
        self.patch(crowd, "NEW_SECONDS", 0.05)
        client = await self.new_visitor()
        await self.edge.visitors.drain()
        await client.lost()
        self.assertEqual(client.received, b"")

    async def test_nobody_there(self) -> None:
        """Without a visitor the end is at once."""
        self.assertTrue(self.edge.visitors.drain().called)


class StopTests(EdgeTestCase):
    """The end of the edge."""

    async def test_stop(self) -> None:
        """Stopping cuts every connection, and the requests on them."""
        origin = await self.at_origin(get())
        self.edge.visitors.stop()
        await self.client.lost()
        await origin.lost()
