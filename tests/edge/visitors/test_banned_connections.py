"""Tests of cutting what a network has open when it is banned."""

from twisted.trial.unittest import SynchronousTestCase

from tests.edge.fakes import FakeTransport
from tests.edge.visitors.memory_edge import GET, MemoryEdge
from warp_base.slices import Slices
from warp_twisted.edge.policy.banning import Banning
from warp_twisted.edge.visitors.banned_connections import BannedConnections
from warp_twisted.edge.visitors.http_proxies import HttpProxies
from warp_twisted.edge.visitors.plain import PlainVisitor
from warp_twisted.policy.sources.prefixes import PrefixSet

VISITOR, OTHER, PROXY = "198.51.100.7", "198.51.100.8", "192.0.2.1"


class BannedConnectionsTests(SynchronousTestCase):
    """Connections of a network, and of others."""

    def setUp(self) -> None:
        self.edge = MemoryEdge()
        self.visitors = self.edge.visitors
        self.visitors.http_proxies = HttpProxies(PrefixSet.of([PROXY]))
        self.banning = Banning(self.edge.clock.seconds)
        slices = Slices(self.edge.clock)
        self.addCleanup(slices.stop)
        self.banned = BannedConnections(self.visitors.connections, self.banning, slices)

    def come(self, address: str) -> tuple[PlainVisitor, FakeTransport]:
        """Connect from an address."""
        self.visitors.counts.admit(address)
        connection, transport = PlainVisitor(self.visitors, address), FakeTransport()
        connection.makeConnection(transport)
        return connection, transport

    def ban(self, *networks: str) -> None:
        """Ban networks, and let all work be done."""
        for network in networks:
            self.banning.put(network, 60.0, "abuse")
            self.banned.cut(network)
        for _ in range(50):
            self.edge.clock.advance(0)

    def test_cut(self) -> None:
        """Connections of the network end, busy and idle ones, and no others."""
        idle, busy, other = self.come(VISITOR), self.come(VISITOR), self.come(OTHER)
        busy[0].dataReceived(GET)
        self.ban(VISITOR)
        self.assertEqual([each[1].is_aborted for each in (idle, busy, other)], [True, True, False])

    def test_proxy(self) -> None:
        """Of a proxy's connections those end that carry a request of the network now; another keeps its own."""
        for_visitor, for_other, idle = self.come(PROXY), self.come(PROXY), self.come(PROXY)
        for (connection, _), address in ((for_visitor, VISITOR), (for_other, OTHER)):
            connection.dataReceived(GET[:-2] + f"X-Forwarded-For: {address}\r\n\r\n".encode())
        self.ban(VISITOR)
        self.assertEqual([each[1].is_aborted for each in (for_visitor, for_other, idle)], [True, False, False])

    def test_never_banned(self) -> None:
        """Who is spared in a network that is banned keeps what is open."""
        self.banning.bans.never = PrefixSet.of([VISITOR])
        _, transport = self.come(VISITOR)
        self.ban(VISITOR)
        self.assertFalse(transport.is_aborted)

    def test_many_bans(self) -> None:
        """Bans that come together cost one look, and each finds its connections."""
        came = {f"198.51.100.{number}": self.come(f"198.51.100.{number}")[1] for number in range(200)}
        banned = list(came)[:150]
        asked: list[str] = []
        is_banned = self.banning.is_banned

        def ask(address: str, network: str) -> bool:
            asked.append(address)
            return is_banned(address, network)

        self.patch(self.banning, "is_banned", ask)
        self.ban(*banned)
        self.assertEqual([address for address, transport in came.items() if transport.is_aborted], banned)
        self.assertEqual(asked, banned)

    def test_nobody(self) -> None:
        """Without connections nothing is noted."""
        self.ban(VISITOR)
        _, transport = self.come(VISITOR)
        self.ban(OTHER)
        self.assertFalse(transport.is_aborted)
