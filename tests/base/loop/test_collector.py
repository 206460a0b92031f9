"""Tests of `warp_base.loop.collector`."""

import gc
from collections.abc import Callable
from time import perf_counter

from twisted.trial.unittest import SynchronousTestCase

from warp_base.loop import collector
from warp_base.loop.collector import (
    COMPUTED_SECONDS,
    NEVER,
    Youngest,
    freeze,
    measure_collections,
    spare_old_objects,
)
from warp_base.loop.turn_times import NAMED_SECONDS, TurnTimes


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


class YoungestTests(SynchronousTestCase):
    """What is collected by computing."""

    def test_new_ones_in_the_place_of_old_ones(self) -> None:
        """However many take the place of others, few are young when the collector comes to them."""
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.addCleanup(gc.unfreeze)
        self.patch(collector, "MIDDLE_SECONDS", 1e-9)  # else it depends on the machine's speed
        places = [[[number]] for number in range(100_000)]
        freeze()
        youngest = Youngest()
        counts = [0, 0]
        for at in range(len(places)):
            if at % 10_000 == 0:
                youngest.look(1.01 * COMPUTED_SECONDS * (1 + at // 10_000))
                for generation in (0, 1):
                    counts[generation] = max(counts[generation], len(gc.get_objects(generation=generation)))
            places[at] = [[at]]
        self.assertGreater(len(gc.get_objects(generation=0)), 19_000)  # the collector does not come by itself
        self.assertLess(counts[0], 1000)
        self.assertLess(counts[1], 50_000)

    def test_by_computing(self) -> None:
        """Nothing is collected before as much was computed again."""
        youngest = Youngest()

        def collections() -> int:
            return sum(int(each["collections"]) for each in gc.get_stats())

        before = collections()

        gc.disable()
        self.addCleanup(gc.enable)
        for computed, count in ((0.0, 0), (0.021, 1), (0.03, 1), (0.05, 2)):
            youngest.look(computed)
            self.assertEqual(collections() - before, count)


class MeasureCollectionsTests(SynchronousTestCase):
    """What the stall guard hears of collections."""

    def test_a_long_collection_is_named(self) -> None:
        """A turn that was long for a collection says so, whatever piece of work it fell into."""
        times = TurnTimes()
        stop = measure_collections(times)
        self.addCleanup(stop)
        kept = [[number] for number in range(1_000_000)]
        began = perf_counter()
        gc.collect()
        seconds = perf_counter() - began
        times.piece_ended(seconds, print)
        times.turn_ended(seconds, seconds, 0.0)
        self.assertEqual(times.longest, "garbage collection")
        self.assertGreater(times.by_name["garbage collection"], NAMED_SECONDS)
        times.piece_ended(seconds, print)
        times.turn_ended(2 * seconds, seconds, 0.0)
        self.assertEqual(times.longest, "builtins.print")
        self.assertEqual(len(kept), 1_000_000)
