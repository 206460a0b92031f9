"""Tests for `edge.moving_agents`."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.edge.moving_agents import MOVE_SECONDS, agents_moved
from warp_twisted.registry.memory import MemoryStore
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import Tunnel, encode


class AgentsMovedTests(SynchronousTestCase):
    """Tests for `agents_moved`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.mirror = Mirror(self.store, self.clock)
        self.successResultOf(Deferred.fromCoroutine(self.mirror.start()))

    def open(self, agent: str, edge: str, *, slot: int = 0, draining: bool = False) -> str:
        """Register a tunnel, and return its key."""
        tunnel = Tunnel(id=f"t-{agent}-{edge}-{slot}", agent=agent, slot=slot, edge=edge, draining=draining)
        self.successResultOf(self.store.put(tunnel.key, encode(tunnel)))
        self.clock.advance(0)
        return tunnel.key

    def close(self, key: str) -> None:
        """Take a tunnel away."""
        self.successResultOf(self.store.delete(key))
        self.clock.advance(0)

    def wait(self) -> "Deferred[int]":
        """Wait as edge a."""
        return Deferred.fromCoroutine(agents_moved(self.mirror, "a", self.clock, MOVE_SECONDS))

    def test_nobody_to_wait_for(self) -> None:
        """Without agents, or with agents that are at another edge already, there is no wait."""
        self.assertEqual(self.successResultOf(self.wait()), 0)
        self.open("one", "a")
        self.open("one", "b")
        self.assertEqual(self.successResultOf(self.wait()), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_until_the_last_has_moved(self) -> None:
        """Each agent needs a tunnel at another edge that takes what is new."""
        self.open("one", "a")
        self.open("two", "a")
        waiting = self.wait()
        self.open("one", "b")
        self.open("two", "c", draining=True)
        self.assertNoResult(waiting)
        self.open("two", "b")
        self.assertEqual(self.successResultOf(waiting), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_agent_that_is_gone(self) -> None:
        """An agent whose last tunnel ends is not waited for."""
        first, second = self.open("one", "a"), self.open("one", "a", slot=1)
        waiting = self.wait()
        self.close(first)
        self.assertNoResult(waiting)
        self.close(second)
        self.assertEqual(self.successResultOf(waiting), 0)

    def test_not_for_ever(self) -> None:
        """Who has nowhere to go does not hold up a stop, and nobody hears the registry afterwards."""
        self.open("one", "a")
        waiting = self.wait()
        self.clock.advance(MOVE_SECONDS)
        self.assertEqual(self.successResultOf(waiting), 1)
        self.open("one", "b")
        self.assertEqual(self.clock.getDelayedCalls(), [])
