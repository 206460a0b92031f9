"""Tests of `warp_twisted.routing.window`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.routing.window import SLOTS, Counts, Moment, Window


def moment(at: float, share: int, others: int = 0) -> Moment:
    """Return what was counted at an instant."""
    return Moment(at, Counts(share, share // 2, [share]), Counts(others, 0, [others]))


class WindowTests(SynchronousTestCase):
    """The last seconds of growing counters."""

    def test_since(self) -> None:
        """What was before the first look is not of the window; what leaves it is forgotten."""
        window = Window(60.0)
        seen = []
        for second in range(0, 181, 5):
            now = moment(second, 1000 + second, 2 * second)
            self.assertTrue(window.note(now))
            share, others = window.counted(now)
            seen.append(share.requests)
            self.assertEqual((others.requests, share.latencies), (2 * share.requests, [share.requests]))
        self.assertEqual(seen[:13], list(range(0, 61, 5)))
        self.assertEqual(set(seen[12:]), {60})

    def test_began_anew(self) -> None:
        """Counters that begin anew begin the window anew: nothing is below zero."""
        window = Window(60.0)
        window.note(moment(0, 100))
        now = moment(10, 5)
        self.assertFalse(window.note(now))
        self.assertEqual(window.counted(now)[0].requests, 0)

    def test_nothing_before(self) -> None:
        """Counts that have no latencies yet count as zero."""
        self.assertEqual(Counts(3, 1, [2, 1]).since(Counts()), Counts(3, 1, [2, 1]))

    @given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 50)), max_size=300), st.floats(1, 600))
    def test_any(self, steps: list[tuple[float, int]], seconds: float) -> None:
        """However often it is looked at, it is bounded, and holds all of the window and little more."""
        window = Window(seconds)
        at, total = 0.0, 0
        history = [(at, total)]
        window.note(moment(at, total))
        for wait, requests in steps:
            at, total = at + wait, total + requests
            history.append((at, total))
            now = moment(at, total)
            window.note(now)
            found = window.counted(now)[0].requests
            whole = next(before for when, before in reversed(history) if when <= max(0.0, at - seconds))
            self.assertLessEqual(found, total)
            self.assertGreaterEqual(found, total - max(whole, next(b for w, b in history if w >= at - seconds)))
            self.assertLessEqual(len(window._moments), SLOTS + 2)
