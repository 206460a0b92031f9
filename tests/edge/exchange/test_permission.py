"""Tests of what the policy's word means to one request, in memory."""

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeTunnel
from tests.edge.policy.test_in_force import loaded
from tests.edge.visitors.memory_edge import GET, OK, MemoryEdge
from tests.policy.document.test_asked import asked, basic
from warp_twisted.edge.exchange import exchange
from warp_twisted.edge.exchange.permission import asks_for_keys
from warp_twisted.http1.forwarding import Forwarding
from warp_twisted.http1.limits import HeadLimits
from warp_twisted.http1.request import RequestReader
from warp_twisted.policy.interfaces import Answer, Identity, Outcome, Question
from warp_twisted.wire.control import RouteOffer
from warp_twisted.wire.errors import StreamReset


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

    def test_changes_of_the_request_alone(self) -> None:
        """A request of which only fields are changed is sent on at once, as the origin is to get it."""

        def unwanted(*arguments: object) -> object:
            raise AssertionError("nothing is left to permit")

        self.patch(exchange, "Permission", unwanted)
        self.use("rules: [{name: r, request: {set: {X-Team: blue}, remove: [Accept]}}]")
        self.visitor.dataReceived(GET.replace(b"\r\n\r\n", b"\r\nAccept: a/b\r\n\r\n"))
        ((_, sent),) = self.edge.tunnel.protocol.sent().items()
        self.assertIn(b"\r\nX-Team: blue\r\n", sent)
        self.assertNotIn(b"Accept", sent)
        (stream,) = self.edge.streams()
        self.edge.tunnel.protocol.answer(stream)
        self.edge.tunnel.protocol.arrive(stream, OK)
        self.assertTrue(self.transport.taken.endswith(b"ok"), self.transport.taken)

    def ask(self, tunnel: str, *hostnames: str, **keys: object) -> None:
        """Let the agent of a tunnel ask for something."""
        asks = self.edge.visitors.policy.asked
        reading = asks.read(asked(*hostnames, **keys), {name: name for name in hostnames}, "a-1")
        asks.put(tunnel, self.successResultOf(Deferred.fromCoroutine(reading)))

    def test_asked_by_an_agent(self) -> None:
        """Without any policy of the operator's, what an agent asks is enforced; other hostnames are not judged."""
        self.ask("t-1", "app.example", sources={"deny": ["192.0.2.0/24"]})
        self.visitor.dataReceived(GET)
        self.assertTrue(self.transport.taken.startswith(b"HTTP/1.1 403 "), self.transport.taken)
        self.assertEqual(self.edge.streams(), [])
        self.edge.table.add(self.edge.tunnel, [RouteOffer(id=1, hostname="b.example")])
        self.visitor.dataReceived(GET.replace(b"app.example", b"b.example"))
        self.assertEqual(len(self.edge.streams()), 1)

    def test_asked_while_a_password_is_hashed(self) -> None:
        """A request that waits is judged anew if a tunnel comes meanwhile whose agent asks for more."""
        answers: list[Deferred[Answer]] = []

        def answer(question: Question, network: str) -> Deferred[Answer]:
            answers.append(Deferred())
            return answers[-1]

        self.ask("t-1", "app.example", authenticate=basic())
        self.patch(self.edge.visitors.policy, "answer", answer)
        self.visitor.dataReceived(GET.replace(b"\r\n\r\n", b"\r\nAuthorization: Basic YW5uOng=\r\n\r\n"))
        (asked_first,) = answers
        self.ask("t-2", "app.example", sources={"deny": ["192.0.2.0/24"]})
        asked_first.callback(Answer(Outcome.PROVEN, Identity("basic", "ann")))
        self.edge.clock.advance(0)
        self.assertTrue(self.transport.taken.startswith(b"HTTP/1.1 403 "), self.transport.taken)
        self.assertEqual(self.edge.streams(), [])

    def test_asked_before_it_is_sent_again(self) -> None:
        """A request is not sent again through a tunnel whose agent asks for more than it was judged by."""
        other = FakeTunnel("t-2", "agent-2")
        for is_asked in (False, True):
            self.edge.table.add(self.edge.tunnel, [RouteOffer(id=0, hostname="app.example")])
            visitor, transport = self.edge.visitor()
            visitor.dataReceived(GET)
            (stream,) = self.edge.streams()
            if is_asked:
                self.ask("t-2", "app.example", sources={"allow": ["192.0.2.0/24"]})
            self.edge.table.add(other, [RouteOffer(id=0, hostname="app.example")])
            stream.lose(StreamReset())
            self.edge.clock.advance(0)
            self.assertEqual(bool(other.protocol.opened), not is_asked)
            self.assertEqual(transport.taken.startswith(b"HTTP/1.1 502 "), is_asked, transport.taken)
            visitor.abort()
            self.edge.table.remove(other)
            other.protocol.opened.clear()

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
