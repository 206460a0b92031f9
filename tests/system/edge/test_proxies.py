"""Tests of HAProxy in front of the edge, on real sockets: its visitors' addresses reach logs, limits and origins."""

import json
import os
import socket
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from tests.case import reactor
from tests.system.edge.harness import LOOPBACK, answer_each, get, status_of
from tests.system.edge.test_tls import TlsTestCase
from warp_twisted.edge.proxies import AnnouncedFactory
from warp_twisted.edge.routes.limits import VisitorLimits
from warp_twisted.edge.visitors.factories import SecureVisitorFactory, VisitorFactory
from warp_twisted.policy.sources.prefixes import PrefixSet

VISITOR = "127.0.0.9"
CONFIGURATION = """
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen plain
  bind fd@3
  server edge {plain} {option}
listen secure
  bind fd@4
  server edge {secure} {option}
"""


class FrontProxy(ProcessProtocol):
    """A program that serves on sockets that listen already, as its descriptors from 3 on."""

    def __init__(self, command: list[str], *sockets: socket.socket, **environment: str) -> None:
        self._ended: Deferred[None] = Deferred()
        descriptors: dict[int, int | str] = {0: "w", 1: "r", 2: "r"}
        descriptors |= {3 + index: each.fileno() for index, each in enumerate(sockets)}
        self._process = reactor.spawnProcess(
            self, command[0], command, {**os.environ, **environment}, childFDs=descriptors
        )

    def processEnded(self, reason: Failure) -> None:
        self._ended.callback(None)

    async def stop(self) -> None:
        """End it."""
        if not self._ended.called:
            self._process.signalProcess("TERM")
        await self._ended


class HaProxyTestCase(TlsTestCase):
    """An edge that believes one proxy, and that proxy."""

    option = ""
    limits = VisitorLimits(connections_per_address=1)

    async def prepare(self) -> None:
        await super().prepare()
        self.origin.answer = answer_each()
        trusted = PrefixSet.of([LOOPBACK])
        visitors = self.edge.visitors
        plain = await self.edge.listen(AnnouncedFactory(VisitorFactory(visitors).buildProtocol, reactor, trusted))
        on_tls = SecureVisitorFactory(visitors, self.certificates.context)
        secure = await self.edge.listen(AnnouncedFactory(on_tls.buildProtocol, reactor, trusted))
        self.direct = plain
        sockets = [socket.create_server((LOOPBACK, 0)) for _ in range(2)]
        self.plain, self.port = (each.getsockname()[1] for each in sockets)
        file = Path(self.mktemp())
        file.write_text(
            CONFIGURATION.format(plain=f"{LOOPBACK}:{plain}", secure=f"{LOOPBACK}:{secure}", option=self.option)
        )
        self.clean_up_with(FrontProxy(["/usr/sbin/haproxy", "-db", "-f", str(file)], *sockets).stop)
        for each in sockets:
            each.close()

    def visitor(self) -> object:
        """Return whom the newest line of the access log names."""
        return json.loads(self.edge.access_lines()[-1])["visitor"]


class VersionOneTests(HaProxyTestCase):
    """`send-proxy`: version 1."""

    option = "send-proxy"

    async def test_the_visitor(self) -> None:
        """Log and origin are told the visitor's address; a limit holds for each visitor, not for the proxy."""
        client = await self.edge.visitor(self.plain, VISITOR)
        client.send(get())
        await client.until(b"\r\n\r\nok")
        self.assertEqual(self.visitor(), VISITOR)
        self.assertIn(b"\r\nX-Forwarded-For: 127.0.0.9\r\n", self.origin.seen)
        second = await self.edge.visitor(self.plain, VISITOR)
        await second.lost()
        self.assertEqual(status_of(second.received), 429)
        other = await self.edge.visitor(self.plain, "127.0.0.10")
        other.send(get())
        await other.until(b"\r\n\r\nok")
        self.assertEqual(self.visitor(), "127.0.0.10")

    async def test_tls(self) -> None:
        """The header comes before TLS."""
        client = await self.secure_visitor()
        client.send(get())
        await client.until(b"\r\n\r\nok")
        self.assertIn(b"\r\nX-Forwarded-Proto: https\r\n", self.origin.seen)

    async def test_without_a_header(self) -> None:
        """What the proxy's address says without a header is closed; what others say with one is refused."""
        client = await self.edge.visitor(self.direct, LOOPBACK)
        client.send(get())
        await client.lost()
        self.assertEqual(client.received, b"")
        liar = await self.edge.visitor(self.direct, "127.0.0.10")
        liar.send(b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 443\r\n" + get())
        await liar.until(b"\r\n\r\n")
        self.assertEqual(status_of(liar.received), 400)
        self.assertEqual(self.origin.seen, b"")


class VersionTwoTests(VersionOneTests):
    """`send-proxy-v2`: version 2."""

    option = "send-proxy-v2"
