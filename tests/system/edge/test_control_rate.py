"""An agent that keeps the edge busy with its names, and others that register meanwhile, over real TLS."""

import time
from functools import partial

from tests.case import until
from tests.system.edge.live import ZONE, EnrolledAgent
from tests.system.edge.test_identity import LiveEdgeTestCase
from warp_twisted.wire.control import Accepted, OriginHealth, RouteOffer, RoutesChanged

LABELS = {f"key{number}": "value" for number in range(32)}
HOSTNAMES = 100
CHANGES = 10
REPORTS = 31  # of each hostname: 3,100 of the 4,000 messages that an agent may send at once
PATIENCE = 1.0  # of this process's computing, whatever else the machine does; the edge runs in it
WAIT_SECONDS = 60.0


class ControlRateTests(LiveEdgeTestCase):
    """3,500 names at a time."""

    def names(self, number: int) -> list[str]:
        """Return the hostnames of one change."""
        return [f"h{number}-{at}.{ZONE}" for at in range(HOSTNAMES)]

    def change(self, agent: EnrolledAgent, number: int) -> None:
        """Offer other hostnames, all of them new."""
        routes = [RouteOffer(id=at, hostname=name) for at, name in enumerate(self.names(number))]
        agent.tunnels[0].send_control(RoutesChanged(routes=routes))

    async def test_others_register_meanwhile(self) -> None:
        """While an agent changes all of its many names again and again, another registers and is published in time."""
        busy, other = await self.agent(), await self.agent()
        self.assertIsInstance(await busy.register(*self.names(0), labels=LABELS), Accepted)
        for number in range(1, CHANGES):
            self.change(busy, number)
        for slot in range(5):
            at = time.process_time()
            hostname = f"other{slot}.{ZONE}"
            self.assertIsInstance(await other.register(hostname, slot=slot), Accepted)
            await until(partial(self.published, hostname), timeout=WAIT_SECONDS)
            self.assertLess(time.process_time() - at, PATIENCE)
        self.assertFalse(busy.tunnels[0].is_over)
        self.assertLess(len(busy.delegate.messages), CHANGES)

    async def test_many_names_come_and_go(self) -> None:
        """All names of an agent come, those of its labels too, and all go with its tunnel."""
        agent = await self.agent()
        await agent.register(*self.names(0), labels=LABELS)
        names = [*self.names(0), *(f"value.key31._label.{name}" for name in self.names(0))]
        await until(lambda: all(map(self.published, names)), timeout=WAIT_SECONDS)
        agent.tunnels[0].close()
        await until(lambda: not any(map(self.published, names)), timeout=WAIT_SECONDS)

    async def test_health_that_flaps(self) -> None:
        """While all origins of an agent are told to flap, another registers in time; the last word holds in the end."""
        busy, other = await self.agent(), await self.agent()
        self.assertIsInstance(await busy.register(*self.names(0), labels=LABELS), Accepted)
        for turn in range(REPORTS):
            for route in range(HOSTNAMES):
                failing = turn % 2 == 0
                report = OriginHealth(route_id=route, healthy=not failing, detail="no" * failing, probed=True)
                busy.tunnels[0].send_control(report)
        for slot in range(5):
            at = time.process_time()
            hostname = f"other{slot}.{ZONE}"
            self.assertIsInstance(await other.register(hostname, slot=slot), Accepted)
            await until(partial(self.published, hostname), timeout=WAIT_SECONDS)
            self.assertLess(time.process_time() - at, 3 * PATIENCE)
        self.assertFalse(busy.tunnels[0].is_over)
        (tunnel,) = self.node.parts.tunnels.registrations.of_agent(busy.id)
        await until(lambda: len(tunnel.failing) == HOSTNAMES, timeout=WAIT_SECONDS)
        await until(lambda: len(tunnel.published_failing) == HOSTNAMES, timeout=WAIT_SECONDS)
        self.assertTrue(all(map(self.published, self.names(0))))
