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

    def test_usable(self) -> None:
        """Where only some can be used, the points of the others move, and no others."""
        before = self.chosen()
        among = [self.rendezvous.choose_among(point, "agent-c".__ne__) for point in POINTS]
        self.assertEqual({old for old, new in zip(before, among, strict=True) if old != new}, {"agent-c"})
        self.assertIsNone(self.rendezvous.choose_among(POINTS[0], lambda agent: False))

    def test_nobody(self) -> None:
        """Where there are no agents there is nobody, and memory is bounded by the slots."""
        self.chosen()
        self.assertLessEqual(len(self.rendezvous._winners), SLOTS)
        for name in "abcd":
            self.rendezvous.remove(f"agent-{name}")
        self.assertIsNone(self.rendezvous.choose(POINTS[0]))
        self.assertEqual((len(self.rendezvous), len(self.rendezvous._winners)), (0, 0))
