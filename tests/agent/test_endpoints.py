"""Tests of `warp_twisted.agent.endpoints`."""

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from warp_twisted.agent.endpoints import LoopbackEndpoint, tcp_endpoint


@implementer(IStreamClientEndpoint)
class FakeEndpoint:
    """An endpoint that connects or refuses at once and counts."""

    def __init__(self, answers: bool) -> None:
        self.answers = answers
        self.attempts = 0

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Answer as told."""
        self.attempts += 1
        if not self.answers:
            return fail(ConnectionRefusedError(str(self.attempts)))
        protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        assert protocol is not None
        return succeed(protocol)


class LoopbackEndpointTests(SynchronousTestCase):
    """`localhost` without a resolver."""

    def test_interface(self) -> None:
        """It is an endpoint like any other."""
        verifyObject(IStreamClientEndpoint, LoopbackEndpoint(FakeEndpoint(True), FakeEndpoint(True)))

    def test_remembers_what_answered(self) -> None:
        """After the first address refused once, the other is tried first."""
        first, other = FakeEndpoint(False), FakeEndpoint(True)
        endpoint = LoopbackEndpoint(first, other)
        for _ in range(3):
            self.successResultOf(endpoint.connect(Factory.forProtocol(Protocol)))
        self.assertEqual((first.attempts, other.attempts), (1, 3))

    def test_both_refused(self) -> None:
        """The failure is that of the first address, and the order stays."""
        first, other = FakeEndpoint(False), FakeEndpoint(False)
        endpoint = LoopbackEndpoint(first, other)
        for attempt in ("1", "2"):
            failure = self.failureResultOf(endpoint.connect(Factory.forProtocol(Protocol)), ConnectionRefusedError)
            self.assertEqual(failure.value.osError, attempt)
        self.assertEqual((first.attempts, other.attempts), (2, 2))

    def test_other_failures_are_final(self) -> None:
        """A mistake of ours, such as a protocol that cannot be built, is not retried on the other address."""

        class Broken(Factory):
            def buildProtocol(self, address: object) -> Protocol:
                raise ZeroDivisionError

        other = FakeEndpoint(True)

        @implementer(IStreamClientEndpoint)
        class Raising:
            def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
                return fail(ZeroDivisionError())

        self.failureResultOf(LoopbackEndpoint(Raising(), other).connect(Broken()), ZeroDivisionError)
        self.assertEqual(other.attempts, 0)


class TcpEndpointTests(SynchronousTestCase):
    """Which endpoint a host gets."""

    def test_by_host(self) -> None:
        """Literals are dialed directly, localhost by both loopback addresses, names through the resolver."""
        reactor = MemoryReactorClock()
        for host, kind in {
            "10.0.0.1": TCP4ClientEndpoint,
            "2001:db8::1": TCP6ClientEndpoint,
            "localhost": LoopbackEndpoint,
            "app.internal": HostnameEndpoint,
        }.items():
            self.assertIsInstance(tcp_endpoint(reactor, host, 80, 1.0), kind)
