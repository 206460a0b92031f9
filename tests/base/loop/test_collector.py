"""Tests of `warp_base.loop.collector`."""

import gc
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from warp_base.loop.collector import NEVER, spare_old_objects


class Starting:
    """A reactor that is about to run."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], object]] = []

    def callWhenRunning(self, callable: Callable[[], object]) -> object:
        """Keep a call."""
        self.calls.append(callable)
        return None


class SpareOldObjectsTests(SynchronousTestCase):
    """What the collector does after the start."""

    def setUp(self) -> None:
        """Leave the collector as it was."""
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.addCleanup(gc.unfreeze)

    def test_old_objects_are_left_alone(self) -> None:
        """When the reactor runs, all that is there is set aside, and no full collection happens by itself."""
        reactor = Starting()
        before = gc.get_freeze_count()
        spare_old_objects(reactor)
        self.assertEqual(gc.get_freeze_count(), before)
        for call in reactor.calls:
            call()
        self.assertGreater(gc.get_freeze_count(), before + 1000)
        full = gc.get_stats()[2]["collections"]
        kept: list[list[object]] = [[] for _ in range(200_000)]
        self.assertEqual(gc.get_stats()[2]["collections"], full)
        self.assertEqual(gc.get_threshold()[2], NEVER)
        self.assertEqual(len(kept), 200_000)

    def test_full_collections_now_and_then(self) -> None:
        """A program may ask for full collections of what came after the start, after so many of the middle ones."""
        reactor = Starting()
        spare_old_objects(reactor, 7)
        reactor.calls[0]()
        self.assertEqual(gc.get_threshold()[2], 7)

    def test_young_cycles_are_collected(self) -> None:
        """What dies young is freed, cycles included."""
        reactor = Starting()
        spare_old_objects(reactor)
        reactor.calls[0]()
        young = gc.get_stats()[0]["collected"]
        for _ in range(10_000):
            cycle: list[object] = []
            cycle.append(cycle)
        self.assertGreater(gc.get_stats()[0]["collected"], young + 5000)
