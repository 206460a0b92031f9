"""Tests of telling agents to open their tunnels to another process."""

from collections.abc import Callable

from tests.edge.agents.case import ControlTestCase
from tests.edge.control import AgentEnd
from warp_twisted.edge.handover.moving import HANDED_OVER, MAX_WAITING, MOVE_SECONDS, MOVED_AT_ONCE, Moving
from warp_twisted.wire.control import Drain, Refused


class MovingTests(ControlTestCase):
    """Some agents, and an edge with a successor."""

    def connect(self, count: int) -> list[AgentEnd]:
        """Return agents that serve a hostname each."""
        agents = []
        for number in range(count):
            agents.append(self.control.connect())
            agents[-1].hello(f"app{number}.warp.example", slot=number)
        return agents

    def moving(self, waiting: Callable[[], int] = lambda: 0) -> Moving:
        """Return what moves them."""
        return Moving(self.control.clock, self.control.tunnels.registrations, waiting)

    def pump(self, agents: list[AgentEnd]) -> list[int]:
        """Return which agents were told."""
        for agent in agents:
            agent.pair.pump()
        return [number for number, agent in enumerate(agents) if agent.delegate.drains]

    def test_some_at_a_time(self) -> None:
        """Agents are told in groups, each once, with the time for which both tunnels are to be kept."""
        agents = self.connect(MOVED_AT_ONCE + 2)
        moving = self.moving()
        moving.start(7200.0)
        self.assertEqual(self.pump(agents), list(range(MOVED_AT_ONCE)))
        moving.start(7200.0)
        self.control.clock.advance(MOVE_SECONDS)
        self.assertEqual(self.pump(agents), list(range(MOVED_AT_ONCE + 2)))
        expected = Drain(reason=HANDED_OVER, deadline_seconds=7200.0, successor=True)
        self.assertEqual([agent.delegate.drains for agent in agents], [[expected]] * len(agents))
        self.assertEqual({agent.ending for agent in agents}, {None})

    def test_other_process_that_is_busy(self) -> None:
        """While connections wait to be taken there, nobody else is told; then it goes on."""
        agents = self.connect(3 * MOVED_AT_ONCE)
        waiting = [MAX_WAITING + 1]
        self.moving(lambda: waiting[0]).start(7200.0)
        for _ in range(100):
            self.control.clock.advance(MOVE_SECONDS)
        self.assertEqual(self.pump(agents), list(range(MOVED_AT_ONCE)))
        waiting[0] = MAX_WAITING
        self.control.clock.pump([MOVE_SECONDS] * 4)
        self.assertEqual(self.pump(agents), list(range(3 * MOVED_AT_ONCE)))

    def test_stopped(self) -> None:
        """Agents that were not told yet when the successor has failed are not told."""
        agents = self.connect(MOVED_AT_ONCE + 1)
        moving = self.moving()
        moving.start(60.0)
        moving.stop()
        self.control.clock.advance(10 * MOVE_SECONDS)
        self.assertEqual(self.pump(agents), list(range(MOVED_AT_ONCE)))
        moving.start(60.0)
        self.assertEqual(self.pump(agents), list(range(MOVED_AT_ONCE + 1)))

    def test_back_again(self) -> None:
        """An agent that comes back to a resumed edge has a new tunnel, and the one that it left ends in order."""
        (agent,) = self.connect(1)
        moving = self.moving()
        self.control.tunnels.closed_because = HANDED_OVER
        moving.start(7200.0)
        early = self.control.connect()
        early.hello("app0.warp.example", slot=1)
        self.assertEqual(early.answer(Refused).reason, HANDED_OVER)
        self.control.tunnels.closed_because = ""
        again = self.control.connect()
        again.hello("app0.warp.example", slot=1)
        self.assertEqual(self.pump([agent, again]), [0])
        self.assertEqual((agent.ending, again.ending), (("NORMAL", "the tunnel was drained"), None))
        self.assertEqual(self.control.names(), ["app0.warp.example"])

    def test_slot_that_comes_round(self) -> None:
        """After two hand-overs that failed an agent's slots are used up; the tunnel that it left makes way at once."""
        (agent,) = self.connect(1)
        self.moving().start(7200.0)
        again = self.control.connect()
        again.hello("app0.warp.example", slot=0)
        agent.pair.pump()
        self.assertEqual(agent.ending, ("REPLACED", "a newer tunnel of the same agent took its place"))
        self.assertEqual(self.control.names(), ["app0.warp.example"])
