"""Tests for `warp_base.loop.turn_times`: what is made of times that are told."""

from functools import partial
from time import perf_counter

from prometheus_client import CollectorRegistry
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SynchronousTestCase

from warp_base.loop.turn_times import TurnCollector, TurnTimes, describe


def burn(seconds: float) -> None:
    """Compute for so long."""
    until = perf_counter() + seconds
    while perf_counter() < until:
        pass


class TurnTimesTests(SynchronousTestCase):
    """The accounting."""

    def test_many_short_events(self) -> None:
        """A long turn in which nothing was long says so."""
        times = TurnTimes()
        times.turn_ended(0.02, 0.02, 0.0)
        self.assertEqual(times.longest, "many short events")

    def test_names_are_bounded(self) -> None:
        """However many functions are slow, a bounded number of names is kept."""
        times = TurnTimes()
        for number in range(1000):
            times.piece_ended(0.01, type(f"Slow{number}", (), {}))
        self.assertEqual(len(times.by_name), 64)

    def test_collector(self) -> None:
        """Prometheus sees a histogram that adds up, and the longest turn with its name."""
        times = TurnTimes()
        registry = CollectorRegistry()
        registry.register(TurnCollector("warp_edge", times))
        times.turn_ended(0.0001, 0.0001, 0.0)
        times.piece_ended(0.03, burn)
        times.turn_ended(0.03, 0.03, 0.0)
        self.assertEqual(registry.get_sample_value("warp_edge_turn_seconds_bucket", {"le": "0.0005"}), 1.0)
        self.assertEqual(registry.get_sample_value("warp_edge_turn_seconds_bucket", {"le": "+Inf"}), 2.0)
        self.assertEqual(registry.get_sample_value("warp_edge_turn_seconds_count"), 2.0)
        self.assertAlmostEqual(registry.get_sample_value("warp_edge_turn_seconds_sum") or 0.0, 0.0301)
        name = {"ran": "tests.base.loop.test_turn_times.burn"}
        self.assertEqual(registry.get_sample_value("warp_edge_turn_longest_seconds", name), 0.03)

    def test_describe(self) -> None:
        """A looping call and a partial are named by what they call, a bound method by its class."""
        self.assertEqual(describe(partial(burn, 1)), "tests.base.loop.test_turn_times.burn")
        self.assertEqual(describe(LoopingCall(burn, 1).__call__), "tests.base.loop.test_turn_times.burn")
        self.assertEqual(describe(self.test_describe), "tests.base.loop.test_turn_times.TurnTimesTests.test_describe")
