"""Tests of origins that cannot be reached before a file is there."""

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.case import reactor
from warp_twisted.agent.origins import left_out
from warp_twisted.agent.origins.left_out import LeftOut
from warp_twisted.agent.origins.tls import OriginNotVerified
from warp_twisted.errors import InvalidSettings


@implementer(IStreamClientEndpoint)
class _There:
    """An endpoint that connects."""

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect to nothing."""
        made = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        assert made is not None
        return succeed(made)


class LeftOutTests(TestCase):
    """A file that comes later."""

    def setUp(self) -> None:
        """Have no file."""
        self.asked = 0
        self.is_there = False
        self.factory = Factory.forProtocol(Protocol)

    def read(self) -> IStreamClientEndpoint:
        """Read the file."""
        self.asked += 1
        if not self.is_there:
            raise InvalidSettings("still not there")
        return _There()

    async def test_comes_back(self) -> None:
        """Until the file can be read, connecting fails with the reason; then it connects, and reads no more."""
        self.patch(left_out, "RETRY_SECONDS", 0.0)
        endpoint = LeftOut(reactor, self.read, "not there")
        error = await self.assertFailure(endpoint.connect(self.factory), OriginNotVerified)
        self.assertEqual((str(error), self.asked), ("still not there", 1))
        self.is_there = True
        for _ in range(3):
            self.assertIsInstance(await endpoint.connect(self.factory), Protocol)
        self.assertEqual(self.asked, 2)

    async def test_crowd(self) -> None:
        """Many visitors have the file read no more often than a probe does."""
        endpoint = LeftOut(reactor, self.read, "not there")
        for _ in range(50):
            error = await self.assertFailure(endpoint.connect(self.factory), OriginNotVerified)
            self.assertEqual(str(error), "not there")
        self.assertEqual(self.asked, 0)
