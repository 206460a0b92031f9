"""Tests of an agent whose clock, or whose edge's, is wrong: over sockets, with certificates that are not valid now."""

from twisted.internet.protocol import Factory
from twisted.protocols.wire import Echo

from tests.case import reactor
from tests.clocks import SettableWallClock
from tests.system.agent.base import AgentTestCase
from tests.system.agent.origins import unused_port
from warp_base.machine_time import MACHINE_WALL_CLOCK
from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.events import ClockSuspected, TunnelDown
from warp_twisted.agent.identity.clock_suspicion import ClockSuspicion, suspicion_at

DAY = 86400.0


class ClockSuspicionTests(AgentTestCase):
    """What the agent says, and what it does meanwhile."""

    def setUp(self) -> None:
        super().setUp()
        self.echo = f"tcp://127.0.0.1:{self.listen(Factory.forProtocol(Echo))}"

    def suspicions(self) -> list[str]:
        """Return what was suspected, in order."""
        return [event.suspicion for event in self.events_of(ClockSuspected)]

    async def test_asked(self) -> None:
        """The difference is said from this machine's point of view; one that is small is none."""
        edge = EdgeAddress("127.0.0.1", self.edge.port)
        wall = SettableWallClock(MACHINE_WALL_CLOCK.now(), reactor)
        self.assertEqual(await suspicion_at(reactor, edge, wall), "")
        wall.offset -= 2 * DAY
        self.assertEqual(
            await suspicion_at(reactor, edge, wall), "this machine's clock seems to be 2 d behind the edge's"
        )
        wall.offset += 2 * DAY + 7200
        self.assertEqual(
            await suspicion_at(reactor, edge, wall), "this machine's clock seems to be 2 h ahead of the edge's"
        )

    async def test_said_and_over(self) -> None:
        """It is said once, nothing is served, the agent goes on trying, and is back when a clock was set right."""
        agent = await self.start(self.echo)
        self.edge.set_clock(2 * DAY)
        await self.edge.stop()
        self.edge.listen()
        await self.until(lambda: len(self.suspicions()) == 1)
        self.assertEqual(self.suspicions(), ["this machine's clock seems to be 2 d behind the edge's"])
        self.assertEqual((agent.clock.suspicion, agent.tunnels_up), (self.suspicions()[0], 0))
        downs = len(self.events_of(TunnelDown))
        await self.until(lambda: len(self.events_of(TunnelDown)) > downs)
        self.assertIn("certificate is not yet valid", self.events_of(TunnelDown)[-1].reason)
        self.assertEqual(len(self.suspicions()), 1)
        self.edge.set_clock(0)
        self.wall.offset += 10
        await self.until(lambda: agent.tunnels_up == 1)
        self.assertEqual((self.suspicions()[1:], agent.clock.suspicion), ([""], ""))

    async def test_no_answer(self) -> None:
        """An edge that does not answer is asked again later, and nothing is suspected meanwhile."""
        said: list[str] = []
        suspicion = ClockSuspicion(reactor, MACHINE_WALL_CLOCK, said.append)
        suspicion.edge_not_valid(EdgeAddress("127.0.0.1", unused_port()))
        suspicion.edge_not_valid(EdgeAddress("127.0.0.1", unused_port()))
        asking = suspicion._asking
        assert asking is not None
        await asking
        suspicion.edge_trusted()
        suspicion.stop()
        suspicion.edge_not_valid(EdgeAddress("127.0.0.1", self.edge.port))
        self.assertIs(suspicion._asking, asking)
        self.assertEqual(said, [])

    async def test_stopped_while_asking(self) -> None:
        """An agent that stops does not wait for the answer."""
        said: list[str] = []
        self.edge.set_clock(2 * DAY)
        suspicion = ClockSuspicion(reactor, MACHINE_WALL_CLOCK, said.append)
        suspicion.edge_not_valid(EdgeAddress("127.0.0.1", self.edge.port))
        asking = suspicion._asking
        assert asking is not None
        suspicion.stop()
        await asking
        self.assertEqual(said, [])
