"""Tests of an origin that sends more than it was asked for: those bytes reach nobody, whenever they come."""

from typing import Any

from tests.system.edge.harness import OK, OriginConnection, RawConnection, answer_each, get
from tests.system.edge.test_proxying import EdgeTestCase
from warp_twisted.edge.routes.limits import VisitorTimeouts

SURPLUS = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"
SHORT_POST = b"POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 2\r\n\r\nhi"


class SurplusTests(EdgeTestCase):
    """The next request, of another visitor, is answered by an answer of its own on a connection of its own."""

    timeouts = VisitorTimeouts(tick=10.0)  # a POST takes an idle stream only if it was used since the last sweep

    async def ask(self, request: bytes, path: bytes) -> RawConnection:
        """Send a request as a new visitor, and return it as soon as the origin has got the request."""
        client = await self.edge.visitor()
        client.send(request)
        await self.origin.until(b" " + path + b" ")
        return client

    async def answered(self, client: RawConnection) -> None:
        """Wait for the answer that belongs to a visitor, and see that nothing else came."""
        await client.until(b"\r\n\r\nok")
        self.assertNotIn(b"stolen", client.received)
        self.assertEqual(client.received.count(b"HTTP/1.1 "), 1)

    async def first(self) -> OriginConnection:
        """Let a visitor be served, and return the connection on which the origin has answered."""
        client = await self.ask(get(b"/a"), b"/a")
        connection = self.origin.connections[0]
        connection.send(OK)
        await self.answered(client)
        self.assertEqual(self.edge.table.stream_counts, (0, 1))
        return connection

    async def second(self) -> None:
        """Let the next visitor be served."""
        self.origin.answer = answer_each()
        client = await self.edge.visitor()
        client.send(get(b"/b"))
        await self.answered(client)
        self.assertEqual(len(self.origin.connections), 2)

    async def test_same_segment(self) -> None:
        """Behind the answer: the connection is not used again."""
        client = await self.ask(get(b"/a"), b"/a")
        connection = self.origin.connections[0]
        connection.send(OK + SURPLUS)
        await self.answered(client)
        await connection.lost()
        await self.second()

    async def test_idle(self) -> None:
        """Some time after the answer: the idle connection is closed."""
        connection = await self.first()
        await self.edge.until(lambda: self.edge.table.stream_counts == (0, 1))
        connection.send(SURPLUS)
        await connection.lost()
        await self.second()

    async def test_next_request_is_under_way(self) -> None:
        """After the next request was sent, but before the agent has it: it is sent again, elsewhere."""
        connection = await self.first()
        agent: Any = self.edge.tunnels[0].far_end.transport
        agent.pauseProducing()
        client = await self.edge.visitor()
        client.send(get(b"/b"))
        await self.edge_has_sent()
        connection.send(SURPLUS)
        self.origin.answer = answer_each()
        await self.edge_has_cut_it()
        agent.resumeProducing()
        await self.answered(client)
        await connection.lost()
        self.assertEqual(len(self.origin.connections), 2)

    async def test_request_that_cannot_be_sent_again(self) -> None:
        """The same for a request that is not idempotent: it is answered 502, for the origin may have got it."""
        connection = await self.first()
        agent: Any = self.edge.tunnels[0].far_end.transport
        agent.pauseProducing()
        client = await self.edge.visitor()
        client.send(SHORT_POST)
        await self.edge_has_sent()
        connection.send(SURPLUS)
        await client.until(b"reason: origin-closed")
        self.assertTrue(client.received.startswith(b"HTTP/1.1 502 "))
        self.assertIn(b'"detail":"the origin spoke before it was asked"', self.edge.access_lines()[-1])
        agent.resumeProducing()
        await connection.lost()

    async def test_answer_before_the_request(self) -> None:
        """A connection on which the answer began before the request was whole is not used again."""
        client = await self.ask(b"POST /a HTTP/1.1\r\nHost: app.example\r\nContent-Length: 4\r\n\r\nha", b"/a")
        connection = self.origin.connections[0]
        connection.send(OK[:-1])
        await client.until(b"\r\n\r\no")
        client.send(b"lf")
        await self.origin.until(b"half")
        connection.send(OK[-1:])
        await self.answered(client)
        await connection.lost()
        await self.second()

    async def test_answer_before_the_agent_has_the_request(self) -> None:
        """
        The same where the edge has sent the whole request, and the agent has not heard all of it.

        What the agent says to have heard may then be the rest of that request, not the next one.
        """
        client = await self.ask(b"POST /a HTTP/1.1\r\nHost: app.example\r\nContent-Length: 4\r\n\r\nha", b"/a")
        connection = self.origin.connections[0]
        agent: Any = self.edge.tunnels[0].far_end.transport
        agent.pauseProducing()
        client.send(b"lf")
        visitor = self.edge.connection
        await self.edge.until(lambda: visitor.conversation is not None and not visitor.conversation.wants_data)
        connection.send(OK)
        await self.answered(client)
        self.assertEqual(self.edge.table.stream_counts, (0, 0))
        agent.resumeProducing()
        await connection.lost()
        await self.second()

    async def edge_has_sent(self) -> None:
        """Wait until a used stream was lent to the next request."""
        await self.edge.until(lambda: self.edge.table.stream_counts == (1, 0))

    async def edge_has_cut_it(self) -> None:
        """Wait until the request was sent again."""
        await self.edge.until(lambda: self.edge.metrics.retries)
