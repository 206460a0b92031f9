"""Tests of `policy.judging.path_facts`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.policy.judging.path_facts import PathFacts


class PathFactsTests(SynchronousTestCase):
    """What is known about a path."""

    def test_plain(self) -> None:
        """A plain path has one reading."""
        for path in (b"/a/b", b"/a%20b", b"*"):
            facts = PathFacts(path)
            self.assertEqual((facts.odd, facts.readings), (frozenset(), {path}))

    def test_odd(self) -> None:
        """An odd path has several."""
        facts = PathFacts(b"/a//b")
        self.assertEqual((facts.odd, facts.readings), ({"empty_segments"}, {b"/a//b", b"/a/b"}))
