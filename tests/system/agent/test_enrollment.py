"""Enrolling with a join token, at edges that are there, away, or not of the fleet."""

from dataclasses import replace

from twisted.internet.defer import Deferred

from tests.case import reactor
from tests.system.agent.base import AgentTestCase
from tests.system.agent.origins import unused_port
from tests.system.agent.stub_edge import Fleet, StubEdge
from warp_twisted.agent.errors import EnrollmentRefused, NoEdge, NotEnrolled
from warp_twisted.agent.events import Enrolled
from warp_twisted.agent.identity.enrollment import enroll_agent
from warp_twisted.agent.identity.state import Identity, StateDirectory
from warp_twisted.agent.runner import AgentRunner
from warp_twisted.agent.settings import parse_settings
from warp_twisted.ca.tokens import JoinTokenText


class EnrollTests(AgentTestCase):
    """From a join token to an identity."""

    def setUp(self) -> None:
        super().setUp()
        self.state = StateDirectory(self.directory / "state")
        self.addCleanup(self.state.close)

    async def test_enrolls(self) -> None:
        """The identity is that of the fleet, and is kept."""
        identity = await enroll_agent(reactor, self.state, self.fleet.token(self.edge.port), {"a": "b"})
        self.assertEqual((identity.agent_id, identity.hostnames), ("a-1", ("*.warp.example",)))
        self.assertEqual(identity.root_pem, self.fleet.root_pem)
        self.assertEqual(self.state.load(), identity)

    async def test_hostnames(self) -> None:
        """The edge hears what is going to be offered, each once and a hundred at most, which it has room to read."""
        hostnames = [f"{'x' * 63}.{'y' * 63}.{'z' * 63}.{number // 2}.warp.example" for number in range(300)]
        await enroll_agent(reactor, self.state, self.fleet.token(self.edge.port), None, hostnames)
        self.assertEqual(self.fleet.wishes, [hostnames[:200:2]])

    async def test_next_edge(self) -> None:
        """An edge that is away does not matter while another answers."""
        await enroll_agent(reactor, self.state, self.fleet.token(unused_port(), self.edge.port))
        self.assertEqual(self.fleet.enrolled, 1)

    async def test_no_edge(self) -> None:
        """When none answers, each is named with its reason, and nothing is kept."""
        ports = unused_port(), unused_port()
        error = await self.assert_fails(self.enroll(self.fleet.token(*ports)), NoEdge)
        for port in ports:
            self.assertIn(f"127.0.0.1:{port}: Connection was refused", str(error))
        self.assertRaises(NotEnrolled, self.state.load)

    async def test_refused(self) -> None:
        """A secret that the fleet does not know is refused with the fleet's reason."""
        token = replace(self.fleet.token(self.edge.port), secret="cd" * 32)
        error = await self.assert_fails(self.enroll(token), EnrollmentRefused)
        self.assertEqual(str(error), "the join token is not known (token_unknown)")
        self.assertRaises(NotEnrolled, self.state.load)

    async def test_impostor(self) -> None:
        """An edge of another CA never sees the secret."""
        token = replace(self.fleet.token(self.edge.port), fingerprint=b"\x01" * 32)
        error = await self.assert_fails(self.enroll(token), EnrollmentRefused)
        self.assertIn("not of the fleet that the join token is for", str(error))
        self.assertEqual(self.fleet.enrolled, 0)

    def enroll(self, token: JoinTokenText) -> Deferred[Identity]:
        """Enroll, as a Deferred."""
        return Deferred.fromCoroutine(enroll_agent(reactor, self.state, token))


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
