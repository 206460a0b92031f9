"""Tests of `warp_twisted.demo.canary.story`, on a stage without a fleet."""

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.demo.canary.test_samples import split_of
from warp_twisted.cli.operate.answers import SplitGuard, SplitHostname
from warp_twisted.demo.canary.story import Pace, Story


class _Stage:
    """A fleet whose shifts take their time, and whose guard finds what it is told to."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.shifts: list[tuple[float, float]] = []
        self.began_at = 0.0
        self.verdict = "better"
        self.action = ""
        self.is_worse = False

    async def split(self) -> SplitHostname:
        """Look; a canary that became worse is taken back a second later."""
        if self.is_worse:
            self.action, self.verdict = "back", "worse"
        part, target = 0.1, 0.0
        if self.shifts:
            percent, over = self.shifts[-1]
            target = percent / 100
            part = target if self.clock.seconds() - self.began_at >= over else target - 0.01
        split = split_of(part=part, target=target)
        guard = SplitGuard("release=canary", self.verdict, "errors 0.0%", self.action)
        return SplitHostname(split.hostname, split.shares, shift=split.shift, guard=guard)

    def shift(self, percent: float, over_seconds: float) -> "Deferred[None]":
        """Begin a shift."""
        self.shifts.append((percent, over_seconds))
        self.began_at = self.clock.seconds()
        return succeed(None)

    def worsen(self) -> None:
        """Become worse."""
        self.is_worse = True


class StoryTests(SynchronousTestCase):
    """From 10 % to 100 %, or back."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.stage = _Stage(self.clock)
        self.said: list[str] = []

    def tell(self, *, is_worse: bool = False) -> "Deferred[bool]":
        """Begin."""
        story = Story(self.stage, self.clock, self.said.append, is_worse=is_worse, pace=Pace(8.0, 5.0))
        return Deferred.fromCoroutine(story.tell())

    def go_on(self, seconds: float) -> None:
        """Let some time go by."""
        self.clock.pump([0.25] * round(seconds * 4))

    def test_good_canary(self) -> None:
        """It gets 25, 50 and 100 %, each after it was found good for a while, by commands that can be typed."""
        telling = self.tell()
        self.go_on(4.5)
        self.assertEqual(self.stage.shifts, [])
        self.go_on(60)
        self.assertTrue(self.successResultOf(telling))
        self.assertEqual(self.stage.shifts, [(25, 8.0), (50, 8.0), (100, 8.0)])
        self.assertIn("$ warp route shift app.warp.localhost release=canary 25 --over 8s", self.said)
        self.assertIn("The canary has 100 %.", self.said)
        self.assertIn("The guard found it as good as the others for 5 s: errors 0.0%.", self.said)

    def test_undecided(self) -> None:
        """While the guard knows nothing there is no shift; the time of being good begins anew after that."""
        telling = self.tell()
        self.go_on(4)
        self.stage.verdict = "undecided"
        self.go_on(60)
        self.assertEqual(self.stage.shifts, [])
        self.stage.verdict = "better"
        self.go_on(4)
        self.assertEqual(self.stage.shifts, [])
        self.go_on(2)
        self.assertEqual(len(self.stage.shifts), 1)
        self.assertNoResult(telling)
        telling.addErrback(lambda failure: None).cancel()

    def test_worse(self) -> None:
        """A canary that becomes worse at 50 % is taken back, and the story ends with how to begin anew."""
        telling = self.tell(is_worse=True)
        self.go_on(60)
        self.assertFalse(self.successResultOf(telling))
        self.assertEqual([percent for percent, _ in self.stage.shifts], [25, 50])
        self.assertEqual(self.said[-3:][0], "The guard took the canary back, and its visitors with it: errors 0.0%.")
        self.assertEqual(self.said[-1], "$ warp route reset app.warp.localhost")

    def test_taken_back_meanwhile(self) -> None:
        """A canary that is found worse while it is watched ends the story, too."""
        telling = self.tell()
        self.go_on(2)
        self.stage.action = "back"
        self.go_on(1)
        self.assertFalse(self.successResultOf(telling))
