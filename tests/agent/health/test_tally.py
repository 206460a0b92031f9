"""Tests of `warp_twisted.agent.health.tally`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent.health.tally import TRANSITIONS, Tally, Verdict


class TallyTests(SynchronousTestCase):
    """From probes to a verdict."""

    def test_table(self) -> None:
        """Each verdict knows both ends of a probe."""
        self.assertEqual(set(TRANSITIONS), {(verdict, good) for verdict in Verdict for good in (True, False)})

    def test_the_first_decides(self) -> None:
        """Before the first probe an origin counts as healthy; the first one decides alone."""
        for good, verdict in ((True, Verdict.HEALTHY), (False, Verdict.UNHEALTHY)):
            tally = Tally(5, 5)
            self.assertTrue(tally.is_healthy)
            self.assertTrue(tally.note(good))
            self.assertIs(tally.verdict, verdict)

    def test_fall_and_rise(self) -> None:
        """It takes `fall` failures in a row, and `rise` good probes; one in between begins anew."""
        tally = Tally(2, 3)
        tally.note(True)
        self.assertEqual([tally.note(good) for good in (False, False, True, False, False)], [False] * 5)
        self.assertTrue(tally.note(False))
        self.assertFalse(tally.is_healthy)
        self.assertEqual([tally.note(good) for good in (True, False, False, True)], [False] * 4)
        self.assertTrue(tally.note(True))
        self.assertTrue(tally.is_healthy)

    @given(st.lists(st.booleans()), st.integers(1, 5), st.integers(1, 5))
    def test_flapping(self, probes: list[bool], rise: int, fall: int) -> None:
        """Whatever comes, the verdict changes only after as many in a row as asked, and tells that it has."""
        tally = Tally(rise, fall)
        for at, good in enumerate(probes):
            before = tally.verdict
            changed = tally.note(good)
            self.assertIs(changed, tally.verdict is not before)
            if changed and before is not Verdict.UNKNOWN:
                needed = fall if before is Verdict.HEALTHY else rise
                self.assertEqual(probes[at + 1 - needed : at + 1], [tally.is_healthy] * needed)
