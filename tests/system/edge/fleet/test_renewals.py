"""Agents whose certificates live for seconds, at two edges without etcd: what they renew at one holds at the other."""

import time

from tests.case import reactor, until_said
from tests.system.edge.fleet.processes import APP, STARTED_SECONDS, Edge, FleetCase
from warp_twisted.edge.agents.tunnel_expiry import CHECK_SECONDS

LIFETIME_SECONDS = 8.0
# Until a certificate that was issued before etcd went has ended, and each edge has looked for such since.
OUTAGE_SECONDS = LIFETIME_SECONDS + CHECK_SECONDS + 4.0
RECONCILED_SECONDS = 5.0 + 5.0  # what is promised, and what a machine that is busy with other tests adds


class RenewalTests(FleetCase):
    """The agent `app` renews at one edge and has tunnels at both; `far` is at the second one only."""

    def made(self) -> None:
        """Let certificates live for seconds."""
        for edge in self.edges():
            edge.configure("ca", agent_lifetime=LIFETIME_SECONDS)

    async def tunnels(self) -> set[str]:
        """Return the ids of all tunnels, which each edge says in the same way."""
        first, second = [
            {str(each["id"]) for each in (await edge.get("/v1/status"))["tunnels"]} for edge in self.edges()
        ]
        self.assertEqual(first, second)
        return first

    async def ends(self, edge: Edge, agent: str) -> float:
        """Return when an agent's certificate ends, as its record says."""
        return next(float(each["expires_at"]) for each in await edge.get("/v1/agents") if each["id"] == agent)

    async def test_without_etcd(self) -> None:
        """No tunnel is lost and no request fails; when etcd is back, the records say what was issued meanwhile."""
        began_at = reactor.seconds()
        await self.all_served(began_at, "edge1", "edge2")
        far = await self.agent_id("far")
        before = await self.tunnels()
        self.assertEqual(len(before), 6)
        await self.etcd.end()
        ended_at, last_end = reactor.seconds(), time.time() + LIFETIME_SECONDS
        await self.all_served(ended_at + OUTAGE_SECONDS, "edge1", "edge2")
        self.assertEqual(await self.tunnels(), before)
        self.assertEqual(self.visitors.failures(began_at), [])
        await self.far.end()  # so that it is not a later renewal that its record says
        for edge in self.edges():
            self.assertLess(await self.ends(edge, far), last_end)
        await self.etcd.start()
        started_at = reactor.seconds()
        for edge in self.edges():

            async def is_reconciled(edge: Edge = edge) -> bool:
                return await self.ends(edge, far) > last_end

            await until_said(is_reconciled, STARTED_SECONDS)
        seconds = reactor.seconds() - started_at
        print(f"\nrecords reconciled after etcd is back: {seconds:.2f} s")
        self.assertLess(seconds, RECONCILED_SECONDS)
        self.assertEqual(self.visitors.failures(began_at, hostname=APP), [])
