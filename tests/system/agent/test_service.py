"""The whole agent against a small edge, on loopback."""

from pathlib import Path

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from tests.system.agent.stub_edge import Fleet, StubEdge
from warp_twisted.agent.enrollment import enroll_agent
from warp_twisted.agent.events import Event
from warp_twisted.agent.service import AgentService
from warp_twisted.agent.settings import AgentSettings, parse_settings
from warp_twisted.agent.state import StateDirectory


class Echo(Protocol):
    """An origin that returns what it is sent."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


class ServiceTests(TestCase):
    """Enrollment, tunnels, streams."""

    timeout = 20

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.fleet = Fleet(self.directory / "fleet")
        self.edge = StubEdge(self.fleet)
        self.edge.listen()
        self.addCleanup(self.edge.stop)
        self.events: list[Event] = []
        self.origin = reactor.listenTCP(0, Factory.forProtocol(Echo), interface="127.0.0.1")
        self.addCleanup(self.origin.stopListening)

    async def start(self, settings: AgentSettings) -> AgentService:
        """Enroll an agent and start it."""
        state = StateDirectory(self.directory / "state")
        identity = await enroll_agent(reactor, state, self.fleet.token(self.edge.port))
        agent = AgentService(reactor, settings, state, identity, observe=self.events.append)
        agent.startService()
        self.addCleanup(agent.stopService)
        return agent

    async def test_registers_and_pipes(self) -> None:
        """An enrolled agent registers its tunnels, and a stream reaches the origin and comes back."""
        port = self.origin.getHost().port
        settings = parse_settings(f"ingress: [{{service: 'tcp://127.0.0.1:{port}'}}]")
        await self.start(settings)
        await self.edge.until(lambda: len(self.edge.tunnels) == 4)
        self.assertEqual(sorted(hello.slot for hello in self.edge.hellos), [0, 1, 2, 3])
        visit = self.edge.visit(0, b"hello")
        opening = await visit.opened
        self.assertTrue(opening.is_opened)
        self.assertEqual(await visit.read(5), b"hello")
        visit.stream.end()
        self.assertEqual(await visit.over, b"hello")
