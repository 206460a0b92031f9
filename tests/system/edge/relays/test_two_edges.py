"""Two edges with a real link and real agents: any edge serves any hostname."""

import json

from tests.case import until
from tests.system.edge.harness import status_of
from tests.system.edge.relays.two_edges import HOSTNAME, TwoEdgesCase


class TwoEdgesTests(TwoEdgesCase):
    """Visitors at both."""

    async def test_any_edge(self) -> None:
        """A hostname whose tunnels one edge has is served at both; the log says through which edge."""
        first, second = self.nodes
        await self.agent(second, "far")
        await self.knows(first, 1)
        for node in (second, first):
            answer = await self.visit(node)
            self.assertEqual((status_of(answer), answer[-3:]), (200, b"far"))
        log = first.parts.serving.visitors.access_log
        assert log is not None
        log.flush()
        written = self.directory / "edge1.log"
        await until(lambda: written.read_bytes().endswith(b"\n"))
        lines = [json.loads(line) for line in written.read_bytes().splitlines()]
        self.assertEqual([(line["via"], line["host"], line["status"]) for line in lines], [("edge2", HOSTNAME, 200)])

    async def test_local_ones_first(self) -> None:
        """An edge uses its own tunnels first, and the other's when its own are gone."""
        first, second = self.nodes
        await self.agent(second, "far")
        near = await self.agent(first, "near")
        await self.knows(first, 1)
        await self.knows(second, 1)
        for node, name in ((first, b"near"), (second, b"far")):
            self.assertEqual({(await self.visit(node))[-len(name) :] for _ in range(4)}, {name})
        near.stop_now()
        await until(lambda: not first.parts.tunnels.registrations.by_id)
        self.assertEqual((await self.visit(first))[-3:], b"far")

    async def test_revoked(self) -> None:
        """An agent that is revoked at its edge serves nobody's visitors at the other one either."""
        first, second = self.nodes
        await self.agent(second, "far")
        await self.knows(first, 1)
        (agent,) = {tunnel.agent for tunnel in second.parts.tunnels.registrations.by_id.values()}
        self.assertEqual(status_of(await self.visit(first)), 200)
        second.parts.tunnels.cut(agent, "as the test says")
        await self.knows(first, 0)
        self.assertEqual(status_of(await self.visit(first)), 503)

    async def test_edge_gone(self) -> None:
        """When the edge with the tunnels goes, the other one says so to visitors and serves what it has itself."""
        first, second = self.nodes
        await self.agent(second, "far")
        await self.knows(first, 1)
        self.nodes.remove(second)
        await second.stopService()
        await self.knows(first, 0)
        self.assertEqual(status_of(await self.visit(first)), 503)
        await self.agent(first, "near")
        self.assertEqual((await self.visit(first))[-4:], b"near")
