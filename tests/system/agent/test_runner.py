"""Starting an agent from its settings: when it enrolls, and with what it ends."""

from twisted.internet.defer import Deferred

from tests.case import reactor
from tests.system.agent.base import AgentTestCase
from tests.system.agent.stub_edge import Fleet, StubEdge
from warp_twisted.agent.errors import NotEnrolled
from warp_twisted.agent.events import Enrolled
from warp_twisted.agent.runner import AgentRunner
from warp_twisted.agent.settings import parse_settings
from warp_twisted.ca.tokens import JoinTokenText


class RunnerTests(AgentTestCase):
    """When an agent enrolls at its start, and when it does not."""

    def fleet_of_its_own(self, name: str) -> StubEdge:
        """Start an edge of a fleet of its own."""
        edge = StubEdge(Fleet(self.directory / name))
        edge.listen()
        self.addCleanup(edge.stop)
        return edge

    async def run_once(self, edge: StubEdge, token: JoinTokenText | None) -> None:
        """Start a program, wait until its tunnel is up, and stop it."""
        settings = parse_settings(f"state: {self.directory / 'state'}\ntunnels: 1\ningress: [{{service: hello-world}}]")
        program = AgentRunner(reactor, settings, read_token=lambda: token, observe=self.observe)
        before = len(edge.hellos)
        program.startService()
        await edge.until(lambda: len(edge.hellos) > before)
        await program.stopService()
        await program.ended

    def enrolled(self) -> int:
        """Return how often the agent enrolled."""
        return len([event for event in self.events if isinstance(event, Enrolled)])

    async def test_once(self) -> None:
        """The token is used once; the same token later, or none, changes nothing."""
        edge = self.fleet_of_its_own("one")
        token = edge.fleet.token(edge.port)
        for given in (token, token, None):
            await self.run_once(edge, given)
        self.assertEqual(self.enrolled(), 1)
        self.assertEqual(edge.fleet.wishes, [[""]])

    async def test_other_fleet(self) -> None:
        """A token of another fleet replaces the identity."""
        one, two = self.fleet_of_its_own("one"), self.fleet_of_its_own("two")
        await self.run_once(one, one.fleet.token(one.port))
        await self.run_once(two, two.fleet.token(two.port))
        self.assertEqual(self.enrolled(), 2)

    async def test_no_token(self) -> None:
        """Without identity and token the program ends with what to do."""
        error = await self.assert_fails(self.ended(None), NotEnrolled)
        self.assertIn("warp token create", str(error))

    async def test_certificate_has_run_out(self) -> None:
        """An identity whose certificate has ended is worth nothing without a new token."""
        edge = self.fleet_of_its_own("one")
        await self.run_once(edge, edge.fleet.token(edge.port))
        error = await self.assert_fails(self.ended(4e9), NotEnrolled)
        self.assertIn("has run out", str(error))

    def ended(self, now: float | None) -> Deferred[None]:
        """Start a program that cannot work, and return its end."""
        settings = parse_settings(f"state: {self.directory / 'state'}\ningress: [{{service: hello-world}}]")
        program = AgentRunner(
            reactor, settings, read_token=lambda: None, now=reactor.seconds if now is None else lambda: now
        )
        program.startService()
        return program.ended
