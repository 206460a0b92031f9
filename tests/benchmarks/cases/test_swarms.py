"""`benchmarks.cases.swarms`: what a registration took."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.cases.swarms import Registered


class RegisteredTests(SynchronousTestCase):
    """The times of a swarm."""

    def test_times(self) -> None:
        """A registration is counted with its handshake and without."""
        registered = Registered(began_at=1.0, ended_at=4.0, failed_dials=0, times=[(1.0, 1.5, 2.0), (2.0, 3.75, 4.0)])
        self.assertEqual(registered.seconds, 3)
        self.assertEqual(registered.with_handshake(), [1, 2])
        self.assertEqual(registered.without_handshake(), [0.5, 0.25])
