"""Tests of `warp_twisted.routing.draws`."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.routing.draws import HALF, LOW, RANGE, Draws


class DrawsTests(SynchronousTestCase):
    """Draws that are even without chance."""

    def taken(self, count: int, start: int = 0) -> list[int]:
        """Return the first draws of a sequence."""
        draws = Draws(start)
        return [draws.next() for _ in range(count)]

    def test_every_interval(self) -> None:
        """Both halves fall into any interval as often as it is wide, give or take a handful, wherever they began."""
        for start in (0, 0x123456789ABCDEF0, (1 << 64) - 1):
            for count in (20, 200, 2_000, 20_000):
                taken = self.taken(count, start)
                for halves in ([draw >> HALF for draw in taken], [draw & LOW for draw in taken]):
                    for low, high in ((0.0, 0.9), (0.9, 1.0), (0.75, 0.9), (0.333, 0.334), (0.0, 0.01)):
                        found = sum(low * RANGE <= half < high * RANGE for half in halves)
                        self.assertLess(abs(found - count * (high - low)), 6, (start, count, low, high))

    def test_every_other(self) -> None:
        """Who asks for two or three files each time does not get one of the shares for all of the first ones."""
        taken = self.taken(6_000)
        for step in (2, 3, 5):
            found = sum(draw >> HALF < RANGE // 2 for draw in taken[::step])
            self.assertLess(abs(found - 3_000 / step), 12, step)

    def test_halves_together(self) -> None:
        """Of those that one half takes, the other half takes its part: an empty share's visitors are spread evenly."""
        taken = [draw for draw in self.taken(20_000) if draw >> HALF >= RANGE * 0.9]
        for part in (0.25, 0.5):
            found = sum((draw & LOW) < part * RANGE for draw in taken)
            self.assertLess(abs(found - part * len(taken)), 40)

    def test_distinct(self) -> None:
        """No draw comes twice in a long time."""
        self.assertEqual(len(set(self.taken(100_000))), 100_000)
