"""An edge of a fleet drains: who finds its address in a resolver's memory is served until it is forgotten there."""

from tests.case import reactor, until
from tests.system.edge.fleet.processes import APP, STARTED_SECONDS, Answers, FleetCase

TTL_SECONDS = 5  # of applications' records, by default
DRAIN_SECONDS = 30
OUT_OF_DNS_SECONDS = 2.0


class DrainTests(FleetCase):
    """One of two edges, at which an agent has tunnels, and another agent has all of its own."""

    def made(self) -> None:
        """Give a drain time enough."""
        for edge in self.edges():
            edge.configure("timeouts", drain=DRAIN_SECONDS)

    async def test_visitors_who_remember(self) -> None:
        """It leaves DNS at once, is served from the other edge for as long as its address is remembered, and closes."""
        answers = Answers(self.edge1, APP)
        answers.start()
        self.addCleanup(answers.stop)
        await until(lambda: bool(answers.seen), STARTED_SECONDS)
        began_at = reactor.seconds()
        status, _ = await self.edge2.call("POST", "/v1/drain")
        self.assertEqual(status, 200)
        await until(lambda: answers.when(self.edge1.address, since=began_at) is not None, STARTED_SECONDS)
        left = answers.when(self.edge1.address, since=began_at)
        assert left is not None
        self.assertLess(left, OUT_OF_DNS_SECONDS)
        await until(lambda: bool(self.visitors.failures(began_at, "edge2")), STARTED_SECONDS)
        closed_after = self.visitors.failures(began_at, "edge2")[0].at - began_at
        self.assertGreater(closed_after, left + TTL_SECONDS)
        self.assertLess(closed_after, DRAIN_SECONDS)
        self.assertEqual(self.visitors.failures(began_at, "edge1"), [])
