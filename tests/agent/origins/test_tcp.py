"""Tests of `warp_twisted.agent.origins.tcp`."""

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.origins.interface import OriginRequest
from warp_twisted.agent.origins.tcp import parse
from warp_twisted.errors import InvalidSettings


class TcpOriginTests(SynchronousTestCase):
    """`tcp://`."""

    def test_the_edge_splices_bytes(self) -> None:
        """It is no HTTP to the edge, and is dialed without TLS."""
        origin = parse("tcp://192.0.2.1:5432", OriginRequest(connect_timeout=3.0))
        reactor = MemoryReactorClock()
        dial = origin.access(reactor)
        dial.endpoint.connect(Factory.forProtocol(Protocol))
        self.assertEqual((origin.protocol, origin.text), ("tcp", "tcp://192.0.2.1:5432"))
        self.assertEqual(reactor.tcpClients[0][:2], ("192.0.2.1", 5432))
        self.assertEqual((dial.tls, dial.timeout), (False, 3.0))

    def test_port_is_needed(self) -> None:
        """There is no port that would be meant."""
        self.assertRaises(InvalidSettings, parse, "tcp://db", OriginRequest())
