"""Tests of `warp_twisted.routing.layout`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.routing.draws import HALF, LOW, RANGE, Draws
from warp_twisted.routing.layout import NOBODY, WHOLE, Layout

VISITORS = 2_000
WEIGHTS = st.lists(st.integers(0, 100), min_size=1, max_size=6).filter(any)


def shares_of(layout: Layout) -> list[int]:
    """Return the share of each of many visitors."""
    draws = Draws()
    found = []
    usable = [True] * len(layout.parts)
    for _ in range(VISITORS):
        draw = draws.next()
        share = layout.share(draw)
        found.append(layout.another(draw, usable) if share == NOBODY else share)
    return found


def moves(before: list[int], after: list[int]) -> list[tuple[int, int]]:
    """Return the shares, old and new, of the visitors that moved."""
    return [(old, new) for old, new in zip(before, after, strict=True) if old != new]


class LayoutTests(SynchronousTestCase):
    """Shares of the range of draws."""

    def test_weights(self) -> None:
        """Each share gets its weight of the visitors; one of weight 0 gets nobody."""
        for weights in ([90, 10], [1, 1, 1], [0, 5, 0, 3], [7]):
            found = shares_of(Layout(weights))
            for share, weight in enumerate(weights):
                wanted = VISITORS * weight / sum(weights)
                self.assertLess(abs(found.count(share) - wanted), 6 if weight else 1, weights)

    def test_shift(self) -> None:
        """From 10 to 25 %, 15 % of the visitors move, all to the share that grows; further on nobody comes back."""
        for weights in ([90, 10], [50, 40, 10], [10, 30, 60]):
            grown = weights.index(10)
            before = shares_of(Layout(weights))
            for percent in (25, 50, 75, 100):
                after = shares_of(Layout(weights, (grown, percent * WHOLE // 100)))
                moved = moves(before, after)
                self.assertEqual({new for _, new in moved}, {grown})
                share = before.count(grown) / VISITORS
                self.assertLess(abs(len(moved) - VISITORS * (percent / 100 - share)), 12, (weights, percent))
                before = after

    def test_back(self) -> None:
        """A share that shrinks gives up its own visitors only, in the others' proportion, and in the end all."""
        before = first = shares_of(Layout([60, 30, 10]))
        for percent in (5, 2, 0):
            after = shares_of(Layout([60, 30, 10], (2, percent * WHOLE // 100)))
            self.assertEqual({old for old, _ in moves(before, after)}, {2})
            before = after
        self.assertNotIn(2, before)
        went = [new for old, new in zip(first, before, strict=True) if old == 2]
        self.assertLess(abs(went.count(0) - 2 * went.count(1)), 15)

    def test_two_weights(self) -> None:
        """Of two shares, a document with other weights moves only from the one that shrinks to the one that grows."""
        before = shares_of(Layout([90, 10]))
        for weights in ([75, 25], [3, 1], [1, 1], [0, 1]):
            after = shares_of(Layout(weights))
            self.assertLessEqual(set(moves(before, after)), {(0, 1)})
            before = after

    def test_empty_share(self) -> None:
        """The visitors of a share that cannot be used go to the others by their weights."""
        layout = Layout([60, 30, 10])
        draws = Draws()
        went = [
            layout.another(draw, [False, True, True])
            for draw in (draws.next() for _ in range(5_000))
            if layout.share(draw) == 0
        ]
        self.assertEqual(set(went), {1, 2})
        self.assertLess(abs(went.count(1) - 3 * went.count(2)), len(went) * 0.05)
        self.assertEqual(layout.another(0, [False, False, False]), NOBODY)
        self.assertEqual(Layout([1, 0]).another(0, [False, True]), NOBODY)

    def test_nobody_else(self) -> None:
        """A share that has all the weight cannot give any away, as nothing says who would get it."""
        self.assertEqual(Layout([1, 0], (0, 0)).parts, [1.0, 0.0])

    @given(WEIGHTS.filter(lambda weights: len(weights) > 1), st.data())
    def test_taken_back(self, weights: list[int], data: st.DataObject) -> None:
        """What a share had goes to its heir and to nobody else, whatever is shifted: the others keep each visitor."""
        indexes = st.integers(0, len(weights) - 1)
        shifted = data.draw(st.none() | st.tuples(indexes, st.integers(0, WHOLE)))
        taken, heir = data.draw(st.lists(indexes, min_size=2, max_size=2, unique=True))
        before, after = Layout(weights, shifted), Layout(weights, shifted, (taken, heir))
        self.assertAlmostEqual(sum(after.parts), 1)
        self.assertEqual(after.parts[taken], 0)
        for share, part in enumerate(before.parts):
            if share not in (taken, heir):
                self.assertEqual(after.parts[share], part)
        was, now = shares_of(before), shares_of(after)
        self.assertNotIn(taken, now)
        for share in set(range(len(weights))) - {taken, heir}:
            self.assertLessEqual(abs(now.count(share) - was.count(share)), 12)

    @given(WEIGHTS, st.data())
    def test_any_weights(self, weights: list[int], data: st.DataObject) -> None:
        """Whatever the weights and the shift, each draw has a share that has a part, and parts sum up to one."""
        shifted = data.draw(st.none() | st.tuples(st.integers(0, len(weights) - 1), st.integers(0, WHOLE)))
        layout = Layout(weights, shifted)
        self.assertAlmostEqual(sum(layout.parts), 1)
        for first in (0, 1, RANGE // 3, RANGE // 2, RANGE - 1):
            for second in (0, LOW // 2, LOW):
                draw = first << HALF | second
                share = layout.share(draw)
                if share == NOBODY:
                    share = layout.another(draw, [True] * len(weights))
                self.assertGreater(layout.parts[share], 0)
