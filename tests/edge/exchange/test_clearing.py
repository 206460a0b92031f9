"""Tests of a request's way past the policy, in memory: questions, waits, what comes meanwhile, and bugs."""

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.case import nothing_left_to_the_collector
from tests.edge.policy.test_in_force import loaded
from tests.edge.visitors.memory_edge import GET, OK, MemoryEdge
from tests.policy.document.test_asked import asked
from warp_twisted.edge.exchange.permission import Answers, Permission
from warp_twisted.edge.visitors.invariants import check_visitor
from warp_twisted.policy.interfaces import Answer, Outcome, Question

POLICY = "rules: [{name: r, limits: [{name: slow, of: bytes, rate: 1kB/s, burst: 1kB}]}]"
POST = b"POST /a HTTP/1.1\r\nHost: app.example\r\nContent-Length: 4\r\n\r\nbo"


class ClearingTests(SynchronousTestCase):
    """`Clearing`, as an exchange uses it."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.edge.visitors.policy.use(loaded(self, POLICY))
        self.visitor, self.transport = self.edge.visitor()

    def ask_and_wait(self) -> "Deferred[Mapping[Question, Answer]]":
        """Begin a request about which the policy has a question; return what fires with the answers."""
        answers: Deferred[Mapping[Question, Answer]] = Deferred()
        question = Question("basic", "s", b"")
        asking = self.patch(Permission, "is_open", True)

        def ask(
            permission: Permission, answered: Callable[[Answers], None], failed: Callable[[Failure], None]
        ) -> Deferred[None]:
            asking.restore()
            return answers.addCallback(answered).addErrback(failed)

        self.patch(Permission, "ask", ask)
        self.patch(Permission, "decide", lambda permission, given: None)
        self.visitor.dataReceived(POST)
        check_visitor(self.visitor)
        self.assertEqual(self.edge.streams(), [])
        self.assertGreater(self.visitor.kept_bytes, 0)
        self.given = {question: Answer(Outcome.PROVEN)}
        return answers

    def test_answered(self) -> None:
        """The request goes on with what has come of its body, and with what came meanwhile."""
        answers = self.ask_and_wait()
        self.visitor.dataReceived(b"dy")
        answers.callback(self.given)
        self.edge.clock.advance(0.1)
        (stream,) = self.edge.streams()
        self.assertTrue(self.edge.tunnel.protocol.sent()[stream.id].endswith(b"\r\n\r\nbody"))

    def test_the_visitor_leaves(self) -> None:
        """Answers for a visitor that has left lead nowhere."""
        answers = self.ask_and_wait()
        self.visitor.connectionLost()
        answers.callback(self.given)
        self.assertEqual((self.edge.streams(), self.edge.metrics.unread_bytes), ([], 0))

    def test_a_bug(self) -> None:
        """A bug in an answer ends the request with a page; in one that is over it is only logged."""
        answers = self.ask_and_wait()
        answers.errback(ZeroDivisionError())
        self.assertTrue(self.transport.taken.startswith(b"HTTP/1.1 500 "), self.transport.taken)
        self.visitor, self.transport = self.edge.visitor()
        answers = self.ask_and_wait()
        self.visitor.connectionLost()
        answers.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_a_bug_after_a_wait(self) -> None:
        """A bug that comes to light when a wait is over ends the request with a page."""
        self.visitor.dataReceived(GET[:-2] + b"X-Padding: " + b"x" * 1_500 + b"\r\n\r\n")
        self.patch(Permission, "head_for_origin", lambda permission, now: 1 // 0)
        self.edge.clock.advance(2)
        self.assertTrue(self.transport.taken.startswith(b"HTTP/1.1 500 "), self.transport.taken)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_asked_meanwhile(self) -> None:
        """What a tunnel asks for that came while the policy was asked holds for the request."""
        answers = self.ask_and_wait()
        policies = self.edge.visitors.policy.asked
        reading = policies.read(
            asked("app.example", sources={"deny": ["192.0.2.7"]}), {"app.example": "app.example"}, "a-1"
        )
        policies.put("t-2", self.successResultOf(Deferred.fromCoroutine(reading)))
        answers.callback(self.given)
        self.assertEqual(self.edge.streams(), [])
        self.assertTrue(self.transport.taken.startswith(b"HTTP/1.1 403 "), self.transport.taken)


class EndedTests(SynchronousTestCase):
    """What is left of a request that was cleared."""

    def test_nothing_is_left_to_the_collector(self) -> None:
        """
        What judged a request is freed when its answer has ended.

        Objects that know each other would wait for the garbage collector: a dozen a request, on memory that is cold.
        """
        policies = ("sources: {deny: [203.0.113.0/24]}", "response: {set: {X-A: b}}", POLICY[17:-2])
        for policy in policies:
            edge = MemoryEdge()
            edge.visitors.policy.use(loaded(self, f"rules: [{{name: r, {policy}}}]"))
            visitor, transport = edge.visitor()
            visitor.dataReceived(GET)
            (stream,) = edge.streams()
            edge.tunnel.protocol.answer(stream)
            edge.tunnel.protocol.arrive(stream, OK)
            with nothing_left_to_the_collector("warp_"):
                visitor.dataReceived(GET)
                edge.tunnel.protocol.arrive(stream, OK)
            self.assertEqual(transport.taken.count(b"HTTP/1.1 200 "), 2)
