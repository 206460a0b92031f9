"""Enrolling with a join token, at edges that are there, away, or not of the fleet."""

from dataclasses import replace

from twisted.internet.defer import Deferred

from tests.case import reactor
from tests.system.agent.base import AgentTestCase
from tests.system.agent.origins import unused_port
from warp_twisted.agent.errors import EnrollmentRefused, NoEdge, NotEnrolled
from warp_twisted.agent.identity.enrollment import enroll_agent
from warp_twisted.agent.identity.state import Identity, StateDirectory
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
