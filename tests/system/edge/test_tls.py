"""Tests of visitors on TLS, on real sockets."""

import os
import ssl
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.utils import getProcessOutputAndValue

from tests.case import nothing_left_to_the_collector, reactor
from tests.edge.certificate_files import write_certificate
from tests.edge.certificates.test_directory import visitor_context
from tests.system.edge.harness import LOOPBACK, OK, OriginConnection, RawConnection, answer_each, get, status_of
from tests.system.edge.test_proxying import POST, EdgeTestCase, has
from warp_twisted.edge.certificates.directory import CertificateDirectory
from warp_twisted.edge.exchange.exchange import Exchange
from warp_twisted.edge.refusals import GAVE_WAY
from warp_twisted.edge.routes.limits import VisitorLimits, VisitorTimeouts
from warp_twisted.edge.visitors.factories import SecureVisitorFactory
from warp_twisted.errors import WarpError
from warp_twisted.tunnel.tls import TlsProtocol
from warp_twisted.wire.control import RouteOffer


class TlsTestCase(EdgeTestCase):
    """The edge with a TLS listener as well."""

    async def prepare(self) -> None:
        await super().prepare()
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.certificate = write_certificate(self.directory, "app", ["app.example"])
        self.certificates = CertificateDirectory(str(self.directory), reactor)
        self.port = await self.edge.listen(SecureVisitorFactory(self.edge.visitors, self.certificates.context))

    async def secure_visitor(
        self, name: str | None = "app.example", context: ssl.SSLContext | None = None
    ) -> RawConnection:
        """Connect as a visitor on TLS; fails with a `WarpError` if the handshake does."""
        client = RawConnection()
        ready: Deferred[None] = Deferred()

        def secured(transport: TlsProtocol) -> RawConnection:
            reactor.callLater(0, ready.callback, None)
            return client

        def failed(error: WarpError) -> None:
            ready.errback(error)

        tls = TlsProtocol(
            context or visitor_context(),
            is_server=False,
            server_name=name,
            secured=secured,
            failed=failed,
            clock=reactor,
        )
        await connectProtocol(TCP4ClientEndpoint(reactor, LOOPBACK, self.port), tls)
        await ready
        self.edge.clients.append(client)
        self.tcp = tls._below  # of the latest
        return client


class TlsTests(TlsTestCase):
    """Requests over TLS."""

    limits = VisitorLimits(connections_per_address=5)

    async def test_request(self) -> None:
        """A request over TLS reaches the origin as one, and the connection is kept."""
        self.origin.answer = answer_each()
        client = await self.secure_visitor()
        for number in (1, 2):
            client.send(get())
            await client.when(partial(has, client, b"\r\n\r\nok", number))
        self.assertIn(b"\r\nX-Forwarded-Proto: https\r\n", self.origin.seen)
        self.assertIn(b";proto=https;", self.origin.seen)
        self.assertIn(b'"scheme":"https"', self.edge.access_lines()[-1])

    async def test_plain_http(self) -> None:
        """Who asks in plain HTTP is told so in plain HTTP, whatever it asks, and the connection closes."""
        for request in (get(), POST + b"Content-Length: 3\r\n\r\nabc", get() + b"x" * 60_000):
            client = RawConnection()
            await connectProtocol(TCP4ClientEndpoint(reactor, LOOPBACK, self.port), client)
            client.send(request)
            await client.lost()
            self.assertEqual(status_of(client.received), 400)
            self.assertIn(b"This port speaks HTTPS", client.received)
            self.assertEqual(client.received.count(b"HTTP/1.1 "), 1)
            self.assertIn(b'"reason":"plain-on-tls"', self.edge.access_lines()[-1])
        await self.edge.until(lambda: not self.edge.visitors.counts.total)
        self.assertEqual(self.origin.connections, [])

    async def test_nothing_for_the_collector(self) -> None:
        """Visitors, their exchanges and their connections leave no reference cycle, however they end."""
        self.origin.answer = answer_each()

        async def visit(*, says: bytes = get(), waits_for: bytes = b"\r\n\r\nok", secure: bool = True) -> None:
            client = await self.secure_visitor() if secure else await self.edge.visitor()
            client.send(says)
            await client.until(waits_for)
            client.close()
            await client.lost()
            await self.edge.until(lambda: not self.edge.visitors.connections)
            self.edge.clients.remove(client)
            self.tcp = None  # type: ignore[assignment]

        async def fail() -> None:
            with self.assertRaises(WarpError):
                await self.secure_visitor("other.example")
            await self.edge.until(lambda: not self.edge.visitors.counts.total)

        ways: list[Callable[[], Coroutine[Deferred[object], object, None]]] = [
            visit,
            partial(visit, secure=False),
            partial(visit, says=get() * 3),
            partial(visit, says=b"GET / HTTP/1.1\r\nHost: nobody.example\r\n\r\n", waits_for=b"\r\n\r\n"),
            partial(visit, says=b"GET /\r\n\r\n", waits_for=b"\r\n\r\n"),
            partial(visit, says=POST + b"Content-Length: 100\r\n\r\nabc", waits_for=b"ok"),
            fail,
        ]
        for way in ways:
            await way()
            with nothing_left_to_the_collector("warp_twisted.edge", "twisted.internet.tcp.Server"):
                await way()

    async def test_absolute_form(self) -> None:
        """An absolute target must say https here."""
        self.origin.answer = answer_each()
        for scheme, status in ((b"https", 200), (b"http", 421)):
            client = await self.secure_visitor()
            client.send(b"GET %b://app.example/ HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n" % scheme)
            await client.lost()
            self.assertEqual(status_of(client.received), status)

    async def test_handshake_gives_way(self) -> None:
        """A connection whose handshake is not done makes room for a visitor; one with a request stays."""
        self.edge.visitors.apply(VisitorLimits(connections=2), self.timeouts)
        busy = await self.secure_visitor()
        busy.send(get(b"/first"))
        origin = await self.at_origin_of(b"/first")
        silent = await self.edge.visitor(self.port)
        await self.edge.until(lambda: self.edge.visitors.shaking_hands)
        client = await self.secure_visitor()
        await silent.lost()
        await self.edge.until(lambda: not self.edge.visitors.shaking_hands)
        self.assertEqual((self.edge.metrics.refusals[GAVE_WAY], self.edge.visitors.counts.total), (1, 2))
        client.send(get(b"/second"))
        await self.at_origin_of(b"/second")
        with self.assertRaises(WarpError):
            await self.secure_visitor()
        self.assertFalse(busy.is_lost or client.is_lost)
        origin.send(OK)
        await busy.until(b"\r\n\r\nok")

    async def at_origin_of(self, path: bytes) -> OriginConnection:
        """Wait for a request to arrive at the origin, and return the connection on which it did."""
        await self.origin.until(b" " + path + b" ")
        assert self.origin.last is not None
        return self.origin.last

    async def test_unknown_name(self) -> None:
        """A name without a certificate ends in an alert, and leaves nothing behind."""
        with self.assertRaises(WarpError):
            await self.secure_visitor("other.example")
        await self.edge.until(lambda: not self.edge.visitors.counts.total)
        self.assertEqual(self.edge.metrics.failed_handshakes, 1)

    async def test_large_bodies(self) -> None:
        """Bodies of many records pass both ways unharmed."""
        size = 3_000_000
        body = bytes(range(256)) * (size // 256)
        client = await self.secure_visitor()
        client.send(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await self.origin.when(lambda: self.origin.seen.endswith(body))
        origin = self.origin.connections[0]
        origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await client.when(lambda: client.received.endswith(body))

    async def test_drain_during_handshake(self) -> None:
        """A visitor whose handshake is under way when the edge drains is answered; one that never ends it is not."""
        self.origin.answer = answer_each()
        raw = await self.edge.visitor(self.port)
        await self.edge.until(lambda: self.edge.visitors.counts.total)
        secure = self.secure_visitor()
        drained = self.edge.visitors.drain()
        client = await secure
        client.send(get())
        await client.lost()
        self.assertEqual(status_of(client.received), 200)
        self.assertFalse(drained.called)
        raw.close()
        await drained

    async def test_limits(self) -> None:
        """Over the limit a connection is closed before the handshake."""
        for _ in range(5):
            await self.secure_visitor()
        with self.assertRaises(Exception):  # noqa: B017  the connection is lost in one way or another
            await self.secure_visitor()

    async def test_refusal_is_read(self) -> None:
        """A refusal arrives whole, followed by the end of TLS."""
        client = await self.secure_visitor()
        client.send(b"GET / HTTP/9.9\r\n\r\n" + b"x" * 100_000)
        await client.lost()
        self.assertEqual(status_of(client.received), 505)
        self.assertTrue(client.received.endswith(b"\n"))


class HostnameTests(TlsTestCase):
    """Hostnames on a connection that was made for another one."""

    async def prepare(self) -> None:
        await super().prepare()
        write_certificate(self.directory, "two", ["one.example", "two.example"])
        write_certificate(self.directory, "default", ["fallback.example", "spare.example"])
        await self.certificates.refresh()
        names = ("two.example", "one.example", "fallback.example", "spare.example", "x.example")
        await self.edge.add_tunnel([RouteOffer(id=number, hostname=name) for number, name in enumerate(names)])
        self.origin.answer = answer_each()

    async def ask(self, client: RawConnection, hostname: bytes) -> int:
        """Ask for a hostname, and return the status of the answer."""
        client.send(get(host=hostname))
        await client.when(lambda: b"\r\n\r\nok" in client.received or b"\nrequest: " in client.received)
        return status_of(client.take())

    async def test_other_hostname(self) -> None:
        """What the connection was not made for is answered 421, reaches no origin, and the connection goes on."""
        client = await self.secure_visitor("app.example")
        for hostname, status in (
            (b"app.example", 200),
            (b"one.example", 421),
            (b"nobody.example", 421),
            (b"APP.example.:443", 200),
            (b"two.example", 421),
            (b"app.example", 200),
        ):
            self.assertEqual(await self.ask(client, hostname), status, hostname)
        self.assertNotIn(b"one.example", self.origin.seen)
        self.assertNotIn(b"two.example", self.origin.seen)
        (line,) = (line for line in self.edge.access_lines() if b'"host":"two.example"' in line)
        self.assertIn(b'"status":421,', line)
        self.assertIn(b'"reason":"misdirected-host"', line)

    async def test_one_certificate(self) -> None:
        """Names of one certificate share a connection, in turns."""
        client = await self.secure_visitor("one.example")
        for hostname in (b"one.example", b"two.example", b"one.example"):
            self.assertEqual(await self.ask(client, hostname), 200)
        self.assertEqual(await self.ask(client, b"fallback.example"), 421)

    async def test_default_certificate(self) -> None:
        """Without SNI its names may be asked for; with a name that it does not cover, that one only."""
        client = await self.secure_visitor(None)
        for hostname, status in ((b"fallback.example", 200), (b"spare.example", 200), (b"two.example", 421)):
            self.assertEqual(await self.ask(client, hostname), status, hostname)
        client = await self.secure_visitor("x.example")
        for hostname, status in ((b"x.example", 200), (b"fallback.example", 421), (b"x.example", 200)):
            self.assertEqual(await self.ask(client, hostname), status, hostname)

    async def test_body(self) -> None:
        """The body of a request that is refused reaches nobody, and is no request."""
        client = await self.secure_visitor("app.example")
        body = get(b"/smuggled")
        client.send(b"POST / HTTP/1.1\r\nHost: two.example\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        client.send(get(b"/after"))
        await client.until(b"\r\n\r\nok")
        self.assertEqual(status_of(client.received), 421)
        self.assertIn(b"/after", self.origin.seen)
        self.assertNotIn(b"/smuggled", self.origin.seen)

    async def test_plain(self) -> None:
        """Without TLS nothing was proved, and any hostname may follow any other."""
        client = await self.edge.visitor()
        for hostname in (b"app.example", b"two.example", b"app.example"):
            self.assertEqual(await self.ask(client, hostname), 200)

    async def test_curl(self) -> None:
        """curl names the URL's host in both places, wherever it is sent to; another Host field is answered 421."""
        port = str(self.port)
        for hostname, options, status in (
            ("app.example", ("--resolve", f"app.example:{port}:{LOOPBACK}"), b"200"),
            ("app.example", ("--connect-to", f"app.example:{port}:{LOOPBACK}:{port}"), b"200"),
            ("app.example", ("--resolve", f"app.example:{port}:{LOOPBACK}", "-H", "Host: two.example"), b"421"),
            ("one.example", ("--resolve", f"one.example:{port}:{LOOPBACK}", "-H", "Host: two.example"), b"200"),
            (LOOPBACK, ("-H", "Host: fallback.example"), b"200"),
            (LOOPBACK, ("-H", "Host: app.example"), b"421"),
        ):
            url = f"https://{hostname}:{port}/"
            arguments = ["-qskS", "-o", "/dev/null", "-w", "%{http_code}", "--noproxy", "*", *options, url]
            output, errors, code = await getProcessOutputAndValue("curl", arguments, os.environ, reactor=reactor)
            self.assertEqual((output, code), (status, 0), (url, options, errors))


class TlsBackpressureTests(TlsTestCase):
    """Slow ends of TLS connections."""

    async def test_slow_origin(self) -> None:
        """A visitor on TLS that uploads to an origin that does not read is not read either; then all arrives."""
        size = 30_000_000
        client = await self.secure_visitor()
        client.send(POST + b"Content-Length: %d\r\n\r\n" % size)
        await self.origin.until(b"\r\n\r\n")
        origin = self.origin.connections[0]
        origin.pause()
        client.send(b"x" * size)
        await self.edge.until(lambda: self.edge.connection.is_paused)
        self.assertLess(self.edge.tunnels[0].protocol.unsent_bytes, 2 * 1024 * 1024)
        origin.take()
        origin.resume()
        await self.origin.when(lambda: len(origin.received) == size)

    async def test_slow_visitor(self) -> None:
        """What waits for a TLS visitor that does not read is bounded; then it gets everything."""
        size = 30_000_000
        client = await self.secure_visitor()
        client.send(get(b"/", b"Connection: close"))
        await self.origin.until(b"\r\n\r\n")
        self.tcp.pauseProducing()
        self.origin.connections[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        connection = self.edge.connection
        await self.edge.until(lambda: connection.is_clogged)
        exchange = connection.conversation
        assert isinstance(exchange, Exchange)
        origin = exchange._origin
        assert origin is not None
        await self.edge.until(lambda: not origin.stream.receive_credit)
        self.assertLess(sum(map(len, connection._queue)), 1024 * 1024)
        self.assertEqual(self.edge.metrics.unread_bytes, connection.unread_bytes)
        self.assertGreater(connection.unread_bytes, 0)
        self.tcp.resumeProducing()
        await client.lost()
        self.assertEqual(len(client.received.partition(b"\r\n\r\n")[2]), size)
        self.assertEqual(self.edge.metrics.unread_bytes, 0)


class HandshakeTimeTests(TlsTestCase):
    """Handshakes that take too long."""

    timeouts = VisitorTimeouts(header=0.2, tick=0.02)

    async def test_silent(self) -> None:
        """A connection without a handshake is closed and no longer counted."""
        client = await self.edge.visitor(self.port)
        await client.lost()
        self.assertEqual(self.edge.visitors.counts.total, 0)
