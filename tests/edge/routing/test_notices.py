"""Tests of notices: told one after the other, tried again a little, and never waited for."""

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IAgent
from zope.interface import implementer

from warp_twisted.edge.routing.notices import ASK_SECONDS, MAX_WAITING, RETRY_SECONDS, Notices

URL = "https://hooks.example/secret-of-ours"


class FakeResponse:
    """An answer whose body nobody wants."""

    def __init__(self, code: int) -> None:
        self.code = code

    def deliverBody(self, protocol: Any) -> None:
        """Notice who takes it."""


@implementer(IAgent)
class FakeAgent:
    """Remembers what it was asked; the test answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, bytes, Any]] = []
        self.answers: list[Deferred[Any]] = []

    def request(self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None) -> Deferred[Any]:
        """Note it."""
        written: list[bytes] = []

        class Consumer:
            write = written.append

        bodyProducer.startProducing(Consumer)
        self.asked.append((method, uri, json.loads(b"".join(written))))
        self.answers.append(Deferred())
        return self.answers[-1]


class NoticesTests(SynchronousTestCase):
    """`Notices`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.agent = FakeAgent()
        self.notices = Notices(lambda: self.agent, self.clock)

    def test_in_turns(self) -> None:
        """One is told at a time, in their order."""
        for number in range(3):
            self.notices.tell(URL, {"number": number})
        for number in range(3):
            self.assertEqual(self.agent.asked[number:], [(b"POST", URL.encode(), {"number": number})])
            self.agent.answers[number].callback(FakeResponse(204))
        self.notices.tell(URL, {"number": 3})
        self.assertEqual(len(self.agent.asked), 4)

    def test_again(self) -> None:
        """What fails, is refused or takes too long is tried a few times; then the log says it, without the secret."""
        self.notices.tell(URL, {})
        with capturedLogs() as logged:
            for wait in RETRY_SECONDS:
                self.agent.answers[-1].callback(FakeResponse(302))
                self.clock.advance(wait - 0.1)
                told = len(self.agent.asked)
                self.clock.advance(0.1)
                self.assertEqual(len(self.agent.asked), told + 1)
            self.clock.advance(ASK_SECONDS)
        (event,) = [event for event in logged if event["log_level"] is LogLevel.warn]
        self.assertEqual(event["host"], "hooks.example")
        self.assertNotIn("secret", repr(event))
        self.notices.tell(URL, {})
        self.agent.answers[-1].errback(Failure(ConnectError()))
        self.assertEqual(self.clock.getDelayedCalls()[0].getTime(), self.clock.seconds() + RETRY_SECONDS[0])

    def test_bounded(self) -> None:
        """A receiver that is silent keeps so many waiting; the oldest are left out."""
        for number in range(MAX_WAITING + 5):
            self.notices.tell(URL, {"number": number})
        self.agent.answers[0].callback(FakeResponse(200))
        self.assertEqual(self.agent.asked[1][2], {"number": 5})
        self.assertEqual(len(self.notices._waiting), MAX_WAITING - 1)

    def test_stop(self) -> None:
        """An edge that stops waits for nobody."""
        self.notices.tell(URL, {})
        self.notices.tell(URL, {})
        self.notices.stop()
        self.assertEqual((self.clock.getDelayedCalls(), len(self.agent.asked)), ([], 1))
