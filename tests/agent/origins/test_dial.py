"""Tests of `warp_twisted.agent.origins.dial`."""

from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    ConnectionDone,
    ConnectionRefusedError,
    DNSLookupError,
    NoRouteError,
    TCPTimedOutError,
    TimeoutError,
)
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.agent.origins.test_splice import FakeSocket
from warp_twisted.agent.origins import Dial
from warp_twisted.agent.origins.dial import Attempt, DialResult, OriginDial, explain, probe, refuse
from warp_twisted.agent.origins.splice import PlainSplice, TlsSplice, Traffic
from warp_twisted.agent.origins.tls import OriginNotVerified
from warp_twisted.testing import RecordingDelegate, RecordingReceiver, tunnel_pair
from warp_twisted.wire.preamble import Opening, OpeningCode


@implementer(IStreamClientEndpoint)
class FakeEndpoint:
    """An endpoint in the hands of the test."""

    def __init__(self) -> None:
        self.factory: IProtocolFactory | None = None
        self.connecting: Deferred[IProtocol] = Deferred()
        self.socket = FakeSocket()

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Remember who wants to connect."""
        self.factory = factory
        return self.connecting

    def build(self) -> IProtocol | None:
        """Ask for a protocol for one connection."""
        assert self.factory is not None, "nobody wants to connect"
        return self.factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))

    def succeed(self) -> PlainSplice | TlsSplice:
        """Connect."""
        splice = self.build()
        assert isinstance(splice, PlainSplice | TlsSplice)
        splice.makeConnection(self.socket)
        self.connecting.callback(splice)
        return splice


class ExplainTests(SynchronousTestCase):
    """From Twisted's errors to the codes of the opening reply."""

    def test_each_error(self) -> None:
        """Every way in which an origin can fail has its code and some words."""
        for error, code, words in (
            (ConnectionRefusedError(), OpeningCode.ORIGIN_REFUSED, "refused"),
            (TimeoutError(), OpeningCode.ORIGIN_TIMED_OUT, "time-out"),
            (TCPTimedOutError(), OpeningCode.ORIGIN_TIMED_OUT, "time-out"),
            (DNSLookupError(), OpeningCode.NAME_NOT_FOUND, "resolved"),
            (NoRouteError(), OpeningCode.ORIGIN_UNREACHABLE, "No route"),
            (OriginNotVerified("bad"), OpeningCode.TLS_FAILED, "bad"),
            (SSL.Error([("SSL routines", "", "wrong version number")]), OpeningCode.TLS_FAILED, "is it http?"),
            (SSL.Error([("SSL routines", "", "alert handshake failure")]), OpeningCode.TLS_FAILED, "alert handshake"),
            (SSL.Error(), OpeningCode.TLS_FAILED, "handshake failed"),
            (ConnectionDone(), OpeningCode.TLS_FAILED, "during the TLS handshake"),
        ):
            found = explain(Failure(error))
            assert found is not None, error
            self.assertIs(found[0], code, error)
            self.assertIn(words, found[1])

    def test_mistakes_of_ours_are_not_the_origins(self) -> None:
        """Anything else is not explained away."""
        self.assertIsNone(explain(Failure(ZeroDivisionError())))


class OriginDialTests(SynchronousTestCase):
    """Connecting one stream."""

    def setUp(self) -> None:
        agent = RecordingDelegate()
        self.pair = tunnel_pair(RecordingDelegate(), agent)
        self.visit = RecordingReceiver()
        self.edge = self.visit.stream = self.pair.edge.open_route(1, self.visit, b"early ")
        self.pair.pump()
        self.stream = agent.streams[0][0]
        self.endpoint = FakeEndpoint()
        self.traffic = Traffic()
        self.results: list[DialResult] = []

    def dial(self, tls: bool = False) -> OriginDial:
        """Begin to connect the stream."""
        dial = Dial(self.endpoint, tls, 10.0)
        return OriginDial(self.pair.clock, dial, self.stream, self.traffic, self.results.append)

    def assert_quiet(self) -> None:
        """Check that the attempt has left no timer."""
        pending = [str(call) for call in self.pair.clock.getDelayedCalls()]
        pending = [call for call in pending if "Attempt." in call]
        self.assertEqual(pending, [])

    def test_early_bytes_follow_the_connection(self) -> None:
        """The reply comes first; what arrived early goes to the origin in order, then what comes later."""
        self.dial()
        self.edge.write(b"bytes")
        self.pair.pump()
        self.assertEqual(self.visit.openings, [])
        self.pair.clock.advance(2)
        self.endpoint.succeed()
        self.edge.write(b", later")
        self.pair.pump()
        self.assertEqual(self.visit.openings, [Opening(code=OpeningCode.OPENED)])
        self.assertEqual(self.endpoint.socket.sent, b"bytes, later")
        self.assertEqual(self.results, [DialResult(OpeningCode.OPENED, "", 2.0)])
        self.assert_quiet()

    def test_early_end(self) -> None:
        """An end that arrived early is passed on after the bytes before it."""
        self.dial()
        self.edge.write(b"all")
        self.edge.end()
        self.pair.pump()
        self.endpoint.succeed()
        self.assertEqual((self.endpoint.socket.sent, self.endpoint.socket.calls), (b"all", ["loseWriteConnection"]))

    def test_early_bytes_are_bounded_by_the_window(self) -> None:
        """While there is no origin, no credit is returned."""
        self.dial()
        while self.edge.write(b"x" * 50_000):
            self.pair.pump()
        self.pair.pump()
        self.assertTrue(self.edge.is_blocked)
        self.assertGreaterEqual(self.stream.unread_bytes, self.stream.window - 64)

    def test_failure(self) -> None:
        """The edge hears why, and the stream ends."""
        self.dial()
        self.endpoint.connecting.errback(ConnectionRefusedError())
        self.pair.pump()
        self.assertEqual(self.visit.openings, [Opening(code=OpeningCode.ORIGIN_REFUSED, detail="connection refused")])
        self.assertEqual((self.results[0].code, self.results[0].is_connected), (OpeningCode.ORIGIN_REFUSED, False))
        self.assertEqual(self.pair.agent.stream_count, 0)
        self.assert_quiet()

    def test_our_own_failure(self) -> None:
        """A mistake of ours is told as such."""
        self.dial()
        self.endpoint.connecting.errback(ZeroDivisionError("oops"))
        self.pair.pump()
        self.assertIs(self.visit.openings[0].code, OpeningCode.INTERNAL_ERROR)

    def test_time_out(self) -> None:
        """After the rule's time-out the attempt is given up, whatever it was waiting for."""
        self.dial()
        self.pair.clock.advance(10)
        self.pair.pump()
        self.assertEqual(
            self.visit.openings, [Opening(code=OpeningCode.ORIGIN_TIMED_OUT, detail="no answer within 10 seconds")]
        )
        self.assertTrue(self.endpoint.connecting.called)

    def test_time_out_in_the_handshake(self) -> None:
        """TLS counts as well: a connection without a handshake is dropped."""
        self.dial(tls=True)
        self.endpoint.succeed()
        self.pair.clock.advance(10)
        self.pair.pump()
        self.assertIs(self.visit.openings[0].code, OpeningCode.ORIGIN_TIMED_OUT)
        self.assertEqual(self.endpoint.socket.calls, ["abortConnection"])

    def test_tls_is_ready_after_the_handshake(self) -> None:
        """A TCP connection alone is not yet the origin."""
        self.dial(tls=True)
        splice = self.endpoint.succeed()
        self.pair.pump()
        self.assertEqual(self.visit.openings, [])
        assert isinstance(splice, TlsSplice)
        splice.handshakeCompleted()
        self.pair.pump()
        self.assertEqual(self.visit.openings, [Opening(code=OpeningCode.OPENED)])
        self.assertEqual(self.endpoint.socket.buffered, b"")
        self.assert_quiet()

    def test_visitor_does_not_wait(self) -> None:
        """A stream that is cut stops the attempt, and nobody hears of a result."""
        self.dial()
        self.edge.reset()
        self.pair.pump()
        self.assertTrue(self.endpoint.connecting.called)
        self.assertEqual((self.results, self.traffic.open), ([], 0))
        self.assert_quiet()

    def test_visitor_does_not_wait_for_the_handshake(self) -> None:
        """The connection whose handshake goes on is dropped too."""
        self.dial(tls=True)
        splice = self.endpoint.succeed()
        self.edge.reset()
        self.pair.pump()
        self.assertEqual(self.endpoint.socket.calls, ["abortConnection"])
        splice.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.results, [])

    def test_only_one_connection(self) -> None:
        """A second connection of a race between addresses is not taken."""
        self.dial()
        self.endpoint.succeed()
        self.assertIsNone(self.endpoint.build())


class ProbeTests(SynchronousTestCase):
    """Looking whether an origin answers."""

    def test_answers(self) -> None:
        """A connection is closed at once, in order."""
        endpoint = FakeEndpoint()
        results: list[DialResult] = []
        clock = tunnel_pair(RecordingDelegate(), RecordingDelegate()).clock
        attempt = probe(clock, Dial(endpoint, False, 1.0), results.append)
        self.assertTrue(attempt.is_pending)
        endpoint.succeed()
        self.assertEqual((attempt.is_pending, endpoint.socket.calls), (False, ["loseConnection"]))
        self.assertTrue(results[0].is_connected)

    def test_cancel(self) -> None:
        """A probe that is not needed any more says nothing."""
        endpoint = FakeEndpoint()
        results: list[DialResult] = []
        attempt = Attempt(
            tunnel_pair(RecordingDelegate(), RecordingDelegate()).clock,
            Dial(endpoint, False, 1.0),
            Traffic(),
            lambda result, splice: results.append(result),
        )
        attempt.cancel()
        attempt.cancel()
        self.assertTrue(endpoint.connecting.called)
        self.assertEqual(results, [])


class RefuseTests(SynchronousTestCase):
    """Streams that lead nowhere."""

    def test_refuse(self) -> None:
        """The edge hears the reason, and the stream is gone."""
        agent, visit = RecordingDelegate(), RecordingReceiver()
        pair = tunnel_pair(RecordingDelegate(), agent)
        visit.stream = pair.edge.open_route(9, visit, b"request")
        pair.pump()
        refuse(agent.streams[0][0], OpeningCode.NO_SUCH_ROUTE, "no route 9")
        pair.pump()
        self.assertEqual(visit.openings, [Opening(code=OpeningCode.NO_SUCH_ROUTE, detail="no route 9")])
        self.assertEqual(pair.agent.stream_count, 0)
