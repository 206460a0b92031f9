"""Tests of what the tunnel port asks: who may begin what, and the limits of now."""

import ssl
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clocks import SettableWallClock
from tests.edge.control import make_settings
from warp_twisted.edge.agents.listening import (
    AGENTS_BURST,
    STRANGERS_BURST,
    STRANGERS_PER_SECOND,
    TunnelPort,
)
from warp_twisted.edge.agents.tunnels import EdgeTunnels
from warp_twisted.edge.errors import EdgeError
from warp_twisted.edge.settings import CurrentSettings
from warp_twisted.tunnel import TunnelProtocol, TunnelTimes
from warp_twisted.tunnel.enrollment import Asker
from warp_twisted.tunnel.errors import TooBusy
from warp_twisted.wire.control import Enrolled, EnrollRequest, ReturnRequest


class RecordingTunnels:
    """Remembers who was proven."""

    def __init__(self) -> None:
        self.proven: list[tuple[object, str]] = []

    def tunnel_proven(self, protocol: TunnelProtocol, network: str) -> None:
        """Remember."""
        self.proven.append((protocol, network))


async def enroll(request: EnrollRequest | ReturnRequest, asker: Asker) -> Enrolled:
    """Let everybody in."""
    return Enrolled(agent_id="a-1", chain_pem="CHAIN", root_pem="ROOT")


class TunnelPortTests(SynchronousTestCase):
    """The port without its sockets; those are in tests.system.edge.test_tunnel_port."""

    def setUp(self) -> None:
        """Make a port that has no certificate yet."""
        self.clock = Clock()
        self.tunnels = RecordingTunnels()
        self.settings = CurrentSettings(make_settings())
        self.port = TunnelPort(
            self.clock, SettableWallClock(), self.settings, cast(EdgeTunnels, self.tunnels), enroll, "root"
        )

    def handshakes(self, network: str, count: int) -> int:
        """Begin so many handshakes at once; returns how many were let in."""
        let_in = 0
        for _ in range(count):
            try:
                self.port.handshake_begun(network)
                let_in += 1
            except TooBusy:
                pass
        return let_in

    def test_certificates(self) -> None:
        """The factory is made with the first certificate, and shows each newer one."""
        self.assertRaises(EdgeError, lambda: self.port.factory)
        first, second = (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for _ in range(2))
        self.port.use(first)
        factory = self.port.factory
        self.port.use(second)
        self.assertIs(self.port.factory, factory)
        self.assertIs(factory.context, second)

    def test_settings(self) -> None:
        """The limits are those of the settings, also after they changed."""
        self.port.settings_changed()  # before there is anything that could be limited
        self.port.use(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        self.settings.value = make_settings(limits={"handshakes": 7}, timeouts={"hello": 4, "ping": 5, "silence": 8})
        self.port.settings_changed()
        self.assertEqual(self.port.factory.times, TunnelTimes(ping_seconds=5, silence_seconds=8))
        self.assertEqual((self.port.factory.max_handshakes, self.port.factory.handshake_seconds), (7, 4))

    def test_rate_of_handshakes(self) -> None:
        """A stranger's network has a burst and a rate of its own; that of a known agent has more."""
        burst = int(STRANGERS_BURST)
        self.assertEqual(self.handshakes("192.0.2.1", burst + 5), burst)
        self.assertEqual(self.handshakes("192.0.2.2", 1), 1)
        self.clock.advance(1)
        self.assertEqual(self.handshakes("192.0.2.1", burst), STRANGERS_PER_SECOND)
        protocol = cast(TunnelProtocol, object())
        self.port.tunnel_proven(protocol, "192.0.2.1")
        self.assertEqual(self.tunnels.proven, [(protocol, "192.0.2.1")])
        self.assertEqual([self.port.is_known(network) for network in ("192.0.2.1", "192.0.2.2")], [True, False])
        self.assertEqual(self.handshakes("192.0.2.1", int(AGENTS_BURST) + 5), AGENTS_BURST)

    def test_network_of_who_was_let_in(self) -> None:
        """Where an agent was let in, the handshakes of its tunnels are expected."""
        self.port.use(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        let_in = self.port.factory.enroll
        assert let_in is not None
        asker = Asker(nonce="n", address="192.0.2.7")
        answering = let_in(ReturnRequest(chain_pem="CHAIN", signature="00"), asker)
        self.assertFalse(self.port.is_known("192.0.2.7"))
        self.successResultOf(Deferred.fromCoroutine(cast(Any, answering)))
        self.assertTrue(self.port.is_known("192.0.2.7"))
