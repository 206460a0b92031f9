"""`tunnel.liveness`: when a peer is asked, and when it is given up."""

from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.tunnel.limits import TunnelTimes
from warp_twisted.tunnel.liveness import Liveness


class LivenessTests(SynchronousTestCase):
    """`Liveness` of a peer that was heard at 100, without jitter unless a test has some."""

    def setUp(self) -> None:
        self.liveness = Liveness(TunnelTimes(ping_jitter=0.0), asks_first=True)
        self.liveness.heard_at = 100.0
        self.liveness.pinged(0, 100.0)

    def test_quiet(self) -> None:
        """A peer is asked after twenty seconds, and then has until thirty."""
        self.assertEqual(self.liveness.seconds_until_due(105.0), 15.0)
        self.assertEqual([self.liveness.is_ping_due(at) for at in (119.9, 120.0)], [False, True])
        self.assertEqual(self.liveness.seconds_until_due(120.0), 10.0)
        self.assertEqual([self.liveness.silent_seconds(at) for at in (129.9, 130.0)], [None, 30.0])

    def test_round_trip(self) -> None:
        """The round trip is known when the answer comes, and measured every two minutes of a peer that talks."""
        self.assertIsNone(self.liveness.round_trip_seconds)
        self.liveness.ponged(0, 100.25)
        self.assertEqual(self.liveness.round_trip_seconds, 0.25)
        self.liveness.heard_at = 219.0
        self.assertEqual([self.liveness.is_ping_due(at) for at in (219.9, 220.0)], [False, True])

    def test_asked(self) -> None:
        """A ping is outstanding until it is answered; all who wait for the newest are told then."""
        answers: list[str] = []
        self.liveness.pinged(1, 100.0)
        for name in ("one", "two"):
            self.liveness.call_when_answered(partial(answers.append, name))
        for value, is_asked, told in ((0, True, []), (1, False, ["one", "two"])):
            self.liveness.ponged(value, 101.0)
            self.assertEqual((self.liveness.is_asked, answers), (is_asked, told))

    def test_first_look(self) -> None:
        """A tunnel that is new is measured at once."""
        fresh = Liveness(TunnelTimes(), asks_first=True)
        fresh.heard_at = 100.0
        self.assertTrue(fresh.is_ping_due(100.0))

    def test_jitter(self) -> None:
        """Tunnels ask at different times: an edge up to two seconds before the twenty, an agent up to two after."""
        for asks_first, least, most in ((True, 18.0, 20.0), (False, 20.0, 22.0)):
            waits = {Liveness(TunnelTimes(), asks_first=asks_first).seconds_until_due(0.0) for _ in range(100)}
            self.assertGreater(len(waits), 50)
            self.assertTrue(all(least <= wait <= most for wait in waits))
