"""Tests of TCP to origins as `originRequest` has it."""

from socket import IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET, TCP_KEEPIDLE, TCP_KEEPINTVL

from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Client

from tests.case import AsyncTestCase, reactor
from tests.system.agent.origins import port_of
from warp_twisted.agent.origins.connecting import origin_endpoint
from warp_twisted.agent.origins.interface import OriginRequest


class OriginEndpointTests(AsyncTestCase):
    """`origin_endpoint`."""

    async def prepare(self) -> None:
        """Nothing is needed before."""

    async def connected(self, request: OriginRequest) -> Client:
        """Connect to a listener on loopback."""
        listening = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Factory.forProtocol(Protocol))
        self.addCleanup(listening.stopListening)
        endpoint = origin_endpoint(reactor, "127.0.0.1", port_of(listening), request)
        protocol = await endpoint.connect(Factory.forProtocol(Protocol))
        assert isinstance(protocol, Protocol)
        assert isinstance(protocol.transport, Client)
        self.addCleanup(protocol.transport.abortConnection)
        return protocol.transport

    async def test_keep_alive(self) -> None:
        """The kernel asks after so many seconds, and as often; without the key, or with 0, it does not."""
        for seconds, expected in ((30.0, 30), (0.2, 1)):
            socket = (await self.connected(OriginRequest(tcp_keep_alive=seconds))).getHandle()
            self.assertTrue(socket.getsockopt(SOL_SOCKET, SO_KEEPALIVE))
            found = [socket.getsockopt(IPPROTO_TCP, option) for option in (TCP_KEEPIDLE, TCP_KEEPINTVL)]
            self.assertEqual(found, [expected, expected])
        for request in (OriginRequest(), OriginRequest(tcp_keep_alive=0)):
            socket = (await self.connected(request)).getHandle()
            self.assertFalse(socket.getsockopt(SOL_SOCKET, SO_KEEPALIVE))

    async def test_one_address_after_the_other(self) -> None:
        """Without happy eyeballs the next address waits until the time for the first is over."""
        for is_off, delay in ((True, 3.0), (False, HostnameEndpoint._DEFAULT_ATTEMPT_DELAY)):
            request = OriginRequest(connect_timeout=3.0, no_happy_eyeballs=is_off)
            endpoint = origin_endpoint(reactor, "app.internal", 80, request)
            assert isinstance(endpoint, HostnameEndpoint)
            self.assertEqual(endpoint._attemptDelay, delay)
