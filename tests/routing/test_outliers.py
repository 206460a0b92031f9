"""Tests of which origins fail while others serve."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.routing.outliers import (
    FAILURES,
    FIRST_SECONDS,
    LONGEST_SECONDS,
    PROBE_SECONDS,
    Origin,
    OriginState,
)


class OriginTests(SynchronousTestCase):
    """Two origins of one route."""

    def setUp(self) -> None:
        self.origins = {"a": Origin(), "b": Origin()}
        self.origin = self.origins["a"]

    def failing(self, origin: Origin | None = None, now: float = 0.0, count: int = FAILURES) -> bool:
        """Fail some times; return whether the last one has ejected the origin."""
        return [(origin or self.origin).failed(self.origins, now) for _ in range(count)][-1]

    def test_in_a_row(self) -> None:
        """Some failures in a row eject an origin, not as many with a good answer between them."""
        self.assertFalse(self.failing(count=FAILURES - 1))
        self.assertFalse(self.origin.answered())
        self.assertFalse(self.failing(count=FAILURES - 1))
        self.assertFalse(self.origin.is_out)
        self.assertTrue(self.failing(count=1))
        self.assertTrue(self.origin.is_out)

    def test_half(self) -> None:
        """Half of the origins may be ejected, and no more; so one that is alone never is."""
        self.assertTrue(self.failing())
        self.assertFalse(self.failing(self.origins["b"], count=100))
        del self.origins["a"]
        self.assertFalse(self.failing(self.origins["b"], count=100))
        self.origins |= {name: Origin() for name in "cd"}
        self.assertTrue(self.failing(self.origins["c"]))
        self.assertFalse(self.failing(self.origins["d"]))

    def test_half_with_the_unwell(self) -> None:
        """Origins that their agents find unwell count among those that are out: the last one is never ejected."""
        self.origins["b"].probed(0.0, is_well=False)
        self.assertFalse(self.failing(count=100))
        self.origins["b"].probed(1.0, is_well=True)
        self.assertTrue(self.failing(count=1))

    def test_found_well_again(self) -> None:
        """When its agent finds an ejected origin well again, the next request may prove it, however long it had."""
        self.failing(now=100.0)
        self.origin.probed(101.0, is_well=True)
        self.assertFalse(self.origin.look(101.0))
        self.origin.probed(101.0, is_well=False)
        self.origin.probed(102.0, is_well=True)
        self.assertTrue(self.origin.look(102.0))

    def test_probe(self) -> None:
        """When its time is over one request goes there; its answer brings the origin back."""
        self.failing(now=100.0)
        self.assertFalse(self.origin.look(100.0 + FIRST_SECONDS - 0.1))
        self.assertTrue(self.origin.look(100.0 + FIRST_SECONDS))
        self.assertFalse(self.origin.is_out)
        self.assertTrue(self.origin.lent(111.0))
        self.assertTrue(self.origin.is_out)
        self.assertFalse(self.origin.lent(111.0))
        self.assertTrue(self.origin.answered())
        self.assertEqual((self.origin.state, self.origin.failures), (OriginState.USED, 0))

    def test_probe_fails(self) -> None:
        """One failure of the probe ejects it again, for twice as long each time, up to the longest."""
        self.failing()
        now, seconds = 0.0, FIRST_SECONDS
        for _ in range(12):
            now += seconds
            self.assertFalse(self.origin.look(now - 0.1))
            self.assertTrue(self.origin.look(now))
            self.origin.lent(now)
            self.assertTrue(self.failing(now=now, count=1))
            seconds = min(2 * seconds, LONGEST_SECONDS)
        self.assertEqual(seconds, LONGEST_SECONDS)

    def test_probe_without_end(self) -> None:
        """A probe that nobody hears of again is followed by another."""
        self.failing()
        self.origin.look(FIRST_SECONDS)
        self.origin.lent(20.0)
        self.assertFalse(self.origin.look(20.0 + PROBE_SECONDS - 0.1))
        self.assertTrue(self.origin.look(20.0 + PROBE_SECONDS))
        self.assertTrue(self.origin.lent(60.0))

    def test_late_words(self) -> None:
        """What was asked before the ejection neither ends it nor makes it longer."""
        self.failing()
        until = self.origin.until
        self.assertFalse(self.origin.answered())
        self.assertFalse(self.failing(now=5.0))
        self.assertEqual((self.origin.state, self.origin.until), (OriginState.EJECTED, until))

    def test_forgiven(self) -> None:
        """An origin that has behaved for long is ejected as if for the first time."""
        self.failing()
        for now in (FIRST_SECONDS, FIRST_SECONDS + LONGEST_SECONDS + 1):
            self.origin.look(now)
            self.origin.lent(now)
            self.origin.answered()
        now = 1_000.0
        self.failing(now=now)
        self.assertEqual(self.origin.until, now + FIRST_SECONDS)
