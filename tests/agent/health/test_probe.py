"""Tests of `warp_twisted.agent.health.probe`; with real sockets in `tests.system.agent.test_health`."""

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IHandshakeListener, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from warp_twisted.agent.health.answer import GOOD, Answer
from warp_twisted.agent.health.probe import Probe
from warp_twisted.agent.health.settings import Health


class Socket(StringTransport):
    """A transport that can be dropped."""

    is_dropped = False

    def abortConnection(self) -> None:
        """Note it."""
        self.is_dropped = True


@implementer(IStreamClientEndpoint)
class Endpoint:
    """Connects when told."""

    def __init__(self, *, at_once: bool = False) -> None:
        self.connecting: Deferred[IProtocol] = Deferred()
        self.protocol: IProtocol | None = None
        self.socket = Socket()
        self._at_once = at_once
        self._factory: IProtocolFactory | None = None

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Remember who wants to connect."""
        self._factory = factory
        if self._at_once:
            self.succeed()
        return self.connecting

    def succeed(self) -> IProtocol:
        """Connect."""
        assert self._factory is not None
        protocol = self._factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        assert protocol is not None
        protocol.makeConnection(self.socket)
        self.connecting.callback(protocol)
        return protocol


class ProbeTests(SynchronousTestCase):
    """One probe."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.endpoint = Endpoint()
        self.verdicts: list[str] = []

    def begin(self, request: bytes | None = b"GET", *, tls: bool = False) -> Probe:
        """Begin a probe."""
        return Probe(
            self.clock,
            self.endpoint,
            tls=tls,
            timeout=2.0,
            request=request,
            answer=Answer(Health(path="/")),
            explain=lambda failure: None if failure.check(ZeroDivisionError) else type(failure.value).__name__,
            done=self.verdicts.append,
        )

    def assert_over(self, probe: Probe, *verdicts: str) -> None:
        """Check what was told, and that nothing is left."""
        self.assertEqual(self.verdicts, list(verdicts))
        self.assertTrue(probe.is_over)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_answer(self) -> None:
        """The request goes out when the connection is there; with the verdict the connection is dropped."""
        probe = self.begin()
        protocol = self.endpoint.succeed()
        self.assertEqual(self.endpoint.socket.value(), b"GET")
        protocol.dataReceived(b"HTTP/1.1 200")
        self.assertFalse(probe.is_over)
        protocol.dataReceived(b" OK\r\n\r\n")
        self.assert_over(probe, GOOD)
        self.assertTrue(self.endpoint.socket.is_dropped)
        protocol.dataReceived(b"more")
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assert_over(probe, GOOD)

    def test_only_connects(self) -> None:
        """Without a request it is enough that the origin is there; nothing is sent."""
        probe = self.begin(None)
        self.endpoint.succeed()
        self.assert_over(probe, GOOD)
        self.assertEqual(self.endpoint.socket.value(), b"")

    def test_at_once(self) -> None:
        """An endpoint that connects within the call is as good."""
        self.endpoint = Endpoint(at_once=True)
        self.assert_over(self.begin(None), GOOD)

    def test_handshake(self) -> None:
        """With TLS the origin is there when the handshake is complete, and not before."""
        probe = self.begin(None, tls=True)
        protocol = self.endpoint.succeed()
        self.assertFalse(probe.is_over)
        IHandshakeListener(protocol).handshakeCompleted()
        self.assert_over(probe, GOOD)

    def test_handshake_fails(self) -> None:
        """A connection that is lost before is a failure to connect."""
        probe = self.begin(tls=True)
        self.endpoint.succeed().connectionLost(Failure(ConnectionDone()))
        self.assert_over(probe, "ConnectionDone")

    def test_refused(self) -> None:
        """Why it could not connect is told."""
        probe = self.begin()
        self.endpoint.connecting.errback(ConnectionRefusedError())
        self.assert_over(probe, "ConnectionRefusedError")

    def test_lost(self) -> None:
        """A connection that ends without an answer is a failure."""
        probe = self.begin()
        self.endpoint.succeed().connectionLost(Failure(ConnectionDone()))
        self.assert_over(probe, "it closed the connection without a whole answer")

    def test_silent(self) -> None:
        """A probe ends by its time-out, whether connecting takes so long or the answer."""
        probe = self.begin()
        self.clock.advance(2.0)
        self.assert_over(probe, "no answer within 2 seconds")
        self.endpoint, self.verdicts = Endpoint(), []
        probe = self.begin()
        protocol = self.endpoint.succeed()
        protocol.dataReceived(b"HTTP/1.1 ")
        self.clock.advance(2.0)
        self.assert_over(probe, "no answer within 2 seconds")
        self.assertTrue(self.endpoint.socket.is_dropped)

    def test_late(self) -> None:
        """A connection that comes about after the end is dropped."""
        probe = self.begin()
        self.endpoint.connecting.addErrback(lambda failure: failure)
        connecting, self.endpoint.connecting = self.endpoint.connecting, Deferred()
        probe.cancel()
        self.assertTrue(connecting.called)
        self.endpoint.succeed()
        self.assert_over(probe)
        self.assertEqual(self.endpoint.socket.value(), b"")
        self.assertTrue(self.endpoint.socket.is_dropped)

    def test_cancelled(self) -> None:
        """Nobody hears of a probe that was cancelled."""
        probe = self.begin()
        protocol = self.endpoint.succeed()
        probe.cancel()
        protocol.dataReceived(b"HTTP/1.1 200 OK\r\n\r\n")
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assert_over(probe)

    def test_bug(self) -> None:
        """A bug of ours is logged, and is no good probe."""
        probe = self.begin()
        self.endpoint.connecting.errback(ZeroDivisionError())
        self.assert_over(probe, "the agent failed to probe it; its log says how")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
