"""Tests of `warp_twisted.edge.operators.sites`."""

import json
import os
import socket
from types import SimpleNamespace
from typing import Any

from klein import Klein
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request
from twisted.web.test.requesthelper import DummyRequest

from warp_twisted.edge.operators.sites import BODY_SECONDS, MAX_BODY_BYTES, answer, asking_user, make_site

APP = Klein()


@APP.route("/hello")
def hello(request: Request) -> bytes:
    """Answer in JSON."""
    return answer(request, {"hello": ["w", 1]})


@APP.route("/length", methods=["POST"])
def length(request: Request) -> bytes:
    """Answer how long the body is."""
    return answer(request, len(request.content.read()) if request.content else None)


class SiteTests(SynchronousTestCase):
    """The factory that serves an application."""

    def connect(self, factory: Any) -> StringTransportWithDisconnection:
        """Open a connection."""
        transport = StringTransportWithDisconnection()
        protocol = factory.buildProtocol(None)
        transport.protocol = protocol
        protocol.makeConnection(transport)
        transport.abortConnection = transport.loseConnection  # type: ignore[method-assign]
        self.addCleanup(lambda: transport.connected and transport.loseConnection())
        return transport

    def test_calls_are_answered(self) -> None:
        """A connection reaches the application."""
        transport = self.connect(make_site(APP))
        transport.protocol.dataReceived(b"GET /hello HTTP/1.1\r\nHost: edge\r\n\r\n")
        head, _, body = transport.value().partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        self.assertIn(b'{"hello":["w",1]}\n', body)

    def ask(self, *pieces: bytes) -> tuple[StringTransportWithDisconnection, bytes]:
        """Send a request in pieces, and return the connection and the answer."""
        transport = self.connect(make_site(APP))
        for piece in pieces:
            if transport.connected:
                transport.protocol.dataReceived(piece)
        return transport, transport.value()

    def test_bodies_are_bounded(self) -> None:
        """The longest body is taken, whatever it says that it is; a longer one is refused before it is all there."""
        head = b"POST /length HTTP/1.1\r\nHost: edge\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        body = b"&" * MAX_BODY_BYTES
        _, answered = self.ask(head + b"Content-Length: %d\r\n\r\n" % len(body), body[:9], body[9:])
        self.assertIn(b"\r\n%d\n" % len(body), answered)
        for length in (b"Content-Length: 1000000000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"):
            piece = body if length.startswith(b"C") else b"%x\r\n%b\r\n" % (len(body), body)
            transport, answered = self.ask(head + length, piece, *[piece] * 9)
            self.assertTrue(answered.startswith(b"HTTP/1.1 413 "), answered)
            self.assertEqual((answered.count(b"HTTP/1.1"), transport.connected), (1, False))

    def test_bodies_end_in_time(self) -> None:
        """Who sends a byte now and then is hung up on; who is done, or gone, leaves nothing behind."""
        clock = Clock()
        factory = make_site(APP)
        factory.wrappedFactory.reactor = clock
        head = b"POST /length HTTP/1.1\r\nHost: edge\r\nContent-Length: 40\r\n\r\n"
        slow, done, gone = (self.connect(factory) for _ in range(3))
        for transport in (slow, done, gone):
            transport.protocol.dataReceived(head)
        done.protocol.dataReceived(b"x" * 40)
        gone.loseConnection()
        for _ in range(int(BODY_SECONDS)):
            self.assertTrue(slow.connected)
            clock.advance(1)
            if slow.connected:
                slow.protocol.dataReceived(b"x")
        self.assertEqual((slow.connected, done.connected), (False, True))
        self.assertIn(b"\r\n40\n", done.value())

    def test_disconnect(self) -> None:
        """Everybody is hung up on, and those who come afterwards are served."""
        factory = make_site(APP)
        connections = [self.connect(factory) for _ in range(3)]
        factory.disconnect()
        self.assertEqual([each.connected for each in connections], [False] * 3)
        self.assertTrue(self.connect(factory).connected)
        self.assertEqual(len(factory.protocols), 1)


class AnswerTests(SynchronousTestCase):
    """The form of an answer."""

    def test_json(self) -> None:
        """Status, type, and one line of JSON."""
        request: Any = DummyRequest([b"x"])
        body = answer(request, {"error": "no"}, 409)
        self.assertEqual((request.responseCode, json.loads(body)), (409, {"error": "no"}))
        self.assertTrue(body.endswith(b"}\n"))
        self.assertEqual(request.responseHeaders.getRawHeaders(b"content-type"), [b"application/json"])


class AskingUserTests(SynchronousTestCase):
    """Who is at the other end."""

    def test_unix_sockets_only(self) -> None:
        """The kernel says who has connected to a unix socket; nothing is known of others."""
        one, other = socket.socketpair()
        plain = socket.socket()
        for each in (one, other, plain):
            self.addCleanup(each.close)
        for handle, expected in ((one, os.getuid()), (plain, None), (None, None)):
            request: Any = DummyRequest([b"x"])
            request.channel = SimpleNamespace(transport=SimpleNamespace(getHandle=lambda handle=handle: handle))
            self.assertEqual(asking_user(request), expected)
