"""What the tests of a whole agent share: a fleet's CA, an edge, and a way to start an agent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.case import reactor
from tests.clocks import SettableWallClock
from tests.system.agent.origins import listen_at, port_of
from tests.system.agent.stub_edge import Fleet, StubEdge
from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_twisted.agent.events import Event
from warp_twisted.agent.identity.enrollment import enroll_agent
from warp_twisted.agent.identity.state import StateDirectory
from warp_twisted.agent.service import AgentService
from warp_twisted.agent.settings import parse_settings

Kind = TypeVar("Kind", bound=Event)
Error = TypeVar("Error", bound=Exception)


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
        self.times_not_admitted = 0
        self._waiters: list[tuple[Callable[[], bool], Deferred[None]]] = []
        self.wall = SettableWallClock(MACHINE_WALL_CLOCK.now(), reactor)  # the time of day for agents

    async def begin(self, settings: str, *edges: StubEdge, tunnels: int = 1) -> AgentService:
        """
        Enroll an agent and start it.

        :param settings: an agent.yaml, or a service.
        :param edges: where it enrolls and dials, `self.edge` unless given.
        """
        if "ingress" not in settings:
            settings = f"ingress: [{{service: '{settings}'}}]"
        state = StateDirectory(self.directory / "state")
        token = self.fleet.token(*[edge.port for edge in edges or [self.edge]])
        identity = await enroll_agent(reactor, state, token)
        agent = AgentService(
            reactor,
            parse_settings(f"tunnels: {tunnels}\n{settings}"),
            state,
            identity,
            observe=self.observe,
            not_admitted=self.not_admitted,
            wall=self.wall,
        )
        self.addCleanup(self.stop, agent)
        agent.startService()
        return agent

    def pass_time_until(self, at: float) -> None:
        """Let it be later, by the agent's clock and the edge's."""
        self.wall.set(at)
        self.edge.wall.set(at)

    async def start(self, settings: str, *edges: StubEdge, tunnels: int = 1) -> AgentService:
        """As `begin`, and wait until all tunnels are up."""
        agent = await self.begin(settings, *edges, tunnels=tunnels)
        await self.until(lambda: agent.tunnels_up == tunnels)
        return agent

    def not_admitted(self) -> None:
        """Count."""
        self.times_not_admitted += 1

    def observe(self, event: Event) -> None:
        """Note an event, and look at every condition."""
        self.events.append(event)
        for waiter in list(self._waiters):
            if waiter[0]():
                self._waiters.remove(waiter)
                waiter[1].callback(None)

    def until(self, condition: Callable[[], bool]) -> Deferred[None]:
        """Wait for a condition, which is looked at whenever an agent tells an event."""
        deferred: Deferred[None] = Deferred()
        if condition():
            deferred.callback(None)
        else:
            self._waiters.append((condition, deferred))
        return deferred

    def stop(self, agent: AgentService) -> Deferred[None]:
        """Stop an agent without waiting for its streams."""
        agent.stop_now()
        return agent.when_stopped()

    def listen(self, factory: IProtocolFactory, port: int = 0) -> int:
        """Start an origin on loopback, until the test ends; returns its port."""
        listening = listen_at(TCP4ServerEndpoint(reactor, port, interface="127.0.0.1"), factory)
        self.addCleanup(listening.stopListening)
        return port_of(listening)

    async def assert_fails(self, deferred: Deferred[Any], kind: type[Error]) -> Error:
        """Wait for a failure of one kind, and return it."""
        try:
            await deferred
        except kind as error:
            return error
        raise self.failureException(f"no {kind.__name__}")

    async def turns(self, count: int) -> None:
        """Let the reactor, in which agent, edge and origins all run, turn so often."""
        for _ in range(count):
            await deferLater(reactor, 0)

    def events_of(self, kind: type[Kind]) -> list[Kind]:
        """Return the events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]
