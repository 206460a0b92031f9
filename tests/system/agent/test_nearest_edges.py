"""An agent and three edges at different distances: which it uses, and what becomes of requests as they come and go."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from tests.case import reactor, until
from tests.system.agent.base import AgentTestCase
from tests.system.agent.delay import Line
from tests.system.agent.origins import Echo
from tests.system.agent.stub_edge import StubEdge
from warp_twisted.agent import service
from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.events import TunnelDown, TunnelUp
from warp_twisted.agent.links import edges, nearness, rebalancing, round_trips
from warp_twisted.agent.links.round_trips import RoundTrips
from warp_twisted.agent.service import AgentService
from warp_twisted.wire import control

ECHO = Factory.forProtocol(Echo)
ECHO.noisy = False


class StatedRoundTrips(RoundTrips):
    """
    Measures, so that an edge has to answer, and returns what the test says: a busy machine's round trips vary too much.

    :param far: round trips by the edges' ports.
    """

    def __init__(self, far: Mapping[int, float], *of: Any) -> None:
        super().__init__(*of)
        self.far = far

    async def measure(self, edge: EdgeAddress) -> float:
        """Measure."""
        await super().measure(edge)
        return self.far[edge.port]


class NearestEdgesTests(AgentTestCase):
    """Three edges, each at the end of a line."""

    timeout = 120  # a machine that is busy elsewhere measures round trips that are longer

    def setUp(self) -> None:
        super().setUp()
        self.service = f"tcp://127.0.0.1:{self.listen(ECHO)}"
        self.edges = [self.edge, *(StubEdge(self.fleet, name=f"edge{number}") for number in (2, 3))]
        for edge in self.edges[1:]:
            edge.listen()
            self.addCleanup(edge.stop)
        self.lines = [Line(edge.port) for edge in self.edges]
        for line in self.lines:
            self.addCleanup(line.stop)
        self.far: dict[int, float] = {}
        self.patch(nearness, "SMOOTHING", 1.0)
        self.patch(rebalancing, "INTERVAL_SECONDS", 0.1)
        self.patch(rebalancing, "MEASURE_SECONDS", 0.2)

    async def begin_over(self, *seconds: float, tunnels: int = 4) -> AgentService:
        """Start an agent that measures such round trips to the edges."""
        self.patch(service, "RoundTrips", lambda *of: StatedRoundTrips(self.far, *of))
        self.state(*seconds)
        return await self.begin_at_edges(tunnels)

    async def begin_at_edges(self, tunnels: int = 4) -> AgentService:
        """Start an agent that knows the edges."""
        listed = ", ".join(f"'127.0.0.1:{line.port}'" for line in self.lines)
        return await self.start(f"edges: [{listed}]\ningress: [{{service: '{self.service}'}}]", tunnels=tunnels)

    def state(self, *seconds: float) -> None:
        """Let the edges be so far away from now on."""
        self.far.update((line.port, far) for line, far in zip(self.lines, seconds, strict=True))

    def per_edge(self, agent: AgentService) -> list[int]:
        """Return how many tunnels of the agent are up at each edge."""
        used = Counter(link.edge.port for link in agent.links if link.is_up and link.edge is not None)
        return [used[line.port] for line in self.lines]

    async def settled(self, agent: AgentService, *expected: int) -> None:
        """Wait until each edge has so many tunnels."""
        await self.until(lambda: self.per_edge(agent) == list(expected))

    async def ask(self, edge: StubEdge) -> None:
        """Send a request through an edge's newest tunnel, and check the answer."""
        visit = edge.visit(0, b"hello")
        self.assertEqual(await visit.read(5), b"hello")
        visit.stream.end()

    async def test_nearest_two(self) -> None:
        """Wherever the tunnels came up first, they end at the two edges that answer soonest, two at each."""
        self.lines[0].seconds = 0.5
        agent = await self.begin_at_edges()
        await self.settled(agent, 0, 2, 2)
        await self.ask(self.edges[1])
        await self.ask(self.edges[2])

    async def test_moving_loses_no_request(self) -> None:
        """While an edge becomes far and near again, each request over any tunnel is answered."""
        agent = await self.begin_over(0.0, 0.0, 0.05)
        await self.settled(agent, 2, 2, 0)
        asked = 0
        is_over = False

        async def keep_asking(edge: StubEdge) -> None:
            nonlocal asked
            while not is_over:
                for tunnel in list(edge.tunnels):
                    if tunnel in edge.left or tunnel not in edge.tunnels:
                        continue
                    visit = edge.visit(0, b"hello", edge.tunnels.index(tunnel))
                    self.assertEqual(await visit.read(5), b"hello")
                    visit.stream.end()
                    asked += 1
                await deferLater(reactor, 0.02)

        asking = [Deferred.fromCoroutine(keep_asking(edge)) for edge in self.edges]
        try:
            self.state(0.05, 0.0, 0.0)
            await self.settled(agent, 0, 2, 2)
            self.state(0.0, 0.05, 0.0)
            await self.settled(agent, 2, 0, 2)
            await until(lambda: asked > 20)
        finally:
            is_over = True
        for each in asking:
            await each
        downs = self.events_of(TunnelDown)
        self.assertEqual({down.reason for down in downs}, {"moving to another edge"})

    async def test_killed_and_back(self) -> None:
        """When an edge is killed the third takes its place; when it is back, two tunnels move back."""
        self.patch(edges, "FAILED_SECONDS", 1.0)
        agent = await self.begin_over(0.0, 0.0, 0.05)
        await self.settled(agent, 2, 2, 0)
        await self.edges[0].stop()
        await self.settled(agent, 0, 2, 2)
        await self.ask(self.edges[2])
        self.edges[0].listen()
        self.events.clear()
        await self.settled(agent, 2, 2, 0)
        ups = [event.edge for event in self.events_of(TunnelUp)]
        self.assertEqual(ups, ["edge1", "edge1"])

    async def test_stopped(self) -> None:
        """An edge whose process stands still takes connections all the same: no tunnel moves there."""
        agent = await self.begin_over(0.05, 0.0, 0.0)
        await self.settled(agent, 0, 2, 2)
        self.patch(round_trips, "ANSWER_SECONDS", 0.2)
        self.state(0.0, 0.05, 0.05)
        self.lines[0].is_still = True
        self.events.clear()
        for _ in range(2):
            await self.lines[0].until_asked(self.lines[0].connections + 1)
            assert agent._rebalancing._looking is not None
            await agent._rebalancing._looking
            self.assertEqual([edge.port for edge in agent._edges._failures], [self.lines[0].port])
            agent._edges._failures.clear()  # as after one to two minutes
        self.assertEqual((self.per_edge(agent), self.events), ([0, 2, 2], []))

    async def test_drains(self) -> None:
        """The tunnels of an edge that drains are at another one before it closes them; it is not dialed meanwhile."""
        agent = await self.begin_over(0.0, 0.0, 0.05)
        await self.settled(agent, 2, 2, 0)
        draining = list(self.edges[0].tunnels)
        self.edges[0].answer = lambda message: control.Refused(code="draining", reason="use another", retry=True)
        hellos = len(self.edges[0].hellos)
        for tunnel in draining:
            tunnel.send_control(control.Drain(reason="the edge stops", deadline_seconds=5))
        await self.settled(agent, 0, 2, 2)
        visit = self.edges[0].visit(0, b"late", self.edges[0].tunnels.index(draining[0]))
        self.assertEqual(await visit.read(4), b"late")
        visit.stream.end()
        self.assertEqual(len(self.edges[0].hellos), hellos)

    async def test_one_edge(self) -> None:
        """With one edge there is nothing to measure, and nothing moves: no connection but those of the tunnels."""
        settings = f"edges: ['127.0.0.1:{self.lines[0].port}']\ningress: [{{service: '{self.service}'}}]"
        agent = await self.start(settings, tunnels=4)
        for _ in range(3):
            agent._rebalancing.look()
            await self.turns(20)
        self.assertEqual((self.lines[0].connections, self.events_of(TunnelDown)), (4, []))
