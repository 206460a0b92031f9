"""Tests of `warp_twisted.routing.rendezvous`."""

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.routing.rendezvous import SLOTS, Rendezvous

POINTS = [number * 0x9E3779B97F4A7C15 % 2**64 for number in range(1, 6_001)]


class RendezvousTests(SynchronousTestCase):
    """Agents of points."""

    def setUp(self) -> None:
        self.rendezvous = Rendezvous()
        for name in "abcd":
            self.rendezvous.add(f"agent-{name}")

    def chosen(self) -> list[str | None]:
        """Return the agent of each point."""
        return [self.rendezvous.choose(point) for point in POINTS]

    def test_even(self) -> None:
        """Each agent has about its part."""
        for count in Counter(self.chosen()).values():
            self.assertLess(abs(count - len(POINTS) / 4), len(POINTS) / 4 * 0.15)

    def test_one_leaves(self) -> None:
        """An agent that leaves moves its own points, and when it comes back it gets the same ones."""
        before = self.chosen()
        self.rendezvous.remove("agent-b")
        after = self.chosen()
        self.assertEqual({old for old, new in zip(before, after, strict=True) if old != new}, {"agent-b"})
        self.rendezvous.add("agent-b")
        self.assertEqual(self.chosen(), before)

    def test_one_joins(self) -> None:
        """An agent that joins takes points, and none go anywhere else; the order of joining decides nothing."""
        before = self.chosen()
        self.rendezvous.add("agent-e")
        after = self.chosen()
        self.assertEqual({new for old, new in zip(before, after, strict=True) if old != new}, {"agent-e"})
        other = Rendezvous()
        for name in "ecbda":
            other.add(f"agent-{name}")
        self.assertEqual([other.choose(point) for point in POINTS], after)

    def test_as_if_decided_at_once(self) -> None:
        """Whichever agents come and go between two looks at a slot, it is decided as if it was never looked at."""
        for change, name in ("re", "aa", "ac", "ra", "rb", "ab", "aa", "rc", "ac", "rd"):
            agent = f"agent-{name}"
            if (change == "a") != (agent in self.rendezvous):
                (self.rendezvous.add if change == "a" else self.rendezvous.remove)(agent)
            fresh = Rendezvous()
            for each in self.rendezvous._seeds:
                fresh.add(each)
            points = POINTS[:: 3 if change == "a" else 2]
            self.assertEqual([self.rendezvous.choose(p) for p in points], [fresh.choose(p) for p in points])

    def test_memory(self) -> None:
        """What is remembered is bounded by the slots and the agents, however often agents come and go."""
        for number in range(2_000):
            self.rendezvous.add(f"agent-{number}")
            self.rendezvous.choose(POINTS[number])
            self.rendezvous.remove(f"agent-{number}")
        self.assertLess(len(self.rendezvous._comings), 100)
        self.chosen()
        self.assertLessEqual(len(self.rendezvous._winners), SLOTS)

    def test_nobody(self) -> None:
        """Where there are no agents there is nobody, whoever there was."""
        self.chosen()
        for name in "abcd":
            self.rendezvous.remove(f"agent-{name}")
        self.assertIsNone(self.rendezvous.choose(POINTS[0]))
        self.assertEqual(len(self.rendezvous), 0)
