"""Tests of `warp_twisted.agent.links.nearness`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.edge_address import EdgeAddress
from warp_twisted.agent.links.nearness import MAX_EDGES, Nearness

A, B, C = FLEET = [EdgeAddress(f"edge{name}.example", 7844) for name in "abc"]


class NearnessTests(SynchronousTestCase):
    """Round trips in, an order out."""

    def setUp(self) -> None:
        self.nearness = Nearness()

    def measured(self, **trips: float) -> None:
        """Take a round trip of each edge, in milliseconds."""
        for name, milliseconds in trips.items():
            self.nearness.measured(EdgeAddress(f"edge{name}.example", 7844), milliseconds / 1000, 0.0)

    def test_nothing_is_known(self) -> None:
        """Without a measurement the order is the caller's; one that was never measured comes last."""
        self.assertEqual(self.nearness.ordered(FLEET, []), FLEET)
        self.measured(c=900)
        self.assertEqual(self.nearness.ordered(FLEET, []), [C, A, B])
        self.assertIsNone(self.nearness.round_trip(A))

    def test_equally_near(self) -> None:
        """A few milliseconds, or a quarter, make no difference; more does."""
        self.measured(a=12, b=10, c=9)
        self.assertEqual(self.nearness.ordered(FLEET, []), [A, B, C])
        self.measured(a=200)  # smoothed: 59
        self.assertEqual(self.nearness.ordered(FLEET, []), [B, C, A])

    def test_smoothed(self) -> None:
        """One round trip that took long does not make an edge far, many do."""
        self.measured(a=20, b=40)
        self.measured(a=80)
        self.assertEqual(self.nearness.ordered([B, A], [A]), [B, A])  # 35 and 40: the same
        for _ in range(20):
            self.measured(a=80)
        self.assertEqual(self.nearness.ordered([A, B], [A]), [B, A])
        self.assertAlmostEqual(self.nearness.round_trip(A) or 0, 0.080, places=3)

    @given(st.floats(0.0001, 1.0), st.floats(0.0, 0.25))
    def test_in_use(self, seconds: float, longer: float) -> None:
        """An edge in use is left for one that is much nearer only, and then not taken again for as little."""
        nearness = Nearness()
        nearness.measured(A, seconds * (1 + longer), 0.0)
        nearness.measured(B, seconds, 0.0)
        self.assertEqual(nearness.ordered([A, B], [A]), [A, B])
        self.assertEqual(nearness.ordered([A, B], []), [A, B])
        nearness.measured(C, seconds * 2 + 0.01, 0.0)
        self.assertEqual(nearness.ordered([C, B], [C]), [B, C])

    def test_which_to_measure(self) -> None:
        """First those that never were, then the one that was longest ago; none that was lately."""
        self.nearness.measured(A, 0.1, 50.0)
        self.nearness.measured(B, 0.1, 20.0)
        self.assertEqual(self.nearness.oldest(FLEET, 60.0), [C, B, A])
        self.assertEqual(self.nearness.oldest(FLEET, 50.0), [C, B])

    def test_bounded(self) -> None:
        """A list of edges that changes all the time does not fill the memory."""
        for port in range(1, 2 * MAX_EDGES):
            self.nearness.measured(EdgeAddress("x", port), 0.1, float(port))
        self.assertIsNone(self.nearness.round_trip(EdgeAddress("x", MAX_EDGES - 1)))
        self.assertIsNotNone(self.nearness.round_trip(EdgeAddress("x", MAX_EDGES)))
