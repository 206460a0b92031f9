"""Tests of who makes room when too many have proven nothing."""

import random

from twisted.trial.unittest import SynchronousTestCase

from tests.operations import count_operations
from warp_twisted.edge.agents.unproven import FairQueue, KnownNetworks, Unproven


class FairQueueTests(SynchronousTestCase):
    """The oldest of the largest."""

    def setUp(self) -> None:
        """Begin with nobody."""
        self.queue: FairQueue[str] = FairQueue()

    def add(self, *items: str) -> None:
        """Add items; the letter is the network."""
        for item in items:
            self.queue.add(item, item[0])

    def test_oldest_of_the_largest(self) -> None:
        """The network that has most gives up its oldest, until another has as many."""
        self.add("b1", "a1", "a2", "a3", "b2")
        self.assertEqual([self.queue.pop() for _ in range(5)], ["a1", "b1", "a2", "b2", "a3"])
        self.assertRaises(KeyError, self.queue.pop)

    def test_discard(self) -> None:
        """What is gone is not given up; discarding it again does nothing."""
        self.add("a1", "a2", "b1")
        self.assertEqual((self.queue.discard("a1"), self.queue.discard("a1")), (True, False))
        self.assertEqual(("a1" in self.queue, "a2" in self.queue, len(self.queue)), (False, True, 2))
        self.assertEqual(self.queue.largest, 1)

    def test_against_a_plain_search(self) -> None:
        """Through random arrivals and ends the largest network is the one that a search finds."""
        choices = random.Random(5)
        there: list[str] = []
        for number in range(3000):
            action = choices.random()
            if action < 0.55 or not there:
                there.append(f"{choices.choice('abcdefgh')}{number}")
                self.add(there[-1])
            elif action < 0.8:
                there.remove(gone := choices.choice(there))
                self.queue.discard(gone)
            else:
                counts = {network: sum(item[0] == network for item in there) for network in "abcdefgh"}
                victim = self.queue.pop()
                self.assertEqual(counts[victim[0]], max(counts.values()))
                self.assertEqual(victim, next(item for item in there if item[0] == victim[0]))
                there.remove(victim)
            self.assertEqual(len(self.queue), len(there))

    def test_cost(self) -> None:
        """Giving up one costs the same among many networks as among few."""

        def cost(networks: int) -> int:
            queue: FairQueue[int] = FairQueue()
            for number in range(3 * networks):
                queue.add(number, str(number % networks))
            return count_operations(queue.pop)

        self.assertEqual(cost(10), cost(1000))


class UnprovenTests(SynchronousTestCase):
    """Room for eight, two of it for known networks."""

    def setUp(self) -> None:
        """Begin with nobody."""
        self.unproven: Unproven[str] = Unproven()

    def admit(self, item: str, is_known: bool = False) -> str | None:
        """Admit one; returns who goes."""
        return self.unproven.admit(item, item[0], 8, is_known=is_known)

    def test_silent_strangers(self) -> None:
        """Strangers of one network push out one another, and leave room for an agent of a known one."""
        self.assertEqual([self.admit(f"a{number}") for number in range(8)], [None] * 6 + ["a0", "a1"])
        self.assertIsNone(self.admit("k1", is_known=True))
        self.assertEqual(len(self.unproven), 7)

    def test_new_agent_among_silent_strangers(self) -> None:
        """A stranger of a small network stays while a larger one has something to give."""
        for number in range(6):
            self.admit(f"a{number}")
        self.assertEqual(self.admit("n1"), "a0")
        self.assertEqual([self.admit(f"a{number}") for number in range(6, 9)], ["a1", "a2", "a3"])
        self.assertTrue(self.unproven.discard("n1"))

    def test_known_network_that_floods(self) -> None:
        """A known network that has most gives way like any other."""
        for number in range(8):
            self.assertIsNone(self.admit(f"k{number}", is_known=True))
        self.assertEqual(self.admit("n1"), "k0")
        self.assertEqual(self.admit("m1", is_known=True), "k1")

    def test_room_for_one(self) -> None:
        """With room for one, the newest has it."""
        unproven: Unproven[str] = Unproven()
        self.assertEqual([unproven.admit(item, item, 1, is_known=False) for item in "abc"], [None, "a", "b"])


class KnownNetworksTests(SynchronousTestCase):
    """Networks of agents."""

    def test_bounded(self) -> None:
        """So many are remembered; the one that was not seen for longest is forgotten."""
        known = KnownNetworks(2)
        for network in ("a", "b", "a", "c"):
            known.note(network)
        self.assertEqual([network in known for network in "abc"], [True, False, True])
