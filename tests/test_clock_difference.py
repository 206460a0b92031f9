"""Tests of `warp_twisted.clock_difference`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.clock_difference import NOTICED_SECONDS, difference, is_noticed, remark, say_difference

HOUR, DAY = 3600.0, 86400.0


class ClockDifferenceTests(SynchronousTestCase):
    """Two clocks, compared."""

    def test_difference(self) -> None:
        """A clock that is ahead differs by more than nothing; one that was not told is not compared."""
        self.assertEqual((difference(110.0, 100.0), difference(90.0, 100.0), difference(None, 100.0)), (10, -10, None))

    def test_noticed(self) -> None:
        """What a message takes on its way is no difference."""
        self.assertEqual([is_noticed(each) for each in (None, 0.0, 59.0, -59.0)], [False] * 4)
        self.assertTrue(is_noticed(NOTICED_SECONDS) and is_noticed(-NOTICED_SECONDS))

    def test_remark(self) -> None:
        """A line has something to add only where clocks differ."""
        self.assertEqual([remark(None, 1e9), remark(1e9 + 5, 1e9)], ["", ""])
        self.assertEqual(remark(1e9 - 7200, 1e9), "; its clock is 2 h behind ours")

    def test_said(self) -> None:
        """The unit is the largest of which there are (about) two, so that no digit is needed behind a point."""
        said = {
            -2 * HOUR: "2 h behind", 2 * HOUR: "2 h ahead of", 2 * DAY: "2 d ahead of",
            -55 * 365.25 * DAY: "55 years behind",
            HOUR: "60 min ahead of", -119.0: "119 s behind", 90 * 60.0: "90 min ahead of", 0.0: "0 s ahead of",
        }  # fmt: skip
        self.assertEqual({seconds: say_difference(seconds) for seconds in said}, said)
