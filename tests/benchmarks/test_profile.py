"""`benchmarks.profile`: stacks condensed into costs."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.profile import Cost, by_file, costs, costs_table

_FOLDED = """\
run (/v/lib/python3.11/site-packages/twisted/internet/base.py:700);forward (/w/warp_twisted/edge/proxy.py:10) 6
run (/v/lib/python3.11/site-packages/twisted/internet/base.py:700);forward (/w/warp_twisted/edge/proxy.py:12) 2
run (/v/lib/python3.11/site-packages/twisted/internet/base.py:700);forward (/w/p.py:1);0x7f (libc.so.6) 1
run (/v/lib/python3.11/site-packages/twisted/internet/base.py:700) 1
"""
_RUN = "run (twisted/internet/base.py)"


class CostsTests(SynchronousTestCase):
    """Where the samples fell."""

    def test_functions(self) -> None:
        """Samples of a function's lines are added; a caller has its own and those of its callees."""
        found = costs(_FOLDED, by_line=False)
        self.assertEqual(found["forward (warp_twisted/edge/proxy.py)"], Cost(own=0.8, all=0.8))
        self.assertEqual(found[_RUN], Cost(own=0.1, all=1.0))
        self.assertEqual(found["? (libc.so.6)"], Cost(own=0.1, all=0.1))

    def test_lines(self) -> None:
        """Lines can be told apart."""
        found = costs(_FOLDED, by_line=True)
        self.assertEqual(found["forward (warp_twisted/edge/proxy.py:12)"].own, 0.2)

    def test_recursion(self) -> None:
        """A function that calls itself counts once in a sample."""
        self.assertEqual(costs("f (a.py:1);f (a.py:2) 5\n", by_line=False), {"f (a.py)": Cost(own=1.0, all=1.0)})

    def test_files(self) -> None:
        """Own time is added up by file, whether lines are told apart or not."""
        for by_line in (False, True):
            found = by_file(costs(_FOLDED, by_line=by_line))
            self.assertAlmostEqual(found["warp_twisted/edge/proxy.py"].own, 0.8)
            self.assertAlmostEqual(found["libc.so.6"].own, 0.1)

    def test_table(self) -> None:
        """Shares become microseconds, and what is left out is told."""
        lines = costs_table(costs(_FOLDED, by_line=False), 20.0, "request", 1).splitlines()
        self.assertIn("|             16 |  80.0 |", lines[2])
        self.assertIn("everything else", lines[3])
