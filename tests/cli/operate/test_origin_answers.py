"""Tests of `warp_twisted.cli.operate.origin_answers`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.cli.operate.answers import read
from warp_twisted.cli.operate.origin_answers import Ejected, LimitedOrigin, Queue


class OriginAnswersTests(SynchronousTestCase):
    """What is read of an answer."""

    def test_older_and_newer_edges(self) -> None:
        """What an older edge leaves out has a default, and what a newer one says more is ignored."""
        found = read({"hostname": "a.example", "agent": "a-1", "mood": "bad"}, Ejected)
        self.assertEqual((found.state, found.path, found.seconds), ("ejected", "", 0.0))
        answer = {
            "hostname": "a.example",
            "waiting": 3,
            "origins": {"a-1": {"max_requests": 10, "requests": 9, "x": 1}},
        }
        self.assertEqual(read(answer, Queue).origins, {"a-1": LimitedOrigin(max_requests=10, requests=9)})
