"""Tests of visitors that close their sending side, on real sockets: plain, on TLS, upgraded."""

from functools import partial

from twisted.internet.error import ConnectionDone

from tests.system.edge import test_proxying
from tests.system.edge.harness import OK, OriginConnection, RawConnection, get
from tests.system.edge.test_proxying import POST, EdgeTestCase
from tests.system.edge.test_tls import TlsTestCase
from warp_twisted.edge.routes.limits import VisitorTimeouts

HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok"  # of an answer
SHORT = VisitorTimeouts(half_closed=0.4, tick=0.05)
asked, switched = test_proxying.UpgradeTests.asked, test_proxying.UpgradeTests.switched


class RequestTests(EdgeTestCase):
    """Requests on plain TCP."""

    async def ask(self, request: bytes) -> OriginConnection:
        """Ask as a visitor that sends no more; return the origin's connection when the edge has heard of both."""
        origin = await self.at_origin(request)
        self.client.stays = True
        self.client.end()
        await self.edge.until(lambda: len(self.edge.visitors.half_closed) == 1)
        return origin

    async def test_answered(self) -> None:
        """It gets its answer, and then the connection closes."""
        for request in (
            get(),
            b"GET / HTTP/1.0\r\nHost: app.example\r\n\r\n",
            POST + b"Content-Length: 2\r\n\r\nhi",
            POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        ):
            origin = await self.ask(request)
            origin.send(HALF)
            await self.client.until(b"\r\n\r\nok")
            origin.send(b"ok")
            await self.client.ended()
            self.assertTrue(self.client.received.endswith(b"\r\n\r\nokok"), self.client.received)
            await self.edge.until(lambda: not self.edge.visitors.connections)
            self.assertEqual(len(self.edge.visitors.half_closed), 0)
            self.client.close()

    async def test_request_and_end_in_one(self) -> None:
        """An end that comes with the request changes nothing."""
        self.origin.answer = lambda origin: origin.send(OK)
        for _ in range(20):
            client = await self.edge.visitor()
            client.send(get())
            client.end()
            await client.lost()
            self.assertTrue(client.received.endswith(b"ok"))

    async def test_large_answer(self) -> None:
        """An answer of more than the sockets take arrives whole."""
        origin = await self.ask(get())
        size = 20_000_000
        origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        await self.client.ended()
        self.assertEqual(len(self.client.received.partition(b"\r\n\r\n")[2]), size)

    async def test_visitor_that_left(self) -> None:
        """A visitor that has closed altogether says so when it is written to, and is not served any longer."""
        origin = await self.at_origin(get())
        self.client.close()
        await self.edge.until(lambda: len(self.edge.visitors.half_closed) == 1)
        origin.send(HALF)
        await origin.lost()  # without another byte to be written, and long before `half_closed`
        self.assertEqual(len(self.edge.visitors.half_closed), 0)
        self.assertIn(b'"reason":"visitor-gone"', self.edge.access_lines()[-1])


class SilentTests(RequestTests):
    """Where nothing moves."""

    timeouts = SHORT

    async def test_silent_origin(self) -> None:
        """It is ended as one that left, and so is its request at the origin."""
        origin = await self.ask(get())
        await origin.lost()
        await self.client.lost()
        self.assertEqual(self.client.received, b"")
        self.assertIn(b'"reason":"visitor-gone"', self.edge.access_lines()[-1])


class TlsTests(TlsTestCase):
    """Requests on TLS, where a goodbye (close_notify) closes a side."""

    async def ask(self) -> tuple[RawConnection, OriginConnection]:
        """Ask on TLS; return both ends."""
        client = await self.secure_visitor()
        client.send(get())
        await self.origin.until(b"\r\n\r\n")
        assert self.origin.last is not None
        return client, self.origin.last

    async def test_answered(self) -> None:
        """Who says goodbye and stays gets the answer, then the edge's goodbye."""
        client, origin = await self.ask()
        client.end()
        await self.edge.until(lambda: len(self.edge.visitors.half_closed) == 1)
        origin.send(OK)
        await client.lost()
        self.assertTrue(client.received.endswith(b"ok"))
        assert client.loss is not None
        self.assertIsNotNone(client.loss.check(ConnectionDone))

    async def test_goodbye_and_end(self) -> None:
        """Who says goodbye and closes TCP has left."""
        client, origin = await self.ask()
        client.end()
        await self.edge.until(lambda: len(self.edge.visitors.half_closed) == 1)
        self.tcp.unregisterProducer()
        self.tcp.loseConnection()
        await origin.lost()
        await self.edge.until(lambda: not self.edge.visitors.connections)
        self.assertEqual(len(self.edge.visitors.half_closed), 0)

    async def test_end_without_goodbye(self) -> None:
        """TCP's end without a goodbye may be an attacker's: it ends the connection."""
        client, origin = await self.ask()
        client.stays = True
        self.tcp.unregisterProducer()
        self.tcp.loseWriteConnection()
        await origin.lost()
        await client.lost()
        self.assertEqual(client.received, b"")

    async def test_more_behind_the_goodbye(self) -> None:
        """Who sends more behind its goodbye is cut."""
        client, origin = await self.ask()
        client.end()
        await self.edge.until(lambda: len(self.edge.visitors.half_closed) == 1)
        self.tcp.write(b"\x17\x03\x03\x00\x20" + bytes(32))
        await origin.lost()
        await client.lost()


class UpgradedTests(EdgeTestCase):
    """Upgraded connections on plain TCP."""

    async def upgrade(self) -> OriginConnection:
        """Return the origin's end of an upgraded connection; both ends stay when the other closes its sending side."""
        origin = await self.at_origin(asked)
        origin.stays = self.client.stays = True
        origin.send(switched)
        await self.client.until(b"\r\n\r\n")
        self.client.take()
        origin.take()
        return origin

    async def test_visitor_first(self) -> None:
        """What the origin sends after the visitor's end arrives."""
        origin = await self.upgrade()
        self.client.send(b"12345")
        self.client.end()
        await origin.ended()
        self.assertEqual(origin.received, b"12345")
        origin.send(b"after the end")
        await self.client.until(b"after the end")
        origin.end()
        await self.client.ended()
        await self.edge.until(lambda: not self.edge.visitors.connections)
        await origin.lost()

    async def test_origin_first(self) -> None:
        """What the visitor sends after the origin's end arrives."""
        origin = await self.upgrade()
        origin.send(b"x" * 3_000_000)
        origin.end()
        await self.client.ended()
        self.assertEqual(len(self.client.received), 3_000_000)
        self.client.send(b"after the end")
        await self.origin.when(lambda: origin.received == b"after the end")
        self.client.end()
        await origin.ended()
        await self.edge.until(lambda: not self.edge.visitors.connections)
        await origin.lost()


class SilentUpgradedTests(UpgradedTests):
    """Where one direction is left and nothing moves in it."""

    timeouts = SHORT

    async def test_silent_origin(self) -> None:
        """The visitor is ended."""
        origin = await self.upgrade()
        self.client.end()
        await origin.ended()
        await self.client.lost()
        await self.edge.until(lambda: not self.edge.visitors.connections)

    async def test_silent_visitor(self) -> None:
        """The visitor is ended."""
        origin = await self.upgrade()
        origin.end()
        await self.client.ended()
        await self.edge.until(lambda: not self.edge.visitors.connections)
        await origin.ended()


class UpgradedTlsTests(TlsTestCase):
    """Upgraded connections on TLS."""

    async def upgrade(self) -> tuple[RawConnection, OriginConnection]:
        """Return both ends of an upgraded connection."""
        client = await self.secure_visitor()
        client.send(asked)
        await self.origin.until(b"\r\n\r\n")
        origin = self.origin.last
        assert origin is not None
        origin.stays = True
        origin.send(switched)
        await client.until(b"\r\n\r\n")
        origin.take()
        return client, origin

    async def test_visitor_first(self) -> None:
        """What the origin sends after the visitor's goodbye arrives."""
        client, origin = await self.upgrade()
        client.send(b"12345")
        client.end()
        await origin.ended()
        self.assertEqual(origin.received, b"12345")
        origin.send(b"after the end")
        await client.until(b"after the end")
        origin.end()
        await client.lost()

    def note_end(self, client: RawConnection) -> bool:
        """Note the edge's goodbye, and go on."""
        client.has_ended = True
        return True

    async def test_origin_first(self) -> None:
        """The edge says goodbye and still reads what the visitor sends."""
        client, origin = await self.upgrade()
        # A visitor that keeps its side: our own TLS, which would close at the edge's goodbye.
        vars(client)["peer_ended"] = partial(self.note_end, client)
        origin.end()
        await self.edge.until(lambda: client.has_ended)
        client.send(b"after the end")
        await self.origin.when(lambda: origin.received == b"after the end")
        client.end()
        await origin.ended()
        await self.edge.until(lambda: not self.edge.visitors.connections)
