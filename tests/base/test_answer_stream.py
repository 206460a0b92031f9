"""Tests of long answers in slices."""

from collections.abc import Iterable
from typing import cast

from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer, ITCPTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import directlyProvides
from zope.interface.verify import verifyObject

from warp_base.answer_stream import WRITTEN_BYTES, AnswerStream, Pieces, send_in_slices
from warp_base.slices import Slices


class AnswerTests(SynchronousTestCase):
    """Answers over HTTP, in memory."""

    def setUp(self) -> None:
        """Serve one resource that answers in pieces; each slice takes one step."""
        self.clock = Clock()
        self.slices = Slices(self.clock, 0.0)
        self.pieces: Pieces = iter(())
        self.steps = 0
        test = self

        class Answering(Resource):
            isLeaf = True

            def render_GET(self, request: Request) -> int:
                Deferred.fromCoroutine(send_in_slices(request, test.pieces, test.slices)).addCallback(
                    lambda rest: request.finish()
                )
                return NOT_DONE_YET

        self.agent = RequestTraversalAgent(Answering())

    def counted(self, pieces: Iterable[bytes]) -> Pieces:
        """Count the steps that are taken."""
        for piece in pieces:
            self.steps += 1
            yield piece

    def ask(self) -> Deferred[bytes]:
        """Ask, and return the body when it is complete."""

        async def get() -> bytes:
            response = await HTTPClient(self.agent).get("http://localhost/")
            return await response.content()

        asking = Deferred.fromCoroutine(get())
        self.agent.flush()
        return asking

    def test_in_slices(self) -> None:
        """Nothing is made at once; when all turns are over the answer is complete."""
        self.pieces = self.counted([b"a", b"", b"b" * WRITTEN_BYTES, b"c"])
        asking = self.ask()
        self.assertEqual(self.steps, 0)
        self.assertNoResult(asking)
        self.clock.advance(0)
        self.agent.flush()
        self.assertEqual(self.successResultOf(asking), b"a" + b"b" * WRITTEN_BYTES + b"c")


class CutTransport(StringTransport):
    """A TCP transport, as far as it can be cut."""

    is_cut = False

    def __init__(self) -> None:
        super().__init__()
        directlyProvides(self, ITCPTransport)

    def abortConnection(self) -> None:
        """Note it."""
        self.is_cut = True


class FakeRequest:
    """A request whose reader is slow or gone when the test says so."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.producer: object = None
        self.waiting: list[Deferred[None]] = []
        self.transport = CutTransport()
        self.headers: dict[bytes, bytes] = {}

    def setHeader(self, name: bytes, value: bytes) -> None:
        self.headers[name] = value

    def notifyFinish(self) -> Deferred[None]:
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def hang_up(self) -> None:
        """The reader goes."""
        for deferred in self.waiting:
            deferred.errback(ConnectionDone())

    def registerProducer(self, producer: object, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.written.append(data)


class AnswerStreamTests(SynchronousTestCase):
    """One answer, and a reader that may be slow or go."""

    def setUp(self) -> None:
        """Begin an answer; each slice takes one step."""
        self.clock = Clock()
        self.request = FakeRequest()
        self.stream = AnswerStream(cast(Request, self.request), Slices(self.clock, 0.0))
        self.made: list[int] = []

    def pieces(self, count: int) -> Pieces:
        """Make so many large pieces."""
        for number in range(count):
            self.made.append(number)
            yield b"x" * WRITTEN_BYTES

    def test_it_is_a_producer(self) -> None:
        """The reader's pace rules it, until it is finished."""
        self.assertTrue(verifyObject(IPushProducer, self.stream))
        self.assertIs(self.request.producer, self.stream)
        self.stream.finish()
        self.assertIsNone(self.request.producer)

    def test_slow_reader(self) -> None:
        """While the reader is slow no more than a piece is made; when it has read the rest follows."""
        self.stream.pauseProducing()
        self.assertTrue(self.stream.is_paused)
        done = self.stream.work(self.pieces(3))
        self.clock.advance(1)
        self.assertEqual(self.made, [0])
        self.stream.resumeProducing()
        self.clock.advance(1)
        self.successResultOf(done)
        self.assertEqual(sum(map(len, self.request.written)), 3 * WRITTEN_BYTES)

    def test_reader_that_goes(self) -> None:
        """When the reader is gone nothing more is made or written, also if it was slow before."""
        self.stream.pauseProducing()
        done = self.stream.work(self.pieces(3))
        self.clock.advance(1)
        self.request.hang_up()
        self.clock.advance(1)
        self.successResultOf(done)
        self.assertEqual((self.made, len(self.request.written)), ([0], 1))
        self.stream.write(b"more")
        self.stream.finish()
        self.assertEqual(len(self.request.written), 1)
        self.assertFalse(self.request.transport.is_cut)

    def test_answer_that_breaks_off(self) -> None:
        """An answer that cannot be finished is cut rather than ended, and the log says why."""

        def fail() -> Pieces:
            yield b"half"
            raise ZeroDivisionError

        self.successResultOf(self.finished(self.stream.work(fail())))
        self.assertTrue(self.request.transport.is_cut)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_cancelled(self) -> None:
        """Work that is cancelled is cut too, without a word in the log."""
        done = self.stream.work(self.pieces(3))
        done.cancel()
        self.successResultOf(self.finished(done))
        self.assertTrue(self.request.transport.is_cut)

    def finished(self, done: Deferred[None]) -> Deferred[None]:
        """Let the work come to its end."""
        self.clock.advance(1)
        return done
