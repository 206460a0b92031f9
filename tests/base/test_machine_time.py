"""Tests of `warp_base.machine_time`: which clock a reactor follows."""

import time

from twisted.internet.epollreactor import EPollReactor
from twisted.trial.unittest import SynchronousTestCase

from warp_base.machine_time import MACHINE_WALL_CLOCK, use_monotonic_time


class MachineTimeTests(SynchronousTestCase):
    """A reactor of its own, that nothing else uses, while the wall clock jumps."""

    def setUp(self) -> None:
        """Make a reactor whose `time.time` the test sets."""
        self.offset = 0.0
        true_time = time.time
        self.patch(time, "time", lambda: true_time() + self.offset)
        self.reactor = EPollReactor()
        self.addCleanup(self._close)

    def _close(self) -> None:
        self.reactor.removeAll()
        self.reactor._poller.close()

    def test_wall_clock(self) -> None:
        """The machine's wall clock shows seconds since the epoch."""
        self.assertGreater(MACHINE_WALL_CLOCK.now(), 1.7e9)

    def test_steps_change_no_wait(self) -> None:
        """What was to happen after a moment happens after it, though the wall clock is set back, and not before."""
        use_monotonic_time(self.reactor)
        called: list[str] = []
        self.reactor.callLater(0.0, called.append, "now")
        far = self.reactor.callLater(3600.0, called.append, "in an hour")
        self.offset = -7200.0
        self.reactor.runUntilCurrent()
        self.offset = 7200.0
        self.reactor.runUntilCurrent()
        self.assertEqual(called, ["now"])
        far.cancel()
        self.assertLessEqual(self.reactor.seconds(), time.monotonic())

    def test_twice(self) -> None:
        """A second call changes nothing, whatever is scheduled by then."""
        use_monotonic_time(self.reactor)
        call = self.reactor.callLater(1.0, self.fail)
        use_monotonic_time(self.reactor)
        self.assertIs(self.reactor.seconds, time.monotonic)
        call.cancel()

    def test_too_late(self) -> None:
        """A reactor that has scheduled something by the wall clock is refused: it would wait for decades."""
        call = self.reactor.callLater(1.0, self.fail)
        self.assertRaises(ValueError, use_monotonic_time, self.reactor)
        call.cancel()
