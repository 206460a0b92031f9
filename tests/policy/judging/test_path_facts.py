"""Tests of `policy.judging.path_facts`."""

import time

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.judging.samples import compiled, request, said
from warp_twisted.policy.judging.path_facts import PathFacts


class PathFactsTests(SynchronousTestCase):
    """What is known about a path."""

    def test_plain(self) -> None:
        """A plain path has one reading."""
        for path in (b"/a/b", b"/a%20b", b"*"):
            facts = PathFacts(path)
            self.assertEqual((facts.odd, facts.readings), (frozenset(), {path}))
        self.assertEqual(PathFacts(b"/a%20b/").exact, [[b"a b", b""]])

    def test_odd(self) -> None:
        """An odd path has several."""
        facts = PathFacts(b"/a//b")
        self.assertEqual((facts.odd, facts.readings), ({"empty_segments"}, {b"/a//b", b"/a/b"}))
        self.assertEqual(sorted(facts.exact), [[b"a", b"", b"b"], [b"a", b"b"]])

    def test_price(self) -> None:
        """A long path is taken apart once, for any number of rules."""
        rules = "".join(f"- {{name: r{n}, except: [/x{n}/*], routes: ['GET /*']}}\n" for n in range(200))
        policy = compiled(f"rules:\n{rules}")
        for path in ("/" + "%C3%A9" * 1_300, "/" + "a/" * 4_000):
            facts = request(f"GET {path}")
            began = time.process_time()
            self.assertEqual(said(policy, facts), "allow")
            self.assertLess(time.process_time() - began, 0.05)
