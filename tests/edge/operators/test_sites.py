"""Tests of `warp_twisted.edge.operators.sites`."""

import json
from typing import Any

from klein import Klein
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request
from twisted.web.test.requesthelper import DummyRequest

from warp_twisted.edge.operators.sites import answer, make_site

APP = Klein()


@APP.route("/hello")
def hello(request: Request) -> bytes:
    """Answer in JSON."""
    return answer(request, {"hello": ["w", 1]})


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
