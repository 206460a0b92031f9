"""The base of every test on hosts: one that hangs fails, and says where, instead of holding all that come after it."""

import signal
from types import FrameType
from unittest import TestResult

from twisted.trial.unittest import SynchronousTestCase

from tests.fleet.place import FleetError

TEST_SECONDS = 1800  # the first test also boots the hosts and deploys to them three times: four minutes, by itself


class FleetTestCase(SynchronousTestCase):
    """A test that ends by itself."""

    limit_seconds = TEST_SECONDS

    def run(self, result: TestResult | None = None) -> None:
        """Run the test with an alarm set, whose handler raises in whatever the test waits for."""

        def give_up(number: int, frame: FrameType | None) -> None:
            raise FleetError(f"{self.id()} did not end in {self.limit_seconds} s")

        before = signal.signal(signal.SIGALRM, give_up)
        signal.alarm(self.limit_seconds)
        try:
            super().run(result)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
