"""What the tests of a whole agent share: a fleet's CA, an edge, and a way to start an agent."""

from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.system.agent.stub_edge import Fleet, StubEdge
from warp_twisted.agent.enrollment import enroll_agent
from warp_twisted.agent.events import Event
from warp_twisted.agent.service import AgentService
from warp_twisted.agent.settings import parse_settings
from warp_twisted.agent.state import StateDirectory


class AgentTestCase(TestCase):
    """An edge on loopback, and agents to dial it."""

    timeout = 20

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.fleet = Fleet(self.directory / "fleet")
        self.edge = StubEdge(self.fleet)
        self.edge.listen()
        self.addCleanup(self.edge.stop)
        self.events: list[Event] = []

    async def start(self, settings: str, *edges: StubEdge, tunnels: int = 1) -> AgentService:
        """
        Enroll an agent, start it, and wait until its tunnels are up.

        :param settings: an agent.yaml, or a service.
        :param edges: where it enrolls and dials, `self.edge` unless given.
        """
        if "ingress" not in settings:
            settings = f"ingress: [{{service: '{settings}'}}]"
        state = StateDirectory(self.directory / "state")
        token = self.fleet.token(*[edge.port for edge in edges or [self.edge]])
        identity = await enroll_agent(reactor, state, token)
        agent = AgentService(
            reactor, parse_settings(f"tunnels: {tunnels}\n{settings}"), state, identity, observe=self.events.append
        )
        self.addCleanup(self.stop, agent)
        agent.startService()
        for edge in edges or [self.edge]:
            await edge.until(lambda: sum(len(edge.tunnels) for edge in edges or [self.edge]) == tunnels)
        return agent

    def stop(self, agent: AgentService) -> Deferred[None]:
        """Stop an agent without waiting for its streams."""
        agent.stop_now()
        return agent.when_stopped()

    async def flushed(self) -> None:
        """Let everything that is on its way on loopback arrive."""
        await deferLater(reactor, 0.05)

    def events_of(self, kind: type[Event]) -> list[Event]:
        """Return the events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]
