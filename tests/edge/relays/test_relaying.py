"""Tests of what joins links, the registry's mirror and the table of routes."""

from collections.abc import Callable, Iterator

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from tests.edge.relays.rig import EndOpener
from tests.wire.pair import Pair
from warp_twisted.edge.relays.relaying import Relaying
from warp_twisted.edge.routes.counters import DataPathMetrics
from warp_twisted.edge.routes.table import RouteTable
from warp_twisted.names import Hostname
from warp_twisted.registry.edge_records import OfferedRoute
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Edge, Tunnel, encode
from warp_twisted.testing import RecordingDelegate
from warp_twisted.tunnel import TunnelProtocol, Turn
from warp_twisted.wire.frames import Role
from warp_twisted.wire.relayed import RelayPreamble
from warp_twisted.wire.streams import Stream


class FakeLinks:
    """The link with one edge."""

    relayed: Callable[[str, TunnelProtocol, Stream, RelayPreamble], None]

    def __init__(self) -> None:
        self.pair = Pair()
        self.tunnel = TunnelProtocol(Role.CLIENT, RecordingDelegate(), clock=Clock(), turn=Turn(Clock()))

    def tunnel_to(self, edge: str) -> EndOpener | None:
        return EndOpener(self.pair.edge) if edge == "edge2" else None


def tunnel(edge: str, number: int) -> Tunnel:
    """Return a tunnel of an agent with one route."""
    hostname = Hostname(f"app-{number}.example")
    return Tunnel(
        id=f"t-{number}", agent=f"a-{number}", slot=0, edge=edge, hostnames=(hostname,),
        routes=(OfferedRoute(id=3, hostname=hostname),),
    )  # fmt: skip


class RelayingTests(TestCase):
    """`Relaying`."""

    async def test_others_tunnels(self) -> None:
        """Tunnels of other edges are served, those of this edge are not touched, and a stream of another is taken."""
        links, table, clock = FakeLinks(), RouteTable(DataPathMetrics()), Clock()
        store = MemoryStore(clock)
        mirror = Mirror(store, clock)

        def start(steps: Iterator[None]) -> None:
            for _ in steps:
                pass

        relaying = Relaying("edge1", table, mirror, links, start)
        for value in (tunnel("edge1", 1), tunnel("edge2", 2), Edge(name="edge2", addresses=("192.0.2.2",))):
            await store.put(value.key, encode(value))
        await mirror.start()
        self.assertFalse(table.is_served("app-1.example"))
        self.assertTrue(table.is_served("app-2.example"))
        self.assertEqual(relaying.remote.count, 1)
        stream, _ = links.pair.edge.open()
        links.relayed("edge2", links.tunnel, stream, RelayPreamble("app-1.example", "a-1"))
        self.assertEqual(relaying.counters.of("edge2").refused, 1)
        mirror.stop()
