"""`tunnel.watch`: one timer, looks in time and in slices."""

import weakref
from collections.abc import Iterable

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.tunnel.turns import Turn
from warp_twisted.tunnel.watch import Watch


class Tunnel:
    """Notes when it was looked at, and asks for the next look after some seconds."""

    def __init__(self, again: float | None) -> None:
        self.again = again
        self.looks: list[float] = []

    def look(self, now: float) -> float | None:
        """Note the instant."""
        self.looks.append(now)
        return self.again


class WatchTests(SynchronousTestCase):
    """`Watch`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.watch = Watch(self.clock, self.share)
        self.shared: list[Iterable[object]] = []

    def share(self, steps: Iterable[object]) -> None:
        self.shared.append(steps)
        list(steps)

    def test_each_in_its_time(self) -> None:
        """Each is looked at when it asked for it, and again when it asks for it then."""
        often, seldom, once = Tunnel(2.0), Tunnel(5.0), Tunnel(None)
        for tunnel, seconds in ((seldom, 5.0), (often, 2.0), (once, 3.0)):
            self.watch.add(tunnel, seconds)
        self.clock.pump([0.5] * 20)
        self.assertEqual(often.looks, [2.0, 4.0, 6.0, 8.0, 10.0])
        self.assertEqual((seldom.looks, once.looks), ([5.0, 10.0], [3.0]))
        self.assertEqual([tunnel in self.watch for tunnel in (often, seldom, once)], [True, True, False])

    def test_one_timer(self) -> None:
        """However many there are, one call is under way, and none when they are gone."""
        tunnels = [Tunnel(1.0) for _ in range(100)]
        for number, tunnel in enumerate(tunnels):
            self.watch.add(tunnel, 10 - number / 100)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for tunnel in tunnels:
            self.watch.remove(tunnel)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.watch.remove(tunnels[0])

    def test_removed(self) -> None:
        """Who was removed is not looked at, and may come back."""
        gone, there = Tunnel(1.0), Tunnel(None)
        self.watch.add(gone, 1.0)
        self.watch.add(there, 2.0)
        self.watch.remove(gone)
        self.clock.advance(3.0)
        self.assertEqual((gone.looks, there.looks), ([], [3.0]))
        self.watch.add(gone, 1.0)
        self.clock.advance(1.0)
        self.assertEqual(gone.looks, [4.0])

    def test_let_go_of_at_once(self) -> None:
        """Who was removed is not held until its time, when thousands would be freed in one turn."""
        gone, there = Tunnel(1.0), Tunnel(1.0)
        for tunnel in (gone, there):
            self.watch.add(tunnel, 30.0)
        self.watch.add(gone, 60.0)
        left = weakref.ref(gone)
        self.watch.remove(gone)
        del gone, tunnel
        self.assertIsNone(left())
        self.clock.advance(60.0)
        self.assertEqual(len(there.looks), 1)

    def test_removed_while_others_are_looked_at(self) -> None:
        """One look may remove another tunnel, or itself."""
        watch = self.watch

        class Removing(Tunnel):
            def look(self, now: float) -> float | None:
                watch.remove(other)
                watch.remove(self)
                return super().look(now)

        other = Tunnel(1.0)
        removing = Removing(None)
        watch.add(removing, 1.0)
        watch.add(other, 1.0)
        self.clock.pump([1.0] * 3)
        self.assertEqual((removing.looks, other.looks), ([1.0], []))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_in_slices(self) -> None:
        """Many looks that are due at once are shared with what else is long, step by step."""
        turn = Turn(self.clock)
        tunnels = [Tunnel(None) for _ in range(50)]
        for tunnel in tunnels:
            turn.watch.add(tunnel, 1.0)
        order: list[int] = []

        def steps() -> Iterable[None]:
            for _ in range(10):
                order.append(sum(len(tunnel.looks) for tunnel in tunnels))
                yield

        self.clock.advance(0.5)
        turn.share(steps())
        self.clock.advance(0.5)
        self.assertEqual([len(tunnel.looks) for tunnel in tunnels], [1] * 50)
        self.assertEqual(len(order), 10)
