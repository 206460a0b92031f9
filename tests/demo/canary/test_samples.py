"""Tests of `warp_twisted.demo.canary.samples`: what was sent of late, from counters that only grow."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.cli.operate.answers import ShiftMade, SplitGuard, SplitHostname, SplitShare
from warp_twisted.demo.canary.samples import Recent, Samples, Seen


def split_of(
    stable: int = 0, canary: int = 0, *, errors: int = 0, part: float = 0.1, target: float = 0.0, action: str = ""
) -> SplitHostname:
    """Return what an edge may say of two releases."""
    shift = ShiftMade(
        hostname="app.example", selector="release=canary", start=0.1, target=target, began_at=1.0, part=part
    )
    return SplitHostname(
        "app.example",
        [
            SplitShare("release=stable", 1 - part, requests=stable),
            SplitShare("release=canary", part, requests=canary, errors=errors),
        ],
        shift=shift if target else None,
        guard=SplitGuard("release=canary", "worse" if action else "better", "errors 0.0%", action),
    )


class RecentTests(SynchronousTestCase):
    """Counters, looked at again and again."""

    def test_first_look(self) -> None:
        """What was counted before the first look is not of late."""
        self.assertEqual(Recent().note(10.0, [5, 7]), (0.0, (0, 0)))

    def test_window(self) -> None:
        """What is older than the window is left out."""
        recent = Recent(5.0)
        for at in range(10):
            found = recent.note(float(at), [10 * at])
        self.assertEqual(found, (5.0, (50,)))

    def test_counters_that_began_anew(self) -> None:
        """With another split the counters begin at nothing, and so does the window."""
        recent = Recent(5.0)
        recent.note(0.0, [100, 10])
        self.assertEqual(recent.note(1.0, [0, 0]), (0.0, (0, 0)))
        self.assertEqual(recent.note(2.0, [3, 1]), (1.0, (3, 1)))


class SamplesTests(SynchronousTestCase):
    """Samples of two releases."""

    def test_asked_and_sent(self) -> None:
        """A share's part is that of the last seconds; without a request nothing is known of it."""
        samples = Samples()
        first = samples.take(0.0, split_of(90, 10), [Seen("stable", has_failed=False)])
        self.assertEqual([(share.asked, share.sent) for share in first.shares], [(0.9, None), (0.1, None)])
        second = samples.take(1.0, split_of(165, 35, errors=2, part=0.25, target=0.5), [])
        self.assertEqual([(share.asked, share.sent) for share in second.shares], [(0.75, 0.75), (0.25, 0.25)])
        self.assertEqual([(share.requests, share.recent_requests) for share in second.shares], [(165, 75), (35, 25)])
        self.assertEqual((second.shares[1].errors, second.shares[1].recent_errors), (2, 2))
        self.assertEqual((second.selector, second.target, second.seconds), ("release=canary", 0.5, 1.0))

    def test_shift_that_is_there(self) -> None:
        """A shift that has reached its target leads nowhere any more."""
        self.assertIsNone(Samples().take(0.0, split_of(part=0.5, target=0.5), []).target)

    def test_guard(self) -> None:
        """What the guard finds is told, and whether it has acted."""
        sample = Samples().take(0.0, split_of(), [])
        self.assertEqual((sample.guard, sample.reason, sample.taken_back), ("better", "errors 0.0%", False))
        self.assertTrue(Samples().take(0.0, split_of(action="back"), []).taken_back)
