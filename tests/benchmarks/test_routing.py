"""Tests of `benchmarks.routing`."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.routing import COOKIE, SPLIT, Path, measured


class RoutingTests(SynchronousTestCase):
    """What is measured."""

    def test_cases(self) -> None:
        """Visitors get a cookie where they are to keep to their share, and keep the one that they bring."""
        path = Path(f"{SPLIT}, sticky: {{cookie: {COOKIE.decode()}}}")
        given = path.ask(path.head(b"")).own_lines
        self.assertIn(b"Set-Cookie: warp_route=", given)
        brought = b"; " + given.partition(b": ")[2].partition(b";")[0]
        self.assertEqual(path.ask(path.head(brought)).own_lines, b"")
        self.assertIsNone(Path("").route.splits)

    def test_waiting(self) -> None:
        """Where every place is taken, a request is served when another one is over, and never more at once."""
        path = Path("", max_requests=1)
        path.fill()
        before = path.served
        path.ask_in_turn(path.head(b""))
        self.assertIsNot(path.served, None)
        assert path.route.queue is not None
        self.assertEqual(set(path.route.queue.state.origins.values()), {(1, 1)})
        self.assertEqual((len(path.route.queue), before.borrower is path.receiver), (0, path.served is before))

    def test_measured(self) -> None:
        """Each case takes time, and without a split least."""
        found = dict(measured(times=200))
        self.assertGreater(len(found), 12)
        self.assertTrue(min(found, key=lambda name: found[name]).startswith("no split"))
