"""Tests of what the policy's word means to one request, in memory."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.policy.test_in_force import loaded
from tests.edge.visitors.memory_edge import GET, OK, MemoryEdge
from warp_twisted.edge.exchange.permission import asks_for_keys
from warp_twisted.http1.forwarding import Forwarding
from warp_twisted.http1.limits import HeadLimits
from warp_twisted.http1.request import RequestReader


class PermissionTests(SynchronousTestCase):
    """`Permission`, as an exchange uses it."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.visitor, self.transport = self.edge.visitor()

    def use(self, text: str) -> None:
        """Put a policy in force."""
        self.edge.visitors.policy.use(loaded(self, text))

    def test_refused(self) -> None:
        """What a rule refuses is answered by the edge, and nothing is sent to the origin."""
        self.use("rules: [{name: r, deny: true}]")
        self.visitor.dataReceived(GET)
        self.assertTrue(self.transport.taken.startswith(b"HTTP/1.1 403 "), self.transport.taken)
        self.assertEqual(self.edge.streams(), [])

    def test_changes(self) -> None:
        """What a rule changes of the answer is changed."""
        self.use("rules: [{name: r, response: {set: {X-Team: blue}}}]")
        self.visitor.dataReceived(GET)
        (stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(stream)
        self.edge.tunnel.protocol.arrive(stream, OK)
        self.assertIn(b"X-Team: blue\r\n", self.transport.taken)

    def test_given_back(self) -> None:
        """What was taken of a limit on concurrent requests is free when the visitor leaves."""
        self.use("rules: [{name: r, limits: [{name: one, of: concurrent_requests, most: 1}]}]")
        self.visitor.dataReceived(GET)
        other, transport = self.edge.visitor()
        other.dataReceived(GET)
        self.assertTrue(transport.taken.startswith(b"HTTP/1.1 429 "), transport.taken)
        self.visitor.abort()
        other.dataReceived(GET)
        (stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(stream)
        self.edge.tunnel.protocol.arrive(stream, OK)
        self.assertIn(b"HTTP/1.1 200 OK\r\n", transport.taken)

    def test_keys(self) -> None:
        """The place of the keys is for GET and HEAD only; no other path is."""
        for line, wanted in (
            (b"GET /.well-known/warp/keys", True),
            (b"HEAD /.well-known/warp/keys", True),
            (b"POST /.well-known/warp/keys", False),
            (b"GET /.well-known/warp/keys/", False),
        ):
            head = RequestReader(HeadLimits(), Forwarding("192.0.2.1", "http")).read(
                line + b" HTTP/1.1\r\nHost: app.example\r\n\r\n"
            )
            assert head is not None
            self.assertEqual(asks_for_keys(head), wanted, line)
