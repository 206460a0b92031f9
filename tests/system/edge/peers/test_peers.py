"""What operators are shown of other edges."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from tests.case import until
from tests.system.edge.live import ZONE
from tests.system.edge.peers.pair import PairTestCase
from warp_twisted.edge.errors import EdgeAlive, EdgeUnknown


class ShownTests(PairTestCase):
    """Lists and metrics."""

    async def test_shown(self) -> None:
        """A link's state, its tunnels and losses are listed and counted, and why an edge is dead."""
        await (await self.agent(self.edge2)).register(f"app.{ZONE}")
        await until(lambda: bool(self.edge1.parts.mirror.tunnels))
        (shown,) = self.edge1.parts.peers.listed()
        self.assertEqual(
            [shown[key] for key in ("edge", "state", "alive", "tunnels", "losses", "problem")],
            ["edge2", "current", True, 1, 0, ""],
        )
        registry = CollectorRegistry()
        registry.register(self.edge1.parts.peers)
        text = generate_latest(registry).decode()
        self.assertIn('warp_edge_peer_up{edge="edge2"} 1.0', text)
        self.assertIn('warp_edge_peer_tunnels{edge="edge2"} 1.0', text)
        await self.edge2.stopService()
        await until(lambda: not self.edge1.parts.peers.links.names())
        (shown,) = self.edge1.parts.peers.listed()
        self.assertEqual([shown[key] for key in ("alive", "tunnels", "losses")], [False, 0, 1])
        self.assertTrue(shown["problem"])

    async def test_remove(self) -> None:
        """An edge that is gone is forgotten for good; one that is linked, unknown, or this one is not."""
        peers = self.edge1.parts.peers
        for name, error in (("edge2", EdgeAlive), ("edge1", EdgeAlive), ("edge3", EdgeUnknown)):
            with self.assertRaises(error):
                await peers.remove(name)
        await self.edge2.stopService()
        await until(lambda: not self.edge1.parts.peers.links.names())
        (shown,) = peers.listed()
        self.assertEqual(await peers.remove("edge2"), {"edge": "edge2", "addresses": shown["addresses"]})
        await until(lambda: not peers.listed())

    async def test_relaying_is_said(self) -> None:
        """An edge that relays says to which edges it does, as long as it reaches them."""
        await until(lambda: self.edge2.parts.mirror.edges["edge1"].relays_to == ("edge2",))
        await self.edge2.stopService()
        await until(lambda: self.edge1.parts.mirror.edges["edge1"].relays_to == ())
        self.assertEqual(self.edge1.parts.peers.relays_to(), [])
