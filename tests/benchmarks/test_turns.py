"""Tests of `benchmarks.turns`."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.turns import LongestTurn, longest_turns


class LongestTurnsTests(SynchronousTestCase):
    """What a log says."""

    def test_lines(self) -> None:
        """Each line that tells of turns is read, whatever stands around it."""
        told = '"message":"the longest turn took 41 ms, by a.B.c; most computing 12 ms, by d.E"}'
        expected = LongestTurn(computing_ms=12, sentence="longest turn 41 ms by a.B.c, computing 12 ms by d.E")
        self.assertEqual(longest_turns(f"{{{told}\nanother line\n{{{told}\n"), [expected] * 2)
        self.assertEqual(longest_turns("nothing"), [])
